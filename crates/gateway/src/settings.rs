//! arguments -> settings of the identity providers, checked before anything starts (reads the files that they name).

use std::path::Path;
use std::sync::Arc;

use kit::process::WrongSetting;

use crate::args::{Oidc, RequestLimits, SessionLimits};
use crate::crypto::redacted::Secret;
use crate::further_providers;
use crate::oidc::admission::Admission;
use crate::oidc::claims::Mapping;
use crate::oidc::http::HttpClient;
use crate::oidc::{self, CALLBACK, MAIN, Providers, Registered};
use crate::pages::{Look, Theme};
use crate::session::content::Limits;
use crate::throttle::{Rate, Rates};

/// How people are signed in.
pub(crate) struct SignIn {
    /// The providers that they may choose from.
    pub providers: Arc<Providers>,
    /// How each of them is found, in the same order.
    pub clients: Vec<Client>,
    /// How long sessions last.
    pub limits: Limits,
    /// How often people may ask for pages.
    pub rates: Rates,
}

/// This gateway as a client of a provider.
pub(crate) struct Client {
    /// What the provider knows it by.
    pub settings: oidc::Settings,
    /// Reaches the provider.
    pub http: HttpClient,
}

impl SignIn {
    /// Checks the settings and reads the files.
    ///
    /// # Errors
    /// A setting cannot be used; the error names it.
    pub(crate) fn new(
        oidc: &Oidc,
        session: &SessionLimits,
        limits_of: &RequestLimits,
    ) -> Result<Self, WrongSetting> {
        let (main, client) = provider(MAIN, CALLBACK, oidc)?;
        let (mut list, mut clients) = (vec![main], vec![client]);
        if let Some(file) = given(oidc.oidc_providers_file.as_deref()) {
            for (name, further) in kit::process::file(FILE, file, further_providers::parse)? {
                let callback = format!("{CALLBACK}/{name}");
                let of_entry = |error: WrongSetting| {
                    WrongSetting::new(
                        FILE,
                        format!("provider {name}: as --{}: {}", error.setting, error.problem),
                    )
                };
                let (further, client) = provider(&name, &callback, &further).map_err(of_entry)?;
                list.push(further);
                clients.push(client);
            }
        }
        apart(&list)?;
        Ok(Self {
            providers: Arc::new(Providers::new(list)),
            clients,
            limits: limits(session)?,
            rates: rates(limits_of)?,
        })
    }
}

/// How pages look.
///
/// # Errors
/// A file cannot be read, or says something that cannot be shown; the error names it.
pub(crate) fn look(file: Option<&Path>, logo: Option<&Path>) -> Result<Look, WrongSetting> {
    let read = |setting, path: &Path| {
        std::fs::read(path).map_err(|error| {
            WrongSetting::new(setting, format!("{} cannot be read: {error}", path.display()))
        })
    };
    let theme = match given(file) {
        None => Theme::default(),
        Some(path) => serde_json::from_slice(&read("pages-file", path)?)
            .map_err(|error| WrongSetting::new("pages-file", format!("{}: {error}", path.display())))?,
    };
    let logo = given(logo)
        .map(|path| read("pages-logo-file", path))
        .transpose()?;
    Look::new(&theme, logo.as_deref()).map_err(|error| WrongSetting::new("pages-file", error.to_string()))
}

fn rates(limits: &RequestLimits) -> Result<Rates, WrongSetting> {
    let named = limits.trusted_proxies.iter().filter(|text| !text.is_empty());
    let trusted = named.map(|text| {
        let network = text.trim().parse();
        network.map_err(|error| WrongSetting::new("trusted-proxies", format!("{text:?} {error}")))
    });
    Ok(Rates {
        address: Rate::per_minute(limits.address_requests_per_minute),
        session: Rate::per_minute(limits.session_requests_per_minute),
        provider: Rate::per_minute(limits.provider_requests_per_minute),
        trusted: trusted.collect::<Result<_, _>>()?,
    })
}

/// Flag of the file that lists further providers.
const FILE: &str = "oidc-providers-file";

