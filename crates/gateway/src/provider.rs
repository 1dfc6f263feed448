//! settings -> the identity provider as discovered; authorization code -> verified claims (IO).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use chrono::{DateTime, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreGrantType, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::url::Url;
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalProviderMetadata, AuthType, AuthorizationCode,
    ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DiscoveryError, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::jwks::Keys;
use crate::oidc_http::{HttpClient, HttpError, SettingError};
use crate::secret::{Secret, equal};

/// How far the provider's clock may be from ours, in seconds.
const SKEW: i64 = 60;
/// Longest ID token, in bytes.
const MAX_ID_TOKEN: usize = 64 * 1024;

/// The gateway as a client of an identity provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `oidc-issuer-url`.
    pub issuer_url: String,
    /// `oidc-client-id`.
    pub client_id: String,
    /// Content of `oidc-client-secret-file`; `None` for a public client.
    pub client_secret: Option<Secret>,
    /// `oidc-scopes`, besides `openid`.
    pub scopes: Vec<String>,
    /// `oidc-signing-algs`.
    pub signing_algs: Vec<SigningAlg>,
}

/// An algorithm that ID tokens may be signed with. Symmetric ones and `none` do not exist here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningAlg(CoreJwsSigningAlgorithm);

impl std::str::FromStr for SigningAlg {
    type Err = SettingError;

    fn from_str(name: &str) -> Result<Self, SettingError> {
        use CoreJwsSigningAlgorithm as Alg;
        Ok(Self(match name {
            "RS256" => Alg::RsaSsaPkcs1V15Sha256,
            "RS384" => Alg::RsaSsaPkcs1V15Sha384,
            "RS512" => Alg::RsaSsaPkcs1V15Sha512,
            "PS256" => Alg::RsaSsaPssSha256,
            "PS384" => Alg::RsaSsaPssSha384,
            "PS512" => Alg::RsaSsaPssSha512,
            "ES256" => Alg::EcdsaP256Sha256,
            "ES384" => Alg::EcdsaP384Sha384,
            "EdDSA" => Alg::EdDsa,
            other => {
                return Err(SettingError::new(
                    "oidc-signing-algs",
                    format!(
                        "{other:?} is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
                    ),
                ));
            }
        }))
    }
}

impl Settings {
    /// The issuer's host, checked with the whole address.
    ///
    /// # Errors
    /// `oidc-issuer-url` is not a plain https address.
    pub fn issuer_host(&self) -> Result<String, SettingError> {
        let wrong =
            |problem: &str| SettingError::new("oidc-issuer-url", format!("{:?} {problem}", self.issuer_url));
        let url = Url::parse(&self.issuer_url).map_err(|error| wrong(&error.to_string()))?;
        if url.scheme() != "https" {
            return Err(wrong("does not begin with https://"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(wrong("must have neither query, fragment nor user name"));
        }
        url.host_str()
            .map(str::to_owned)
            .ok_or_else(|| wrong("names no host"))
    }
}

/// What the discovery document says beyond the library's fields.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Additional {
    /// RFC 9207: authorization responses name their issuer.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Additional {}

type Metadata = ProviderMetadata<
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

type ConfiguredClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why discovery failed.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The provider is not up, or not yet.
    #[error("the identity provider does not answer yet: {0}")]
    NotUp(String),
    /// Something answers that is not, or not yet, the provider that the setting means.
    #[error(transparent)]
    Doubtful(SettingError),
    /// The provider answers and the setting does not fit it.
    #[error(transparent)]
    Wrong(SettingError),
}

/// Why a code gave no claims. The texts hold no token, code or claim.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// The provider did not answer.
    #[error("the token endpoint gave no answer: {0}")]
    Unavailable(String),
    /// The provider refused the client: its credentials are wrong.
    #[error(
        "the token endpoint refused the client: check the settings oidc-client-id and oidc-client-secret-file ({0})"
    )]
    Client(String),
    /// The provider refused the code.
    #[error("the token endpoint refused the code: {0}")]
    Refused(String),
    /// The answer is no token response, or holds no usable ID token.
    #[error("the token endpoint's answer cannot be used: {0}")]
    Malformed(String),
    /// The ID token failed a check.
    #[error("the ID token is refused: {0}")]
    Token(String),
}

