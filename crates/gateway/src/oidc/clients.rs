//! arguments and files -> the identity providers and a client for each (IO: reads the files).

use kit::process::{InvalidSetting, non_empty, non_empty_path};

use crate::oidc::admission::Admission;
use crate::oidc::args::Oidc;
use crate::oidc::claims::Mapping;
use crate::oidc::http::{HttpClient, Trusted};
use crate::oidc::https_proxy::HttpsProxy;
use crate::oidc::providers_file;
use crate::oidc::{self, CALLBACK, Registered};
use crate::tokens::redacted::Secret;

/// Flag of the file that lists further providers.
const FILE: &str = "oidc-providers-file";

/// Scope and claim of e-mail addresses (OpenID Connect Core 1.0, section 5.4).
const EMAIL: &str = "email";
/// Claim of groups, and the scope by which some providers give it. No standard defines it.
const GROUPS: &str = "groups";

/// This gateway as a client of a provider.
pub(crate) struct Client {
    /// The settings of this client.
    pub settings: oidc::Settings,
    /// Sends requests to the provider.
    pub http: HttpClient,
}

/// All providers that users may choose from, and a client for each, in the same order.
///
/// # Errors
/// A setting cannot be used; the error names it.
pub(crate) fn from_args(oidc: &Oidc) -> Result<(Vec<Registered>, Vec<Client>), InvalidSetting> {
    let proxy = https_proxy(oidc)?;
    let (main, client) = one(CALLBACK, oidc, proxy.as_ref())?;
    let (mut list, mut clients) = (vec![main], vec![client]);
    if let Some(file) = non_empty_path(oidc.providers_file.as_deref()) {
        for further in kit::process::file(FILE, file, providers_file::parse)? {
            let name = &further.name;
            let callback = format!("{CALLBACK}/{name}");
            let of_entry = |error: InvalidSetting| {
                InvalidSetting::new(
                    FILE,
                    format!("provider {name}: as --{}: {}", error.setting, error.problem),
                )
            };
            let (further, client) = one(&callback, &further, proxy.as_ref()).map_err(of_entry)?;
            list.push(further);
            clients.push(client);
        }
    }
    check_distinct(&list)?;
    Ok((list, clients))
}

fn https_proxy(oidc: &Oidc) -> Result<Option<HttpsProxy>, InvalidSetting> {
    if let Some(file) = non_empty_path(oidc.https_proxy_file.as_deref()) {
        return kit::process::file("oidc-https-proxy-file", file, HttpsProxy::parse).map(Some);
    }
    let address = oidc.https_proxy.as_deref().filter(|text| !text.is_empty());
    let wrong = |problem: String| InvalidSetting::new("oidc-https-proxy", problem);
    address.map(HttpsProxy::parse).transpose().map_err(wrong)
}

fn one(
    callback: &str,
    oidc: &Oidc,
    proxy: Option<&HttpsProxy>,
) -> Result<(Registered, Client), InvalidSetting> {
    let settings = client_of(oidc)?;
    let host = settings.issuer_host()?;
    let connect_to = oidc.connect_to.as_deref().filter(|address| !address.is_empty());
    let trusted = match (&oidc.own_authority, non_empty_path(oidc.ca_file.as_deref())) {
        (Some(pem), _) => Trusted::Authority(pem),
        (None, Some(file)) => Trusted::File(file),
        (None, None) => Trusted::System,
    };
    let http = HttpClient::over_tls(trusted, &host, connect_to, proxy.cloned())?;
    let mut mapping = Mapping::new(
        &oidc.issuer_url,
        &oidc.username_claim,
        oidc.username_prefix.as_deref(),
        oidc.groups_claim.as_deref(),
        &oidc.groups_prefix,
    );
    mapping.email_verified = oidc.email_verified;
    mapping.groups_filter = non_empty(&oidc.groups_filter);
    let admission = Admission::new(&oidc.allowed_email_domains, &oidc.allowed_groups)?;
    if let Some(group) = admission.groups().iter().find(|group| !mapping.can_give(group)) {
        return Err(InvalidSetting::new(
            "oidc-allowed-groups",
            format!(
                "no user can have the group {group:?}: give Kubernetes names, which begin with --oidc-groups-prefix, of groups \
                 that --oidc-groups-claim holds and --oidc-groups-filter keeps"
            ),
        ));
    }
    let title = match oidc.display_name.as_str() {
        "" => &host,
        title => title,
    };
    let mut registered = Registered::new(&oidc.name, title, &settings.issuer_url, mapping, callback);
    registered.admission = admission;
    Ok((registered, Client { settings, http }))
}

