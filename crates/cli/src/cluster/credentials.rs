//! User of a kubeconfig -> the credentials that kubectl would take (IO).

use std::fs;

use anyhow::bail;
use kube::Config;
use kube::config::AuthInfo;
use secrecy::{ExposeSecret as _, SecretString};

/// Leaves what counts, and what the client's library reads as kubectl does: it has another order of precedence, takes empty texts for
/// credentials, and sends them without TLS.
pub(super) fn normalize(config: &mut Config) -> anyhow::Result<()> {
    let user = &mut config.auth_info;
    if config.cluster_url.scheme_str() != Some("https") {
        let user = std::mem::take(user);
        config.auth_info = AuthInfo {
            impersonate: user.impersonate,
            impersonate_groups: user.impersonate_groups,
            impersonate_uid: user.impersonate_uid,
            impersonate_user_extra: user.impersonate_user_extra,
            ..AuthInfo::default()
        };
        return Ok(());
    }
    if user.exec.is_some() && user.auth_provider.is_some() {
        bail!("its user must not have both exec and auth-provider: remove auth-provider");
    }
    user.token = user.token.take().filter(is_set);
    read_token(user);
    let has_token = user.token.is_some() || user.token_file.is_some();
    let has_name = user.username.as_deref().is_some_and(|name| !name.is_empty());
    let has_password = has_name || user.password.as_ref().is_some_and(is_set);
    if has_password {
        user.username.get_or_insert_default();
        user.password.get_or_insert_with(|| String::new().into());
    } else {
        user.username = None;
        user.password = None;
    }
    if has_password && has_token {
        bail!("its user must not have both a token and a name with a password: remove one of them");
    }
    let has_certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
    if has_token || has_password {
        user.auth_provider = None;
    }
    if has_token || has_password || has_certificate {
        user.exec = None;
    }
    // The library would run programs of an old kind, too.
    match &user.auth_provider {
        Some(provider) if provider.name != "oidc" => bail!(
            "auth-provider {:?} is not supported any more, nor by kubectl: get a kubeconfig with a credential plugin (exec)",
            provider.name
        ),
        _ => Ok(()),
    }
}

fn is_set(secret: &SecretString) -> bool {
    !secret.expose_secret().is_empty()
}

/// A file comes before a token. One with line ends or spaces around its token is read once; another one again when it changes.
fn read_token(user: &mut AuthInfo) {
    let file = user.token_file.take().filter(|file| !file.is_empty());
    let Some(file) = file else { return };
    let text = fs::read_to_string(&file).unwrap_or_default();
    match text.trim() {
        "" if user.token.is_some() => {}
        token if token.len() == text.len() => {
            user.token = None;
            user.token_file = Some(file);
        }
        "" => user.token_file = Some(file),
        token => user.token = Some(token.to_owned().into()),
    }
}