/// The values that tie an authorization response to its request.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// `nonce` of the request.
    pub nonce: &'a str,
    /// PKCE verifier.
    pub verifier: &'a str,
    /// `redirect_uri` of the request.
    pub redirect_uri: &'a str,
}

/// A verified login.
pub struct Login {
    /// `sub`.
    pub subject: String,
    /// All claims of the ID token.
    pub claims: Map<String, Value>,
    /// The ID token as received.
    pub id_token: Secret,
}

/// A discovered identity provider.
pub struct Provider {
    settings: Settings,
    client: ConfiguredClient,
    keys: Keys,
    names_issuer: bool,
    http: HttpClient,
    clock: Clock,
}

impl Provider {
    /// Fetches the discovery document and the signing keys.
    ///
    /// # Errors
    /// The provider does not answer, or does not fit the settings.
    pub async fn discover(settings: Settings, http: HttpClient, clock: Clock) -> Result<Self, DiscoverError> {
        settings.issuer_host().map_err(DiscoverError::Wrong)?;
        let issuer = IssuerUrl::new(settings.issuer_url.clone())
            .map_err(|error| DiscoverError::Wrong(SettingError::new("oidc-issuer-url", error.to_string())))?;
        let metadata = Metadata::discover_async(issuer, &http)
            .await
            .map_err(|error| explain(error, &settings.issuer_url))?;
        check(&metadata, &settings).map_err(DiscoverError::Wrong)?;
        let keys = Keys::new(
            metadata.jwks_uri().clone(),
            metadata.jwks().clone(),
            http.clone(),
            clock.clone(),
        );
        let names_issuer = metadata
            .additional_metadata()
            .authorization_response_iss_parameter_supported;
        let by_post = posts_credentials(&metadata);
        let secret = settings
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let mut client =
            CoreClient::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), secret);
        if by_post {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        Ok(Self {
            settings,
            client,
            keys,
            names_issuer,
            http,
            clock,
        })
    }

    /// Identifier of the issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer_url
    }

    /// Address that a browser is sent to for a login.
    ///
    /// # Errors
    /// The redirect address is not a URL.
    pub fn authorization_url(&self, state: &str, binding: Binding<'_>) -> Result<String, RedeemError> {
        let verifier = PkceCodeVerifier::new(binding.verifier.to_owned());
        let (state, nonce) = (
            CsrfToken::new(state.to_owned()),
            Nonce::new(binding.nonce.to_owned()),
        );
        let (url, _, _) = self
            .client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .add_extra_param("response_mode", "query")
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(Cow::Owned(redirect_url(binding.redirect_uri)?))
            .url();
        Ok(url.into())
    }

    /// Whether an authorization response comes from this issuer, as far as it says so (RFC 9207).
    pub fn is_sender(&self, issuer: Option<&str>) -> bool {
        match issuer {
            Some(issuer) => issuer == self.settings.issuer_url,
            None => !self.names_issuer,
        }
    }

    /// Exchanges a code and checks the ID token.
    ///
    /// # Errors
    /// Any check fails.
    pub async fn redeem(&self, code: &str, binding: Binding<'_>) -> Result<Login, RedeemError> {
        let answer = self
            .client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| RedeemError::Malformed(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(binding.verifier.to_owned()))
            .set_redirect_uri(Cow::Owned(redirect_url(binding.redirect_uri)?))
            .request_async(&self.http)
            .await
            .map_err(refusal)?;
        let token = answer
            .id_token()
            .ok_or_else(|| RedeemError::Malformed("it holds no id_token".into()))?;
        let raw = Secret::new(token.to_string());
        if raw.expose().len() > MAX_ID_TOKEN {
            return Err(RedeemError::Malformed(format!(
                "the id_token is longer than {MAX_ID_TOKEN} bytes"
            )));
        }
        let nonce = Nonce::new(binding.nonce.to_owned());
        let checked = match self.check_token(token, answer.access_token(), &nonce) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                self.keys.refetch().await;
                self.check_token(token, answer.access_token(), &nonce)
            }
            checked => checked,
        };
        let subject = checked.map_err(|error| RedeemError::Token(reason(&error)))?;
        let claims = payload(raw.expose())
            .ok_or_else(|| RedeemError::Malformed("the id_token holds no claims".into()))?;
        self.check_times(&claims)?;
        Ok(Login {
            subject,
            claims,
            id_token: raw,
        })
    }

    /// The subject, if signature, issuer, audience, authorized party, times, nonce and access-token hash fit.
    fn check_token(
        &self,
        token: &CoreIdToken,
        access_token: &AccessToken,
        nonce: &Nonce,
    ) -> Result<String, ClaimsVerificationError> {
        let keys = self.keys.current();
        let now = self.clock.now();
        let issuer = IssuerUrl::new(self.settings.issuer_url.clone())
            .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        // A verifier without the client secret: no symmetric signature can ever count.
        let verifier =
            CoreIdTokenVerifier::new_public_client(self.client.client_id().clone(), issuer, (*keys).clone())
                .set_allowed_algs(self.settings.signing_algs.iter().map(|alg| alg.0.clone()))
                .set_time_fn(move || date(now - SKEW))
                .set_issue_time_verifier_fn(move |issued| match issued.timestamp() <= now + SKEW {
                    true => Ok(()),
                    false => Err("issued in the future".into()),
                });
        let claims = token.claims(&verifier, nonce)?;
        if let Some(party) = claims.authorized_party()
            && party.as_str() != self.settings.client_id
        {
            return Err(ClaimsVerificationError::InvalidAudience(
                "azp is another client".into(),
            ));
        }
        if let Some(expected) = claims.access_token_hash() {
            let alg = token
                .signing_alg()
                .map_err(ClaimsVerificationError::SignatureVerification)?;
            let key = token
                .signing_key(&verifier)
                .map_err(ClaimsVerificationError::SignatureVerification)?;
            let actual = AccessTokenHash::from_token(access_token, alg, key)
                .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
            if !equal(&actual, expected) {
                return Err(ClaimsVerificationError::Other(
                    "at_hash does not fit the access token".into(),
                ));
            }
        }
        Ok(claims.subject().to_string())
    }

    /// `nbf`, which OpenID Connect does not define and providers send all the same.
    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), RedeemError> {
        let not_yet = match claims.get("nbf") {
            None => false,
            Some(time) => time.as_i64().is_none_or(|time| time > self.clock.now() + SKEW),
        };
        match not_yet {
            true => Err(RedeemError::Token(
                "not valid yet, or nbf is no whole number".into(),
            )),
            false => Ok(()),
        }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.settings.issuer_url)
            .finish_non_exhaustive()
    }
}