fn provider(name: &str, callback: &str, oidc: &Oidc) -> Result<(Registered, Client), WrongSetting> {
    let settings = client_of(oidc)?;
    let host = settings.issuer_host()?;
    let connect_to = oidc
        .oidc_connect_to
        .as_deref()
        .filter(|address| !address.is_empty());
    let http = HttpClient::over_tls(given(oidc.oidc_ca_file.as_deref()), &host, connect_to)?;
    let mapping = Mapping::new(
        &oidc.oidc_issuer_url,
        &oidc.oidc_username_claim,
        oidc.oidc_username_prefix.as_deref(),
        oidc.oidc_groups_claim.as_deref(),
        &oidc.oidc_groups_prefix,
    )
    .with_email(oidc.oidc_email_verified)
    .keeping(said(&oidc.oidc_groups_filter));
    let admission = Admission::new(&oidc.oidc_allowed_email_domains, &oidc.oidc_allowed_groups)?;
    if let Some(group) = admission.groups().iter().find(|group| !mapping.can_give(group)) {
        return Err(WrongSetting::new(
            "oidc-allowed-groups",
            format!(
                "nobody can have the group {group:?}: give Kubernetes names, which begin with --oidc-groups-prefix, of groups \
                 that --oidc-groups-claim holds and --oidc-groups-filter keeps"
            ),
        ));
    }
    let title = match oidc.oidc_display_name.as_str() {
        "" => &host,
        title => title,
    };
    let registered = Registered::new(name, title, &settings.issuer_url, mapping, callback);
    Ok((registered.admitting(admission), Client { settings, http }))
}

fn client_of(oidc: &Oidc) -> Result<oidc::Settings, WrongSetting> {
    let secret = given(oidc.oidc_client_secret_file.as_deref())
        .map(client_secret)
        .transpose()?;
    let algorithms = oidc
        .oidc_signing_algs
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<_>, _>>()?;
    if algorithms.is_empty() {
        return Err(WrongSetting::new("oidc-signing-algs", "names no algorithm"));
    }
    for (setting, value) in [
        ("oidc-client-id", &oidc.oidc_client_id),
        ("oidc-username-claim", &oidc.oidc_username_claim),
    ] {
        if value.trim().is_empty() {
            return Err(WrongSetting::new(setting, "is empty"));
        }
    }
    Ok(oidc::Settings {
        issuer_url: oidc.oidc_issuer_url.clone(),
        client_id: oidc.oidc_client_id.clone(),
        client_secret: secret,
        scopes: said(&oidc.oidc_scopes),
        signing_algs: algorithms,
    })
}

/// The entries that say something: environments cannot unset a list.
fn said(entries: &[String]) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| !entry.is_empty())
        .cloned()
        .collect()
}

/// Whether nobody of one provider can have the name of somebody of another.
fn apart(list: &[Registered]) -> Result<(), WrongSetting> {
    let wrong = |problem: String| Err(WrongSetting::new(FILE, problem));
    for (number, one) in list.iter().enumerate() {
        for other in &list[number + 1..] {
            let pair = format!("the providers {} and {}", one.name, other.name);
            if one.name == other.name || one.issuer == other.issuer {
                return wrong(format!("{pair} have the same name or the same issuer"));
            }
            let users = (one.mapping.username_prefix(), other.mapping.username_prefix());
            if overlap(users) {
                return wrong(format!(
                    "{pair} could give two people one user name: their user name prefixes {users:?} must not be empty, and neither \
                     may begin with the other"
                ));
            }
            let groups = one.mapping.groups_prefix().zip(other.mapping.groups_prefix());
            if let Some(groups) = groups.filter(|&groups| overlap(groups)) {
                return wrong(format!(
                    "{pair} could give two groups one name: their groups prefixes {groups:?} must not be empty, and neither may \
                     begin with the other"
                ));
            }
        }
    }
    Ok(())
}

/// Whether two prefixes can lead to one name.
fn overlap((one, other): (&str, &str)) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Longest life of a session, in minutes: sealing keys are kept for so long.
const LONGEST: u32 = 24 * 60;

/// Life of a ticket, in seconds. JupyterLab asks for something twice a minute, which renews it.
const TICKETS: std::ops::RangeInclusive<u32> = 60..=900;

