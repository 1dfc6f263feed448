//! identity provider -> redirects, and authorization code -> verified claims (IO).
//!
//! - `discovery`: waits for the provider, reads its `metadata`. `http`: sends requests to it. `dialer`: opens connections. `jwks`: its signing keys.
//! - `id_token`: verifies ID tokens. `claims`: maps them to Kubernetes names. `admission`: which users this installation admits.
//! - `renewal`: refresh tokens. `logout`: logout tokens. `end_session`: the provider's sign-out URL.
//! - `bearer`: tokens of scripts. `other_tokens`: signatures of tokens that are no ID tokens.
//! - `providers`: all providers that users may choose from.
//! - Settings: `args` are the flags, `providers_file` lists further providers, `clients` makes a client for each.
//! - `https_proxy`: a proxy between the gateway and all providers.
//! - `settings` checks one provider. `shared_domains` warns where a workspace can set a provider's cookies. `portal_users` checks what
//!   Kubernetes makes of users as whom the portal acts.

pub(crate) mod admission;
pub(crate) mod args;
mod bearer;
pub(crate) mod claims;
pub(crate) mod clients;
mod dialer;
pub(crate) mod discovery;
mod end_session;
pub(crate) mod http;
mod https_proxy;
mod id_token;
mod jwks;
mod logout;
mod metadata;
mod other_tokens;
pub(crate) mod portal_users;
mod providers;
mod providers_file;
mod renewal;
mod settings;
pub(crate) mod shared_domains;

use std::borrow::Cow;

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreTokenResponse};
use openidconnect::url::Url;
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, StandardErrorResponse, TokenResponse as _,
};
use serde_json::{Map, Value};

use kit::process::InvalidSetting;

pub use self::admission::Admission;
pub use self::claims::{Identity, Mapping};
pub use self::http::HttpClient;
use self::http::HttpError;
use self::id_token::{Expected, Received};
pub use self::id_token::{JwtError, Original};
pub(crate) use self::id_token::{SKEW, numeric_date, payload};
use self::jwks::{For, Keys};
pub use self::logout::Logout;
pub use self::metadata::DiscoverError;
use self::metadata::Metadata;
pub use self::providers::{CALLBACK, MAIN, Providers, Registered};
pub use self::renewal::Renewed;
pub use self::settings::{Settings, SigningAlg};
use crate::clock::Clock;
use crate::tokens::redacted::Secret;

/// Maximum length of an ID token, in bytes.
const MAX_ID_TOKEN: usize = 64 * 1024;
/// Maximum length of a refresh token, in bytes.
const MAX_REFRESH_TOKEN: usize = 32 * 1024;
/// Maximum length of a provider's session identifier, in bytes.
const MAX_SID: usize = 1024;
/// Maximum interval of renewals at the provider, in seconds.
const RENEW_AT_MOST: i64 = 5 * 60;
/// Minimum interval, however short the lifetime of access tokens.
pub(crate) const RENEW_AT_LEAST: i64 = 30;
/// Maximum length of an error code that is logged.
const LONGEST_CODE: usize = 40;

type ConfiguredClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider's error code for a code or refresh token that is not valid, or not any more.
pub(crate) const INVALID_GRANT: &str = "invalid_grant";

/// Why a code or a refresh token gave no claims. The texts contain no token, code or claim.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// The provider did not answer.
    #[error("the token endpoint gave no answer: {0}")]
    Unavailable(String),
    /// The provider refused the client: its credentials are wrong.
    #[error(
        "the token endpoint refused the client: check the Helm values oidc.clientId and oidc.clientSecretName ({0})"
    )]
    Client(String),
    /// The provider refused the code or refresh token.
    #[error("the token endpoint refused the code: {0}")]
    Refused(String),
    /// The answer is no token response, or contains no usable ID token.
    #[error("the token endpoint's answer cannot be used: {0}")]
    Malformed(String),
    /// The ID token failed a check.
    #[error("the ID token is refused: {0}")]
    Token(#[from] JwtError),
}