fn explain(error: DiscoveryError<HttpError>, issuer_url: &str) -> DiscoverError {
    let doubtful = |setting, problem: String| DiscoverError::Doubtful(SettingError::new(setting, problem));
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
        DiscoveryError::Response(status, _, _) if status.is_server_error() || status.as_u16() == 429 => {
            DiscoverError::NotUp(format!("{address} answers {status}"))
        }
        DiscoveryError::Response(status, _, message) => doubtful(
            "oidc-issuer-url",
            format!("{address} answers {status} ({message})"),
        ),
        DiscoveryError::Parse(error) => doubtful(
            "oidc-issuer-url",
            format!("{address} is no discovery document: {error}"),
        ),
        DiscoveryError::Validation(message) => DiscoverError::Wrong(SettingError::new(
            "oidc-issuer-url",
            format!(
                "the provider at {address} has another name: {message}; write it exactly as the provider does"
            ),
        )),
        other => doubtful("oidc-issuer-url", other.to_string()),
    }
}

/// Whether what the provider says of itself fits the settings.
fn check(metadata: &Metadata, settings: &Settings) -> Result<(), SettingError> {
    let issuer = |problem: String| SettingError::new("oidc-issuer-url", problem);
    let token_endpoint = metadata.token_endpoint().ok_or_else(|| {
        issuer("the provider has no token endpoint: it does not support the code flow".into())
    })?;
    let endpoints = [
        ("authorization_endpoint", metadata.authorization_endpoint().url()),
        ("token_endpoint", token_endpoint.url()),
        ("jwks_uri", metadata.jwks_uri().url()),
    ];
    for (name, url) in endpoints {
        if url.scheme() != "https" {
            return Err(issuer(format!(
                "the provider's {name} {url} does not begin with https://"
            )));
        }
    }
    let offered = metadata.id_token_signing_alg_values_supported();
    if !settings.signing_algs.iter().any(|alg| offered.contains(&alg.0)) {
        return Err(SettingError::new(
            "oidc-signing-algs",
            format!("the provider signs with none of these; it offers {}", json!(offered)),
        ));
    }
    if settings.client_id.is_empty() {
        return Err(SettingError::new("oidc-client-id", "is empty"));
    }
    Ok(())
}