fn limits(session: &SessionLimits) -> Result<Limits, WrongSetting> {
    let table = [
        ("session-lifetime-minutes", session.session_lifetime_minutes),
        ("session-idle-minutes", session.session_idle_minutes),
        (
            "session-max-unrefreshed-minutes",
            session.session_max_unrefreshed_minutes,
        ),
    ];
    for (setting, minutes) in table {
        // A renewal must fit in between.
        if !(10..=LONGEST).contains(&minutes) {
            return Err(WrongSetting::new(
                setting,
                format!("{minutes} is not between 10 and {LONGEST}"),
            ));
        }
    }
    let ticket = session.session_ticket_seconds;
    if !TICKETS.contains(&ticket) {
        let rule = format!(
            "{ticket} is not between {} and {}",
            TICKETS.start(),
            TICKETS.end()
        );
        return Err(WrongSetting::new("session-ticket-seconds", rule));
    }
    let [life, idle, unrefreshed] = table.map(|(_, minutes)| i64::from(minutes) * 60);
    Ok(Limits {
        life,
        idle,
        unrefreshed,
        ticket: ticket.into(),
    })
}

/// An empty path is none: environments cannot unset a variable.
fn given(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}

fn client_secret(file: &Path) -> Result<Secret, WrongSetting> {
    let wrong = |problem: String| WrongSetting::new("oidc-client-secret-file", problem);
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("{} cannot be read: {error}", file.display())))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(wrong(format!("{} is empty", file.display()))),
        text => Ok(Secret::new(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::args::Args;

    fn sign_in(changes: &[&str]) -> Result<SignIn, WrongSetting> {
        kit::tls::install_crypto_provider();
        let mut line = vec![
            "gateway",
            "--namespace=system",
            "--release-name=demo",
            "--oidc-issuer-url=https://identity.example/realms/demo",
            "--oidc-client-id=gateway",
        ];
        line.extend(changes);
        let args = Args::try_parse_from(line).unwrap();
        SignIn::new(&args.oidc, &args.session, &args.limits)
    }

    fn refused(changes: &[&str]) -> &'static str {
        sign_in(changes).err().unwrap().setting
    }

    /// What the settings come to with these further providers.
    fn with_others(name: &str, changes: &[&str], others: &serde_json::Value) -> Result<SignIn, WrongSetting> {
        let file = std::env::temp_dir().join(format!("providers-{name}-{}.json", std::process::id()));
        std::fs::write(&file, others.to_string()).unwrap();
        let mut changes = changes.to_vec();
        let flag = format!("--oidc-providers-file={}", file.display());
        changes.push(&flag);
        let result = sign_in(&changes);
        std::fs::remove_file(&file).unwrap();
        result
    }

    #[test]
    fn further_providers_have_their_own_callbacks_and_prefixes() {
        let others = json!([
            {"name": "partners", "displayName": "Partners", "issuerUrl": "https://p.example", "clientId": "c",
             "groupsClaim": "groups", "groupsPrefix": "p:"},
        ]);
        let sign_in = with_others(
            "fits",
            &["--oidc-groups-claim=groups", "--oidc-groups-prefix=m:"],
            &others,
        )
        .unwrap();
        let told: Vec<_> = sign_in
            .providers
            .iter()
            .map(|one| {
                (
                    one.title.as_str(),
                    one.callback.as_str(),
                    one.mapping.username_prefix(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "identity.example",
                    "/callback",
                    "https://identity.example/realms/demo#"
                ),
                ("Partners", "/callback/partners", "https://p.example#"),
            ]
        );
    }

    #[test]
    fn providers_whose_people_could_be_taken_for_each_other_do_not_start() {
        let other = |changes: serde_json::Value| {
            let mut entry = json!({"name": "o", "issuerUrl": "https://o.example", "clientId": "c", "usernamePrefix": "o:"});
            let (fields, changes) = (
                entry.as_object_mut().unwrap(),
                changes.as_object().unwrap().clone(),
            );
            fields.extend(changes);
            json!([entry])
        };
        let groups = ["--oidc-groups-claim=groups", "--oidc-groups-prefix=g:"];
        let table: [(&[&str], serde_json::Value, &str); 9] = [
            (
                &["--oidc-username-prefix=-"],
                other(json!({})),
                "user name prefixes",
            ),
            (
                &["--oidc-username-claim=email"],
                other(json!({})),
                "user name prefixes",
            ),
            (
                &["--oidc-username-prefix=o:"],
                other(json!({})),
                "user name prefixes",
            ),
            (
                &["--oidc-username-prefix=o:x"],
                other(json!({})),
                "user name prefixes",
            ),
            (
                &["--oidc-username-prefix=m:"],
                other(json!({"usernamePrefix": "-"})),
                "user name prefixes",
            ),
            (
                &groups,
                other(json!({"groupsClaim": "groups"})),
                "groups prefixes",
            ),
            (
                &groups,
                other(json!({"groupsClaim": "groups", "groupsPrefix": "g:x"})),
                "groups prefixes",
            ),
            (
                &[],
                other(json!({"issuerUrl": "https://identity.example/realms/demo"})),
                "same issuer",
            ),
            (
                &[],
                other(json!({"issuerUrl": "http://o.example"})),
                "provider o: as --oidc-issuer-url",
            ),
        ];
        for (number, (changes, others, hint)) in table.into_iter().enumerate() {
            let error = with_others(&number.to_string(), changes, &others).err().unwrap();
            assert_eq!(error.setting, "oidc-providers-file", "{number}");
            assert!(error.problem.contains(hint), "{number}: {error}");
        }
    }

    #[test]
    fn an_allowed_group_that_nobody_can_have_is_named() {
        let claim = [
            "--oidc-groups-claim=groups",
            "--oidc-groups-prefix=g:",
            "--oidc-groups-filter=k8s-",
        ];
        let with = |group: &'static str| [&claim[..], &[group]].concat();
        assert!(sign_in(&with("--oidc-allowed-groups=g:k8s-a,b")).is_ok());
        for group in ["k8s-a", "g:a", "x:k8s-a"] {
            let flag = format!("--oidc-allowed-groups={group}");
            let changes = [&claim[..], &[flag.as_str()]].concat();
            assert_eq!(refused(&changes), "oidc-allowed-groups", "{group}");
        }
        assert_eq!(refused(&["--oidc-allowed-groups=a"]), "oidc-allowed-groups");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (change, setting) in [
            (
                "--oidc-client-secret-file=/nowhere/secret",
                "oidc-client-secret-file",
            ),
            ("--oidc-client-secret-file=/dev/null", "oidc-client-secret-file"),
            ("--oidc-ca-file=/nowhere/ca.crt", "oidc-ca-file"),
            ("--oidc-signing-algs=HS256", "oidc-signing-algs"),
            ("--oidc-signing-algs=none", "oidc-signing-algs"),
            ("--oidc-connect-to=proxy", "oidc-connect-to"),
            ("--oidc-connect-to=https://proxy:443", "oidc-connect-to"),
            ("--oidc-username-claim=", "oidc-username-claim"),
            (
                "--oidc-allowed-email-domains=@example.org",
                "oidc-allowed-email-domains",
            ),
            ("--oidc-providers-file=/nowhere", "oidc-providers-file"),
            ("--oidc-providers-file=/dev/null", "oidc-providers-file"),
            ("--session-lifetime-minutes=1441", "session-lifetime-minutes"),
            ("--session-idle-minutes=0", "session-idle-minutes"),
            ("--session-ticket-seconds=59", "session-ticket-seconds"),
            ("--session-ticket-seconds=901", "session-ticket-seconds"),
            (
                "--session-max-unrefreshed-minutes=9",
                "session-max-unrefreshed-minutes",
            ),
            ("--trusted-proxies=10.0.0.0/8,proxy", "trusted-proxies"),
        ] {
            assert_eq!(refused(&[change]), setting, "{change}");
        }
    }

    #[test]
    fn a_look_that_cannot_be_shown_is_named_with_its_field() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("pages-{}.json", std::process::id()));
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let told = look(Some(&path), None).map_err(|wrong| wrong.to_string());
            std::fs::remove_file(&path).unwrap();
            told
        };
        assert!(told("{\"productName\": \"Lab & <Co>\"}").is_ok());
        for (text, problem) in [
            ("{\"productname\": \"x\"}", "unknown field `productname`"),
            (
                "{\"accentColor\": \"red\"}",
                "accentColor: \"red\" is not a colour",
            ),
            ("{\"helpUrl\": \"javascript:alert(1)\"}", "helpUrl:"),
        ] {
            let said = told(text).unwrap_err();
            assert!(said.contains(problem), "{said}");
        }
        assert!(look(Some(Path::new("/nowhere")), None).is_err());
        assert!(look(None, Some(Path::new("/nowhere"))).is_err());
        assert!(look(Some(Path::new("")), None).is_ok(), "an empty path is none");
    }
}