impl RedeemError {
    /// Whether the session ended at the provider: signed out, expired, or the user is disabled.
    pub(crate) fn is_end_of_session(&self) -> bool {
        matches!(self, Self::Refused(code) if code == INVALID_GRANT)
    }

    /// Whether requests for other sessions would fail as well at the moment.
    pub(crate) fn concerns_all(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Client(_))
    }

    /// Whether a repetition gives the same result: the provider itself refused, and not a server in its place.
    pub(crate) fn is_definite(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Refused(_))
    }
}

/// The values that bind an authorization response to its request.
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
    /// The parts of the answer that a session stores.
    pub tokens: Tokens,
}

/// The parts of a login that a session stores.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// The ID token as received.
    pub id_token: Secret,
    /// When it was issued, by the provider's clock (`iat`).
    pub issued: i64,
    /// The provider's own session (`sid`), if reported.
    pub sid: Option<String>,
    /// The refresh token, if the provider issued one.
    pub refresh_token: Option<Secret>,
    /// Seconds until the first renewal.
    pub renew_in: i64,
}

/// A discovered identity provider.
pub struct Provider {
    settings: Settings,
    client: ConfiguredClient,
    keys: Keys,
    names_issuer: bool,
    end_session: Option<Url>,
    other_prompt: &'static str,
    http: HttpClient,
    clock: Clock,
}

impl Provider {
    /// Fetches the discovery document and the signing keys.
    ///
    /// # Errors
    /// The provider does not answer, or does not fit the settings.
    pub async fn discover(
        mut settings: Settings,
        http: HttpClient,
        clock: Clock,
    ) -> Result<Self, DiscoverError> {
        settings.issuer_host().map_err(DiscoverError::Wrong)?;
        let issuer = IssuerUrl::new(settings.issuer_url.clone()).map_err(|error| {
            DiscoverError::Wrong(InvalidSetting::new("oidc-issuer-url", error.to_string()))
        })?;
        let metadata = Metadata::discover_async(issuer, &http)
            .await
            .map_err(|error| metadata::explain(error, &settings.issuer_url))?;
        metadata::check(&metadata, &settings).map_err(DiscoverError::Wrong)?;
        let keys = Keys::new(
            metadata.jwks_uri().clone(),
            metadata.jwks().clone(),
            http.clone(),
            clock.clone(),
        );
        let listed = metadata.scopes_supported().map_or(&[][..], Vec::as_slice);
        let wanted = std::mem::take(&mut settings.optional_scopes).into_iter();
        let is_new = |scope: &String, scopes: &[String]| {
            !scopes.contains(scope) && listed.iter().any(|listed| **listed == *scope)
        };
        let wanted: Vec<_> = wanted.filter(|scope| is_new(scope, &settings.scopes)).collect();
        settings.scopes.extend(wanted);
        let names_issuer = metadata
            .additional_metadata()
            .authorization_response_iss_parameter_supported;
        let end_session = metadata.additional_metadata().end_session_endpoint.clone();
        let other_prompt = metadata::prompt_for_another(metadata.additional_metadata());
        let by_post = metadata::posts_credentials(&metadata);
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
            end_session,
            other_prompt,
            http,
            clock,
        })
    }

    /// Identifier of the issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer_url
    }

    /// URL that starts a login in the browser. `another`: the user wants to sign in as another user than the provider's present
    /// one.
    ///
    /// # Errors
    /// The redirect address is not a URL.
    pub fn authorization_url(
        &self,
        state: &str,
        binding: Binding<'_>,
        another: bool,
    ) -> Result<String, RedeemError> {
        let verifier = PkceCodeVerifier::new(binding.verifier.to_owned());
        let (state, nonce) = (
            CsrfToken::new(state.to_owned()),
            Nonce::new(binding.nonce.to_owned()),
        );
        let mut request = self
            .client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .add_extra_param("response_mode", "query")
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(Cow::Owned(redirect_url(binding.redirect_uri)?));
        if another {
            request = request.add_extra_param("prompt", self.other_prompt);
        }
        let (url, _, _) = request.url();
        Ok(url.into())
    }

    /// Whether an authorization response comes from this issuer, as far as it reports one (RFC 9207).
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
        let id_token = Secret::new(token.to_string());
        let received = Received {
            token,
            text: id_token.expose(),
            access_token: answer.access_token(),
        };
        let expected = Expected::Login { nonce: binding.nonce };
        let (subject, claims) = self.verify(received, expected).await?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let tokens = Tokens {
            issued: claims.get("iat").and_then(numeric_date).unwrap_or_default(),
            sid: text("sid").filter(|sid| sid.len() <= MAX_SID).map(str::to_owned),
            refresh_token: refresh_token(&answer),
            renew_in: renew_in(&answer),
            id_token,
        };
        Ok(Login {
            subject,
            claims,
            tokens,
        })
    }

    /// Verifies an ID token. Fetches new keys if the token names an unknown one.
    async fn verify(
        &self,
        received: Received<'_>,
        expected: Expected<'_>,
    ) -> Result<(String, Map<String, Value>), JwtError> {
        if received.text.len() > MAX_ID_TOKEN {
            return Err(JwtError::TooLong);
        }
        let verify = |keys: &_| id_token::verify(received, &self.settings, keys, expected, self.clock.now());
        self.keys.verify(For::Login, verify).await
    }
}

