//! arguments -> which tokens are accepted, checked at start (IO: reads the own token).

use std::path::Path;

use kit::process::{InvalidSetting, non_empty};
use serde_json::Value;

use crate::oidc::payload;
use crate::verify::bearer::BearerSettings;

/// Path of this process's own token, as Kubernetes mounts it.
const OWN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Requests with a token (`Authorization: Bearer`) instead of a browser's cookie.
#[derive(Debug, Clone, Default, clap::Args)]
#[expect(clippy::struct_field_names, reason = "clap names the flags after them")]
pub struct BearerArgs {
    /// Whether tokens are accepted: those of service accounts whose only audience is the sign-in host's origin
    /// (`https://auth.<domain>`), and users' tokens, if audiences are named. The gateway then needs the right to create
    /// tokenreviews.
    #[arg(long, env = "BEARER_ENABLED")]
    pub bearer_enabled: bool,

    /// Accepted audiences of users' tokens, of every identity provider (repeatable; in the environment separated by commas). Never
    /// the client that users sign in with [default: users' tokens are not accepted].
    #[arg(long, env = "BEARER_AUDIENCES", value_delimiter = ',')]
    pub bearer_audiences: Vec<String>,

    /// Issuers of the cluster's service account tokens (repeatable; in the environment separated by commas) [default: the issuer of
    /// this process's own token].
    #[arg(long, env = "BEARER_ISSUERS", value_delimiter = ',')]
    pub bearer_issuers: Vec<String>,
}

/// `None`: no tokens are accepted. `clients`: the client IDs of this gateway at the identity providers.
///
/// # Errors
/// A setting cannot be used; the error names it.
pub(crate) fn read<'a>(
    args: &BearerArgs,
    clients: impl IntoIterator<Item = &'a str>,
) -> Result<Option<BearerSettings>, InvalidSetting> {
    read_with(args, clients, Path::new(OWN))
}

fn read_with<'a>(
    args: &BearerArgs,
    clients: impl IntoIterator<Item = &'a str>,
    own: &Path,
) -> Result<Option<BearerSettings>, InvalidSetting> {
    let (audiences, mut cluster) = (non_empty(&args.bearer_audiences), non_empty(&args.bearer_issuers));
    if !args.bearer_enabled {
        return Ok(None);
    }
    for client in clients {
        if audiences.iter().any(|audience| audience == client) {
            return Err(InvalidSetting::new(
                "bearer-audiences",
                format!(
                    "{client:?} is the client that users sign in with (--oidc-client-id): anyone who got hold of a login's tokens \
                     could act with them; name the client of the scripts, which is another one at the identity provider"
                ),
            ));
        }
    }
    if cluster.is_empty() {
        cluster.push(own_issuer(own)?);
    }
    Ok(Some(BearerSettings { audiences, cluster }))
}

fn own_issuer(file: &Path) -> Result<String, InvalidSetting> {
    let wrong = |problem: String| {
        let ways =
            "name the cluster's issuer, which kubectl get --raw /.well-known/openid-configuration tells";
        InvalidSetting::new("bearer-issuers", format!("is not given, and {problem}: {ways}"))
    };
    let token = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("{} cannot be read ({error})", file.display())))?;
    payload(token.trim())
        .and_then(|claims| claims.get("iss").and_then(Value::as_str).map(str::to_owned))
        .ok_or_else(|| wrong(format!("{} has no issuer", file.display())))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn args(audiences: &[&str], issuers: &[&str]) -> BearerArgs {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        BearerArgs {
            bearer_enabled: true,
            bearer_audiences: owned(audiences),
            bearer_issuers: owned(issuers),
        }
    }

    #[test]
    fn tokens_are_refused_until_they_are_enabled() {
        let off = BearerArgs {
            bearer_enabled: false,
            ..args(&["scripts"], &["https://cluster.example"])
        };
        assert_eq!(read(&off, ["gateway"]).unwrap(), None);
    }

    #[test]
    fn the_client_that_users_sign_in_with_is_no_audience_of_tokens() {
        for audiences in [&["gateway"][..], &["scripts", "partners-gateway"]] {
            let args = args(audiences, &["https://cluster.example"]);
            let error = read(&args, ["gateway", "partners-gateway"]).unwrap_err();
            assert_eq!(error.setting, "bearer-audiences", "{audiences:?}");
            assert!(error.problem.contains("sign in with"), "{error}");
        }
        let fits = read(&args(&["scripts", ""], &["https://cluster.example"]), ["gateway"]).unwrap();
        let expected = BearerSettings {
            audiences: vec!["scripts".into()],
            cluster: vec!["https://cluster.example".into()],
        };
        assert_eq!(fits, Some(expected));
    }

    #[test]
    fn the_issuer_of_the_cluster_comes_from_the_own_token_or_a_setting() {
        let file = std::env::temp_dir().join(format!("own-token-{}", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let read = read_with(&args(&[], &[""]), ["gateway"], &file);
            std::fs::remove_file(&file).unwrap();
            read
        };
        let claims = URL_SAFE_NO_PAD.encode(r#"{"iss":"https://cluster.example"}"#);
        let found = read(&format!("e30.{claims}.c2ln\n")).unwrap().unwrap();
        assert_eq!(found.cluster, ["https://cluster.example"]);
        for text in ["", "no token", "e30.e30.c2ln"] {
            assert_eq!(read(text).unwrap_err().setting, "bearer-issuers", "{text}");
        }
        let absent = read_with(&args(&[], &[]), ["gateway"], Path::new("/nowhere")).unwrap_err();
        assert!(absent.problem.contains("openid-configuration"), "{absent}");
    }
}
