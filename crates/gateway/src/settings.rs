//! arguments -> settings of the identity provider, checked before anything starts (reads the files that they name).

use std::path::Path;

use crate::args::{Oidc, RequestLimits, SessionLimits};
use crate::crypto::redacted::Secret;
use crate::oidc;
use crate::oidc::claims::Mapping;
use kit::process::WrongSetting;

use crate::oidc::http::HttpClient;
use crate::session::content::Limits;
use crate::throttle::{Rate, Rates};

/// How people are signed in.
pub(crate) struct SignIn {
    /// This gateway as a client of the provider.
    pub provider: oidc::Settings,
    /// Reaches the provider.
    pub http: HttpClient,
    /// Claims to Kubernetes names.
    pub mapping: Mapping,
    /// How long sessions last.
    pub limits: Limits,
    /// How often people may ask for pages.
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
    ) -> Result<Self, WrongSetting> {
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
        let provider = oidc::Settings {
            issuer_url: oidc.oidc_issuer_url.clone(),
            client_id: oidc.oidc_client_id.clone(),
            client_secret: secret,
            scopes: oidc
                .oidc_scopes
                .iter()
                .filter(|scope| !scope.is_empty())
                .cloned()
                .collect(),
            signing_algs: algorithms,
        };
        let connect_to = oidc
            .oidc_connect_to
            .as_deref()
            .filter(|address| !address.is_empty());
        let http = HttpClient::over_tls(
            given(oidc.oidc_ca_file.as_deref()),
            &provider.issuer_host()?,
            connect_to,
        )?;
        let mapping = Mapping::new(
            &oidc.oidc_issuer_url,
            &oidc.oidc_username_claim,
            oidc.oidc_username_prefix.as_deref(),
            oidc.oidc_groups_claim.as_deref(),
            &oidc.oidc_groups_prefix,
        );
        Ok(Self {
            provider,
            http,
            mapping,
            limits: limits(session)?,
            rates: rates(limits_of)?,
        })
    }
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

/// Longest life of a session, in minutes: sealing keys are kept for so long.
const LONGEST: u32 = 24 * 60;

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
    let [life, idle, unrefreshed] = table.map(|(_, minutes)| i64::from(minutes) * 60);
    Ok(Limits {
        life,
        idle,
        unrefreshed,
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

    use super::*;
    use crate::args::Args;

    fn refused(changes: &[&str]) -> &'static str {
        let mut line = vec![
            "gateway",
            "--namespace=system",
            "--release-name=demo",
            "--oidc-issuer-url=https://identity.example/realms/demo",
            "--oidc-client-id=gateway",
        ];
        line.extend(changes);
        let args = Args::try_parse_from(line).unwrap();
        SignIn::new(&args.oidc, &args.session, &args.limits).err().unwrap().setting
    }

    #[test]
    fn a_wrong_setting_is_named() {
        kit::tls::install_crypto_provider();
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
            ("--oidc-username-claim=", "oidc-username-claim"),
            ("--session-lifetime-minutes=1441", "session-lifetime-minutes"),
            ("--session-idle-minutes=0", "session-idle-minutes"),
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
