//! What an identity provider does, right or wrong.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::signing::Signature;

/// What the issuer does. Everything is right at first; set a field to make one thing wrong.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one per thing that can be wrong")]
pub struct Behaviour {
    /// Claims of the person who signs in next; `sub` is needed.
    pub person: Map<String, Value>,
    /// Claims that replace right ones in the ID token; `null` leaves one out.
    pub wrong: Map<String, Value>,
    /// Members that replace right ones in the ID token's header.
    pub header: Map<String, Value>,
    /// How the ID token is signed.
    pub signature: Signature,
    /// Unix seconds of the issuer's clock.
    pub now: i64,
    /// Whether authorization responses are announced to name the issuer (RFC 9207).
    pub announces_issuer: bool,
    /// The issuer that authorization responses name.
    pub response_issuer: Option<String>,
    /// Whether clients must send their credentials in the body.
    pub credentials_in_body: bool,
    /// Whether it publishes and signs with its second key.
    pub second_key: bool,
    /// Status with which every endpoint fails.
    pub failure: Option<u16>,
    /// Whether the key set, and nothing else, is answered with 500.
    pub loses_keys: bool,
    /// `error` with which the token endpoint refuses.
    pub token_error: Option<&'static str>,
    /// Whether it answers nothing at all. Whoever calls [`Issuer::answer`] has to look.
    pub silent: bool,
    /// Whether it gives refresh tokens.
    pub refreshes: bool,
    /// Whether each refresh token counts once, and using one again ends the whole session.
    pub rotates: bool,
    /// Whether the answer to a refresh token holds an ID token.
    pub renews_id_token: bool,
    /// Life of access tokens, in seconds; `None`: it does not tell.
    pub access_life: Option<i64>,
    /// By `sub`: claims in place of those of the login; `None`: the person is disabled.
    pub people: HashMap<String, Option<Map<String, Value>>>,
    /// Whether it can end its own sessions.
    pub ends_sessions: bool,
    /// What it lists of `prompt`; `None`: nothing is listed.
    pub prompts: Option<&'static [&'static str]>,
}

impl Behaviour {
    /// Of an issuer with this address that errs in nothing, at `now` (Unix seconds).
    pub(super) fn right(url: &str, now: i64) -> Self {
        Self {
            person: Map::new(),
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
            people: HashMap::new(),
            ends_sessions: true,
            prompts: None,
        }
    }
}
