//! discovery document -> whether it matches the settings, or the wrong setting (pure).

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::url::Url;
use openidconnect::{AdditionalProviderMetadata, DiscoveryError, ProviderMetadata};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::settings::Settings;
use kit::process::InvalidSetting;

use crate::oidc::http::HttpError;

/// Fields of the discovery document that the library lacks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Additional {
    /// RFC 9207: authorization responses name their issuer.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    /// URL at which a user ends the provider's own session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end_session_endpoint: Option<Url>,
    /// Supported values of `prompt` (OpenID Connect Prompt Create 1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prompt_values_supported: Option<Vec<String>>,
}

impl AdditionalProviderMetadata for Additional {}

pub(super) type Metadata = ProviderMetadata<
    Additional,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Why discovery failed.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The provider is not up, or not yet.
    #[error("the identity provider does not answer yet: {0}")]
    NotUp(String),
    /// Another server answers, which is not, or not yet, the configured provider.
    #[error(transparent)]
    Doubtful(InvalidSetting),
    /// The provider answers, and the setting does not match it.
    #[error(transparent)]
    Wrong(InvalidSetting),
}

/// The meaning of a failed discovery.
pub(super) fn explain(error: DiscoveryError<HttpError>, issuer_url: &str) -> DiscoverError {
    let doubtful = |setting, problem: String| DiscoverError::Doubtful(InvalidSetting::new(setting, problem));
    let address = format!(
        "{}/.well-known/openid-configuration",
        issuer_url.trim_end_matches('/')
    );
    match error {
        DiscoveryError::Request(HttpError::Untrusted { host, reason }) => doubtful(
            "oidc-ca-file",
            format!(
                "the certificate of {host} is not trusted ({reason}); give the PEM file of its authority"
            ),
        ),
        DiscoveryError::Request(error) => DiscoverError::NotUp(error.to_string()),
        DiscoveryError::Response(status, _, message) => doubtful(
            "oidc-issuer-url",
            format!("{address} answers {status} ({message})"),
        ),
        DiscoveryError::Parse(error) => doubtful(
            "oidc-issuer-url",
            format!("the answer of {address} is not a discovery document: {error}"),
        ),
        DiscoveryError::Validation(message) => DiscoverError::Wrong(InvalidSetting::new(
            "oidc-issuer-url",
            format!(
                "the provider at {address} has another name: {message}; write it exactly as the provider does"
            ),
        )),
        other => doubtful("oidc-issuer-url", other.to_string()),
    }
}

/// Whether the provider's metadata matches the settings.
pub(super) fn check(metadata: &Metadata, settings: &Settings) -> Result<(), InvalidSetting> {
    let issuer = |problem: String| InvalidSetting::new("oidc-issuer-url", problem);
    let token_endpoint = metadata.token_endpoint().ok_or_else(|| {
        issuer("the provider has no token endpoint: it does not support the code flow".into())
    })?;
    let endpoints = [
        ("authorization_endpoint", metadata.authorization_endpoint().url()),
        ("token_endpoint", token_endpoint.url()),
        ("jwks_uri", metadata.jwks_uri().url()),
    ];
    let end_session = metadata.additional_metadata().end_session_endpoint.as_ref();
    for (name, url) in endpoints
        .into_iter()
        .chain(end_session.map(|url| ("end_session_endpoint", url)))
    {
        if url.scheme() != "https" {
            return Err(issuer(format!(
                "the provider's {name} {url} does not begin with https://"
            )));
        }
    }
    let offered = metadata.id_token_signing_alg_values_supported();
    if !settings.signing_algs.iter().any(|alg| offered.contains(&alg.0)) {
        return Err(InvalidSetting::new(
            "oidc-signing-algs",
            format!(
                "the provider signs with none of these; it offers {}",
                json!(offered)
            ),
        ));
    }
    Ok(())
}

/// The `prompt` that lets a user change the account: `select_account`, or `login` if the provider lists its prompts without that.
pub(super) fn prompt_for_another(metadata: &Additional) -> &'static str {
    match &metadata.prompt_values_supported {
        Some(offered) if !offered.iter().any(|prompt| prompt == "select_account") => "login",
        _ => "select_account",
    }
}

/// Whether the client's credentials go into the body: only if the provider does not accept the header.
pub(super) fn posts_credentials(metadata: &Metadata) -> bool {
    metadata
        .token_endpoint_auth_methods_supported()
        .is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        })
}
