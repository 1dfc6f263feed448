//! Address of an identity provider -> its behaviour, correct or wrong (pure).

use std::collections::HashMap;

use serde_json::{Map, Value};

/// How an ID token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// RS256 with the key in the key set.
    Valid,
    /// RS256 with another key, under the ID of the published key.
    ForeignKey,
    /// RS256 with a key whose ID is not in the key set.
    UnknownKeyId,
    /// RS256 with the key that is currently unpublished, under its own ID.
    RetiredKey,
    /// HS256 with the modulus of the published key as the shared secret.
    PublicKeyAsSecret,
    /// HS256 with the client's secret.
    ClientSecret,
    /// `alg: none` and no signature.
    None,
}

/// Behaviour of the issuer. It is correct by default. Set a field to make one thing wrong.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one per thing that can be wrong")]
pub struct Behaviour {
    /// Claims of the user who signs in next. `sub` is required.
    pub claims: Map<String, Value>,
    /// Claims that replace correct ones in the ID token. `null` omits one.
    pub wrong: Map<String, Value>,
    /// Members that replace correct ones in the ID token's header.
    pub header: Map<String, Value>,
    /// How the ID token is signed.
    pub signature: Signature,
    /// The issuer's clock, in Unix seconds.
    pub now: i64,
    /// Whether the metadata announces that authorization responses name the issuer (RFC 9207).
    pub announces_issuer: bool,
    /// The issuer in authorization responses.
    pub response_issuer: Option<String>,
    /// Whether clients must send their credentials in the body.
    pub credentials_in_body: bool,
    /// Whether the issuer publishes its second key and signs with it.
    pub second_key: bool,
    /// Status of a failure of every endpoint.
    pub failure: Option<u16>,
    /// Whether only the key set fails, with 500.
    pub loses_keys: bool,
    /// `error` of the token endpoint's refusal.
    pub token_error: Option<&'static str>,
    /// Whether the issuer never answers. Callers of [`Issuer::answer`] must check this.
    pub silent: bool,
    /// Whether the issuer returns refresh tokens.
    pub refreshes: bool,
    /// Whether each refresh token is valid once. A second use then ends the whole session.
    pub rotates: bool,
    /// Whether the response to a refresh token contains an ID token.
    pub renews_id_token: bool,
    /// Lifetime of access tokens, in seconds; `None`: the response omits it.
    pub access_life: Option<i64>,
    /// By `sub`: claims that replace those of the login; `None`: the user is disabled.
    pub claims_by_subject: HashMap<String, Option<Map<String, Value>>>,
    /// Whether the issuer supports ending its sessions.
    pub ends_sessions: bool,
    /// Supported scopes in the metadata; `None`: the metadata omits the list.
    pub scopes: Option<&'static [&'static str]>,
    /// Supported values of `prompt` in the metadata; `None`: the metadata omits the list.
    pub prompts: Option<&'static [&'static str]>,
}

impl Behaviour {
    /// The correct behaviour of an issuer with this address, at `now` (Unix seconds).
    pub(super) fn right(url: &str, now: i64) -> Self {
        Self {
            claims: Map::new(),
            wrong: Map::new(),
            header: Map::new(),
            signature: Signature::Valid,
            now,
            announces_issuer: true,
            response_issuer: Some(url.to_owned()),
            credentials_in_body: false,
            second_key: false,
            failure: None,
            loses_keys: false,
            token_error: None,
            silent: false,
            refreshes: true,
            rotates: false,
            renews_id_token: true,
            access_life: Some(300),
            claims_by_subject: HashMap::new(),
            ends_sessions: true,
            scopes: None,
            prompts: None,
        }
    }
}
