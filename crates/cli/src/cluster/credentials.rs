//! Credentials of a kubeconfig -> as kubectl reads them, and why there are none (IO).

use std::fs;

use kube::Config;

/// Takes the token of a file with line ends or spaces around it, as kubectl does. Another file is left to be read again when it changes.
pub(super) fn trim_token(config: &mut Config) {
    let file = config.auth_info.token_file.as_ref();
    let text = file.and_then(|file| fs::read_to_string(file).ok());
    let token = text.as_deref().map(str::trim);
    if let Some(token) = token.filter(|token| Some(*token) != text.as_deref()) {
        config.auth_info.token = Some(token.to_owned().into());
        config.auth_info.token_file = None;
    }
}

/// Why there is no client, with the credential plugin that gave no credentials.
pub(super) fn unusable(error: kube::Error, plugin: Option<&str>) -> anyhow::Error {
    let context = match (plugin, &error) {
        (Some(plugin), kube::Error::Auth(_)) => format!(
            "the kubeconfig's credential plugin {plugin:?} gave no credentials: install it, or run it by itself to see what it needs"
        ),
        _ => "the cluster's configuration cannot be used".to_owned(),
    };
    anyhow::Error::new(error).context(context)
}
