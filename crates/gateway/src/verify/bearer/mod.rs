//! token of a request -> its user (IO for unknown tokens: API server, or the provider's keys).
//!
//! - `token`: the unverified content. `review`: `TokenReview` by the API server. `error`: why a token is refused.
//! - `open_socket`: checks again while a websocket is open.
//! - `cache`: recent answers. `settings`: flags.

mod cache;
mod error;
mod open_socket;
mod review;
pub(crate) mod settings;
mod token;

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use self::cache::Cache;
pub(super) use self::error::challenge;
pub(crate) use self::error::{TokenError, TokenRefusal};
pub(super) use self::open_socket::SocketToken;
use self::review::Reviews;
use self::token::{AcceptedTokens, TokenVerifier};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::oidc::claims::Identity;
use crate::oidc::{self, Providers, Registered};
use crate::pages::Failure;
use crate::session::{Credential, Session};
use crate::tokens::RandomId;
use crate::verify::request::Malformed;
use crate::verify::request::source_rule::single;

/// Which tokens are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BearerSettings {
    /// Audiences of users' tokens; empty: users' tokens are not accepted.
    pub audiences: Vec<String>,
    /// Issuers of service accounts' tokens.
    pub cluster: Vec<String>,
}

/// Checks tokens, with a cache. Every clone shares it.
#[derive(Clone)]
pub struct Bearer(Arc<Inner>);

struct Inner {
    settings: BearerSettings,
    providers: Arc<Providers>,
    reviews: Reviews,
    cache: Cache,
    clock: Clock,
    metrics: Metrics,
}

/// Maximum length of a token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// SHA-256 of the site's audience and the token.
type Digest = [u8; 32];

/// An accepted token.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) session: Arc<Session>,
    /// Time of the check, Unix seconds.
    asked: i64,
}

/// The bearer token of a request, if it carries one. The gateway ignores any other content of Authorization.
///
/// # Errors
/// There are several Authorization headers.
pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let value = single(headers, &AUTHORIZATION)?;
    Ok(value.and_then(|value| match value.split_once(' ') {
        Some((scheme, token)) => scheme.eq_ignore_ascii_case("Bearer").then_some(token),
        None => value.eq_ignore_ascii_case("Bearer").then_some(""),
    }))
}

impl Bearer {
    /// A new checker with an empty cache.
    pub fn new(
        settings: BearerSettings,
        providers: Arc<Providers>,
        client: kube::Client,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            providers,
            reviews: Reviews::new(client),
            cache: Cache::new(),
            clock,
            metrics,
        }))
    }

    /// Audiences of users' tokens.
    pub(super) fn audiences(&self) -> &[String] {
        &self.0.settings.audiences
    }

    /// The user of a token, from the cache or from a new check. `site`: the audience that service accounts' tokens must have.
    /// `pay`: called before a request to the API server or a signature check, unless the token was accepted not long ago.
    ///
    /// # Errors
    /// The token is refused, or it cannot be checked.
    pub(super) async fn verify(
        &self,
        token: &str,
        site: &str,
        pay: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Accepted, TokenError> {
        let (inner, now) = (&self.0, self.0.clock.now());
        // A token that is too long is not even hashed.
        if token.len() > MAX_TOKEN {
            return Err(self.refuse("unknown", TokenRefusal::TooLong));
        }
        let digest = digest(site, token);
        if let Some(accepted) = inner.cache.acceptance(&digest, now).await {
            inner.metrics.bearer(kind(&accepted.session.credential), "kept");
            return Ok(accepted);
        }
        if let Some(why) = inner.cache.refusal(&digest, now).await {
            return Err(self.refuse("unknown", why));
        }
        let expected = AcceptedTokens {
            site,
            cluster: &inner.settings.cluster,
            audiences: &inner.settings.audiences,
            providers: &inner.providers,
        };
        let claimed = token::read(token, expected, now).map_err(|why| self.refuse("unknown", why))?;
        // Forged tokens use up the rate limit of their address. Tokens that were accepted from there before still work.
        let is_known = inner.cache.is_known(&digest, now).await;
        let asking = async {
            if !is_known {
                pay()?;
            }
            let (identity, credential) = match claimed.by {
                TokenVerifier::Cluster => inner.reviews.ask(token, site).await?,
                TokenVerifier::Provider(provider) => self.user(provider, token).await?,
            };
            let session = Session {
                id: id(&digest),
                identity,
                end: claimed.ends,
                credential,
                id_token: None,
            };
            Ok(Accepted {
                session: Arc::new(session),
                asked: now,
            })
        };
        let kind = match claimed.by {
            TokenVerifier::Cluster => "service_account",
            TokenVerifier::Provider(_) => "user",
        };
        match inner.cache.answer(digest, asking).await {
            Ok(accepted) => {
                inner.metrics.bearer(kind, "accepted");
                Ok(accepted)
            }
            Err(TokenError::Refused(why)) => {
                inner.cache.refuse(digest, why.clone(), now).await;
                Err(self.refuse(kind, why))
            }
            Err(error) => {
                let outcome = match error {
                    TokenError::Failed(Failure::RateLimited(_)) => "rate_limited",
                    _ => "unavailable",
                };
                inner.metrics.bearer(kind, outcome);
                Err(error)
            }
        }
    }

    fn refuse(&self, kind: &'static str, why: TokenRefusal) -> TokenError {
        self.0.metrics.bearer(kind, "refused");
        why.into()
    }

    /// The user of a provider's token, with the same checks, mapping and admission as at a login.
    async fn user(&self, registered: &Registered, token: &str) -> Result<(Identity, Credential), TokenError> {
        let provider = registered.get().ok_or(Failure::Unavailable)?;
        let claims = provider.bearer(token, self.audiences()).await;
        let claims = claims.map_err(|error| match error {
            oidc::JwtError::KeysLater => TokenError::Failed(Failure::Unavailable),
            why => TokenRefusal::Token(why).into(),
        })?;
        let identity = registered
            .mapping
            .identify(&claims)
            .map_err(TokenRefusal::Identity)?;
        if let Err(outside) = registered.admission.check(&claims, &identity.groups) {
            return Err(TokenRefusal::NotAdmitted {
                user: identity.user_name,
                issuer: registered.issuer.clone(),
                outside,
            }
            .into());
        }
        Ok((identity, Credential::User))
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearer")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

fn kind(credential: &Credential) -> &'static str {
    credential.label().unwrap_or("unknown")
}

fn digest(site: &str, token: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(site.as_bytes());
    // A zero byte occurs in no audience and in no token.
    context.update(&[0]);
    context.update(token.as_bytes());
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// An identifier for the use of this token, where a session's would be. It leads to no session: no session's id is derived.
fn id(digest: &Digest) -> RandomId {
    let mut text = String::with_capacity(32);
    for byte in &digest[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    RandomId::try_from(text.as_str()).unwrap_or_else(|_| unreachable!("32 hexadecimal digits"))
}

#[cfg(test)]
mod tests;
