//! arguments -> sign-in settings, checked at start (IO: reads the named files).

use std::sync::Arc;

use kit::process::InvalidSetting;

use crate::oidc::Providers;
use crate::oidc::args::Oidc;
use crate::oidc::clients::{self, Client};
use crate::server::throttle::{Rates, RequestLimits};
use crate::session::SessionLimits;
use crate::session::content::Lifetimes;

/// How users are signed in.
pub(crate) struct SignIn {
    /// The providers that users may choose from.
    pub providers: Arc<Providers>,
    /// The client of each provider, in the same order.
    pub clients: Vec<Client>,
    /// How long sessions last.
    pub limits: Lifetimes,
    /// Rate limits of pages.
    pub rates: Rates,
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
    ) -> Result<Self, InvalidSetting> {
        let (list, clients) = clients::from_args(oidc)?;
        Ok(Self {
            providers: Arc::new(Providers::new(list)),
            clients,
            limits: session.limits()?,
            rates: limits_of.rates()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::args::Args;

    fn sign_in(changes: &[&str]) -> Result<SignIn, InvalidSetting> {
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

    /// The result of the settings with these further providers.
    fn with_others(
        name: &str,
        changes: &[&str],
        others: &serde_json::Value,
    ) -> Result<SignIn, InvalidSetting> {
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
        let message: Vec<_> = sign_in
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
            message,
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
    fn providers_with_overlapping_user_names_are_refused() {
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
    fn an_allowed_group_that_no_user_can_have_is_named() {
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
            ("--oidc-ca-file=/dev/null", "oidc-ca-file"),
            ("--oidc-signing-algs=HS256", "oidc-signing-algs"),
            ("--oidc-signing-algs=none", "oidc-signing-algs"),
            ("--oidc-connect-to=proxy", "oidc-connect-to"),
            ("--oidc-connect-to=https://proxy:443", "oidc-connect-to"),
            ("--oidc-connect-to=proxy:", "oidc-connect-to"),
            ("--oidc-connect-to=:443", "oidc-connect-to"),
            ("--oidc-connect-to=proxy:0", "oidc-connect-to"),
            ("--oidc-connect-to=proxy:http", "oidc-connect-to"),
            ("--oidc-connect-to=proxy:70000", "oidc-connect-to"),
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
}