/// Whether the client's credentials go into the body: only where the provider does not take the header.
fn posts_credentials(metadata: &Metadata) -> bool {
    metadata
        .token_endpoint_auth_methods_supported()
        .is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        })
}

type TokenError = RequestTokenError<
    HttpError,
    openidconnect::StandardErrorResponse<openidconnect::core::CoreErrorResponseType>,
>;

fn refusal(error: TokenError) -> RedeemError {
    use openidconnect::core::CoreErrorResponseType as Kind;
    match error {
        RequestTokenError::ServerResponse(response) => {
            let kind = response.error();
            match kind {
                Kind::InvalidClient | Kind::UnauthorizedClient => RedeemError::Client(kind.to_string()),
                _ => RedeemError::Refused(kind.to_string()),
            }
        }
        RequestTokenError::Request(error) => RedeemError::Unavailable(error.to_string()),
        // The body behind a parse error may hold tokens: only the place of the error is told.
        RequestTokenError::Parse(error, _) => {
            RedeemError::Malformed(format!("unreadable at {}", error.path()))
        }
        RequestTokenError::Other(_) => RedeemError::Unavailable("no token response".into()),
    }
}

/// The kind of a failed check, without values from the token.
fn reason(error: &ClaimsVerificationError) -> String {
    use ClaimsVerificationError as E;
    match error {
        E::Expired(_) => "expired, or issued in the future (compare the clocks)",
        E::InvalidAudience(_) => "for another client or for several (aud, azp)",
        E::InvalidIssuer(_) => "from another issuer (iss)",
        E::InvalidNonce(_) => "for another login (nonce)",
        E::SignatureVerification(SignatureVerificationError::NoMatchingKey) => "signed with an unknown key",
        E::SignatureVerification(SignatureVerificationError::DisallowedAlg(_)) => {
            "signed with an algorithm that the setting oidc-signing-algs does not name"
        }
        E::SignatureVerification(SignatureVerificationError::NoSignature) => "not signed",
        E::SignatureVerification(_) => "its signature is wrong",
        E::Other(message) | E::Unsupported(message) => return message.clone(),
        _ => "a check failed",
    }
    .to_owned()
}

fn payload(token: &str) -> Option<Map<String, Value>> {
    let payload = BASE64URL.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn redirect_url(text: &str) -> Result<RedirectUrl, RedeemError> {
    RedirectUrl::new(text.to_owned()).map_err(|error| RedeemError::Malformed(error.to_string()))
}

fn date(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer_url: &str) -> Settings {
        Settings {
            issuer_url: issuer_url.into(),
            client_id: "gateway".into(),
            client_secret: Some(Secret::new("s3cret".into())),
            scopes: vec![],
            signing_algs: vec!["RS256".parse().unwrap()],
        }
    }

    #[test]
    fn only_asymmetric_algorithms_can_be_configured() {
        for name in ["RS256", "PS512", "ES384", "EdDSA"] {
            assert!(name.parse::<SigningAlg>().is_ok(), "{name}");
        }
        for name in ["none", "HS256", "HS512", "rs256", ""] {
            let error = name.parse::<SigningAlg>().unwrap_err();
            assert!(
                error.to_string().starts_with("setting oidc-signing-algs"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_issuer_is_a_plain_https_address() {
        assert_eq!(
            settings("https://identity.example:8443/realms/x")
                .issuer_host()
                .unwrap(),
            "identity.example"
        );
        for wrong in [
            "",
            "identity.example",
            "http://identity.example",
            "https://u@identity.example",
            "https://i.example?x",
        ] {
            let error = settings(wrong).issuer_host().unwrap_err();
            assert_eq!(error.setting, "oidc-issuer-url", "{wrong}");
        }
    }

    #[test]
    fn debug_output_does_not_show_the_client_secret() {
        assert!(!format!("{:?}", settings("https://i.example")).contains("s3cret"));
    }
}
