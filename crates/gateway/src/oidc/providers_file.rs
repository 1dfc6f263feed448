//! file that lists further identity providers -> the settings of each (pure).

use std::path::PathBuf;

use serde::Deserialize;

use crate::oidc::MAIN;
use crate::oidc::args::Oidc;
use crate::oidc::claims::EmailVerified;

/// Maximum length of a provider's name, which is used in addresses and cookies.
const MAX_NAME: usize = 32;

/// A provider in the file. Defaults are those of the flags.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    display_name: String,
    issuer_url: String,
    client_id: String,
    #[serde(default)]
    client_secret_file: Option<PathBuf>,
    #[serde(default = "sub")]
    username_claim: String,
    #[serde(default)]
    username_prefix: Option<String>,
    #[serde(default)]
    groups_claim: Option<String>,
    #[serde(default)]
    groups_prefix: String,
    #[serde(default)]
    groups_filter: Vec<String>,
    #[serde(default)]
    email_verified: EmailVerified,
    #[serde(default)]
    allowed_email_domains: Vec<String>,
    #[serde(default)]
    allowed_groups: Vec<String>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default = "profile")]
    scopes: Vec<String>,
    #[serde(default = "rs256")]
    signing_algs: Vec<String>,
    #[serde(default)]
    connect_to: Option<String>,
}

fn sub() -> String {
    "sub".into()
}

fn profile() -> Vec<String> {
    vec!["profile".into()]
}

fn rs256() -> Vec<String> {
    vec!["RS256".into()]
}

/// Each provider's name, and its settings in the form of the flags.
///
/// # Errors
/// A phrase that continues "is wrong: ".
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Oidc)>, String> {
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    entries.into_iter().map(checked).collect()
}

fn checked(entry: Entry) -> Result<(String, Oidc), String> {
    let name = &entry.name;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) || name == MAIN {
        return Err(format!(
            "the name {name:?} of a provider must be 1 to {MAX_NAME} lower-case letters, digits and hyphens, and not {MAIN:?}"
        ));
    }
    Ok((entry.name.clone(), Oidc::from(entry)))
}

impl From<Entry> for Oidc {
    fn from(entry: Entry) -> Self {
        Self {
            oidc_issuer_url: entry.issuer_url,
            oidc_client_id: entry.client_id,
            oidc_client_secret_file: entry.client_secret_file,
            oidc_username_claim: entry.username_claim,
            oidc_username_prefix: entry.username_prefix,
            oidc_groups_claim: entry.groups_claim,
            oidc_groups_prefix: entry.groups_prefix,
            oidc_groups_filter: entry.groups_filter,
            oidc_email_verified: entry.email_verified,
            oidc_allowed_email_domains: entry.allowed_email_domains,
            oidc_allowed_groups: entry.allowed_groups,
            oidc_display_name: entry.display_name,
            oidc_providers_file: None,
            oidc_ca_file: entry.ca_file,
            oidc_scopes: entry.scopes,
            oidc_signing_algs: entry.signing_algs,
            oidc_connect_to: entry.connect_to,
            oidc_https_proxy: None,
            oidc_https_proxy_file: None,
            own_authority: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    #[test]
    fn omitted_fields_of_a_provider_use_the_flags() {
        let file = r#"[{"name":"other","issuerUrl":"https://i.example","clientId":"c"}]"#;
        let (name, further) = parse(file).unwrap().remove(0);
        assert_eq!(name, "other");
        let line = [
            "gateway",
            "--namespace=system",
            "--release-name=demo",
            "--oidc-issuer-url=https://i.example",
            "--oidc-client-id=c",
        ];
        let flags = Args::try_parse_from(line).unwrap().oidc;
        assert_eq!(format!("{further:?}"), format!("{flags:?}"));
    }

    #[test]
    fn names_that_fit_no_address_and_unknown_fields_are_refused() {
        for name in ["", "main", "A", "a/b", "a b", "ä", &"a".repeat(33)] {
            let file = serde_json::json!([{"name": name, "issuerUrl": "https://i.example", "clientId": "c"}]);
            let error = parse(&file.to_string()).unwrap_err();
            assert!(error.contains("name"), "{name}: {error}");
        }
        let typo = r#"[{"name":"x","issuerUrl":"https://i.example","clientId":"c","groupClaim":"g"}]"#;
        assert!(parse(typo).unwrap_err().contains("groupClaim"));
    }
}