fn client_of(oidc: &Oidc) -> Result<oidc::Settings, InvalidSetting> {
    let secret = non_empty_path(oidc.client_secret_file.as_deref())
        .map(|file| kit::process::file("oidc-client-secret-file", file, client_secret))
        .transpose()?;
    let algorithms = oidc
        .signing_algs
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<_>, _>>()?;
    if algorithms.is_empty() {
        return Err(InvalidSetting::new("oidc-signing-algs", "must name an algorithm"));
    }
    for (setting, value) in [
        ("oidc-client-id", &oidc.client_id),
        ("oidc-username-claim", &oidc.username_claim),
    ] {
        if value.trim().is_empty() {
            return Err(InvalidSetting::new(setting, "is empty"));
        }
    }
    Ok(oidc::Settings {
        issuer_url: oidc.issuer_url.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: secret,
        scopes: scopes(oidc),
        // Others require it, but some providers refuse a scope that they do not know.
        optional_scopes: match oidc.groups_claim.as_deref() {
            Some(GROUPS) => vec![GROUPS.to_owned()],
            _ => Vec::new(),
        },
        signing_algs: algorithms,
    })
}

/// The scopes in the settings, and `email` if the user name or the admission depends on that claim.
fn scopes(oidc: &Oidc) -> Vec<String> {
    let mut scopes = non_empty(&oidc.scopes);
    let needs_email = oidc.username_claim == EMAIL || !non_empty(&oidc.allowed_email_domains).is_empty();
    if needs_email && !scopes.iter().any(|scope| scope == EMAIL) {
        scopes.push(EMAIL.to_owned());
    }
    scopes
}

fn client_secret(text: &str) -> Result<Secret, &'static str> {
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("it is empty"),
        text => Ok(Secret::new(text.to_owned())),
    }
}

/// Whether no user of one provider can have the name of a user of another.
fn check_distinct(list: &[Registered]) -> Result<(), InvalidSetting> {
    let wrong = |problem: String| Err(InvalidSetting::new(FILE, problem));
    for (number, one) in list.iter().enumerate() {
        for other in &list[number + 1..] {
            let pair = format!("the providers {} and {}", one.name, other.name);
            if one.name == other.name || one.issuer == other.issuer {
                return wrong(format!("{pair} have the same name or the same issuer"));
            }
            let users = (one.mapping.username_prefix(), other.mapping.username_prefix());
            if overlap(users) {
                return wrong(format!(
                    "{pair} could give two users one user name: their user name prefixes {users:?} must not be empty, and neither \
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

/// Whether two prefixes can lead to the same name.
fn overlap((one, other): (&str, &str)) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    /// The scopes that are always requested, and those if the provider lists them.
    fn requested(changes: &[&str]) -> [String; 2] {
        let line = [
            "gateway",
            "--namespace=system",
            "--release-name=demo",
            "--oidc-issuer-url=https://i.example",
            "--oidc-client-id=c",
        ];
        let oidc = Args::try_parse_from(line.iter().chain(changes)).unwrap().oidc;
        let settings = client_of(&oidc).unwrap();
        [settings.scopes, settings.optional_scopes].map(|scopes| scopes.join(" "))
    }

    #[test]
    fn a_claim_that_counts_brings_its_scope() {
        for (changes, always, if_listed) in [
            (&[][..], "profile", ""),
            (&["--oidc-username-claim=email"], "profile email", ""),
            (&["--oidc-allowed-email-domains=example.org"], "profile email", ""),
            (
                &[
                    "--oidc-username-claim=email",
                    "--oidc-scopes=email,offline_access",
                ],
                "email offline_access",
                "",
            ),
            (&["--oidc-groups-claim=groups"], "profile", "groups"),
            (&["--oidc-groups-claim=roles"], "profile", ""),
        ] {
            assert_eq!(requested(changes), [always, if_listed], "{changes:?}");
        }
    }

    #[test]
    fn a_wrong_address_of_the_proxy_is_named_without_its_password() {
        let file = std::env::temp_dir().join(format!("https-proxy-{}", std::process::id()));
        std::fs::write(&file, "https://me:s3cret@proxy.example").unwrap();
        let mut oidc =
            providers_file::parse(r#"[{"name":"x","issuerUrl":"https://i.example","clientId":"c"}]"#)
                .unwrap()
                .remove(0);
        oidc.https_proxy_file = Some(file.clone());
        let error = from_args(&oidc).err().unwrap();
        std::fs::remove_file(file).unwrap();
        assert_eq!(error.setting, "oidc-https-proxy-file");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        oidc.https_proxy_file = None;
        oidc.https_proxy = Some("proxy.example:3128".to_owned());
        assert_eq!(from_args(&oidc).err().unwrap().setting, "oidc-https-proxy");
    }
}