/// The refresh token of an answer; `None` if it is too long for a session.
fn refresh_token(answer: &CoreTokenResponse) -> Option<Secret> {
    let token = answer.refresh_token()?.secret();
    (token.len() <= MAX_REFRESH_TOKEN).then(|| Secret::new(token.clone()))
}

/// Time of the next renewal: when the access token expires, and after five minutes at the latest.
fn renew_in(answer: &CoreTokenResponse) -> i64 {
    let life = answer
        .expires_in()
        .and_then(|life| i64::try_from(life.as_secs()).ok());
    life.unwrap_or(RENEW_AT_MOST).clamp(RENEW_AT_LEAST, RENEW_AT_MOST)
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.settings.issuer_url)
            .finish_non_exhaustive()
    }
}

type TokenError = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

fn refusal(error: TokenError) -> RedeemError {
    use CoreErrorResponseType as Kind;
    match error {
        RequestTokenError::ServerResponse(response) => {
            let kind = response.error();
            match kind {
                // Temporary errors, with whatever status they come.
                Kind::Extension(own)
                    if ["temporarily_unavailable", "server_error", "slow_down"].contains(&own.as_str()) =>
                {
                    RedeemError::Unavailable(error_code(kind))
                }
                Kind::InvalidClient | Kind::UnauthorizedClient => RedeemError::Client(error_code(kind)),
                _ => RedeemError::Refused(error_code(kind)),
            }
        }
        RequestTokenError::Request(error) => RedeemError::Unavailable(error.to_string()),
        // The body behind a parse error may contain tokens. Only the position of the error is logged.
        RequestTokenError::Parse(error, _) => {
            RedeemError::Malformed(format!("unreadable at {}", error.path()))
        }
        RequestTokenError::Other(_) => RedeemError::Unavailable("no token response".into()),
    }
}

/// The error, for logs. An unknown code is logged only if it has the form of a code, because it could repeat the request.
fn error_code(kind: &CoreErrorResponseType) -> String {
    let word = kind.to_string();
    let is_word =
        word.len() <= LONGEST_CODE && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    if is_word {
        word
    } else {
        "an error that is not a word".to_owned()
    }
}

fn redirect_url(text: &str) -> Result<RedirectUrl, RedeemError> {
    RedirectUrl::new(text.to_owned()).map_err(|error| RedeemError::Malformed(error.to_string()))
}
