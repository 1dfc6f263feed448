//! OpenID Connect requests -> answers of an in-memory identity provider (pure: no sockets).
//!
//! It signs in the configured user. It checks what a provider must check: client, redirect address, PKCE, single use of
//! codes. Each part of its ID tokens can be made wrong.
//!
//! - `behaviour`: configures failures
//! - `signing`: signs the tokens

mod behaviour;
mod signing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};

pub use self::behaviour::{Behaviour, Signature};
use self::signing::{overlay, public_jwk, signed};

#[derive(Clone)]
struct Grant {
    sid: String,
    nonce: String,
    challenge: String,
    redirect_uri: String,
    claims: Map<String, Value>,
}

struct State {
    behaviour: Behaviour,
    grants: HashMap<String, Grant>,
    refreshable: HashMap<String, Grant>,
    /// Used refresh tokens, each with its session.
    used: HashMap<String, String>,
    requests: Vec<String>,
}

/// An identity provider. Clones share their state.
#[derive(Clone)]
pub struct Issuer {
    url: String,
    client_id: String,
    client_secret: String,
    state: Arc<Mutex<State>>,
}

impl Issuer {
    /// An issuer with this address and one client, at `now` (Unix seconds).
    pub fn new(url: &str, client_id: &str, client_secret: &str, now: i64) -> Self {
        Self {
            url: url.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            state: Arc::new(Mutex::new(State {
                behaviour: Behaviour::right(url, now),
                grants: HashMap::new(),
                refreshable: HashMap::new(),
                used: HashMap::new(),
                requests: Vec::new(),
            })),
        }
    }

    /// Changes the behaviour from now on.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.lock().behaviour);
    }

    /// Paths of the requests since the last call of this method.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().requests)
    }

    /// Whether the issuer currently does not answer.
    pub fn is_silent(&self) -> bool {
        self.lock().behaviour.silent
    }

    /// A logout token with these claims in place of correct ones, signed like ID tokens. `null` omits a claim.
    pub fn logout_token(&self, changes: &Value) -> String {
        let state = self.lock();
        let now = state.behaviour.now;
        let mut claims = Map::new();
        for (name, value) in [
            ("iss", json!(self.url)),
            ("aud", json!(self.client_id)),
            ("iat", json!(now)),
            ("exp", json!(now + 120)),
            ("jti", json!(random_text())),
            (
                "events",
                json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
            ),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(changes) = changes.as_object() {
            overlay(&mut claims, changes);
        }
        signed(&state.behaviour, &self.client_secret, "logout+jwt", claims)
    }

    /// An access token of the user for `audience`, issued to another client than the gateway's.
    /// These claims replace correct ones, and `null` omits a claim. It is signed like ID tokens.
    pub fn access_token(&self, audience: &str, changes: &Value) -> String {
        let state = self.lock();
        let now = state.behaviour.now;
        let mut claims = state.behaviour.claims.clone();
        for (name, value) in [
            ("iss", json!(self.url)),
            ("aud", json!([audience, "account"])),
            ("azp", json!("scripts")),
            ("iat", json!(now)),
            ("exp", json!(now + 300)),
            ("jti", json!(random_text())),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(changes) = changes.as_object() {
            overlay(&mut claims, changes);
        }
        signed(&state.behaviour, &self.client_secret, "at+jwt", claims)
    }

    /// The redirect address for the browser after the user signed in at `authorization_url`.
    ///
    /// # Errors
    /// What is wrong with the authorization request.
    pub fn authorize(&self, authorization_url: &str) -> Result<String, String> {
        let query = authorization_url
            .strip_prefix(&format!("{}/authorize?", self.url))
            .ok_or("not the authorization endpoint")?;
        let values: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let value = |name: &str| {
            values
                .get(name)
                .cloned()
                .ok_or_else(|| format!("{name} is missing"))
        };
        for (name, expected) in [
            ("response_type", "code"),
            ("response_mode", "query"),
            ("client_id", self.client_id.as_str()),
            ("code_challenge_method", "S256"),
        ] {
            if value(name)? != expected {
                return Err(format!("{name} is not {expected}"));
            }
        }
        if !value("scope")?.split(' ').any(|scope| scope == "openid") {
            return Err("scope does not hold openid".into());
        }
        let (state, redirect_uri) = (value("state")?, value("redirect_uri")?);
        let code = random_text();
        let mut locked = self.lock();
        let grant = Grant {
            sid: random_text(),
            nonce: value("nonce")?,
            challenge: value("code_challenge")?,
            redirect_uri: redirect_uri.clone(),
            claims: locked.behaviour.claims.clone(),
        };
        locked.grants.insert(code.clone(), grant);
        let mut answer = form_urlencoded::Serializer::new(String::new());
        answer.append_pair("code", &code).append_pair("state", &state);
        if let Some(issuer) = &locked.behaviour.response_issuer {
            answer.append_pair("iss", issuer);
        }
        Ok(format!("{redirect_uri}?{}", answer.finish()))
    }

    /// Answers a request to one of the endpoints.
    pub fn answer(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let uri = request.uri().to_string();
        let path = uri.strip_prefix(&self.url).unwrap_or_default();
        let mut state = self.lock();
        state.requests.push(path.to_owned());
        if let Some(status) = state.behaviour.failure {
            return reply(status, &json!({"error": "temporarily_unavailable"}));
        }
        match (request.method(), path) {
            (&Method::GET, "/.well-known/openid-configuration") => {
                reply(200, &self.metadata(&state.behaviour))
            }
            (&Method::GET, "/jwks") if state.behaviour.loses_keys => reply(500, &Value::Null),
            (&Method::GET, "/jwks") => reply(200, &json!({"keys": [public_jwk(&state.behaviour)]})),
            (&Method::POST, "/token") => match self.token(&mut state, request) {
                Ok(answer) => reply(200, &answer),
                Err(error) => reply(400, &json!({"error": error})),
            },
            _ => reply(404, &Value::Null),
        }
    }

    fn metadata(&self, behaviour: &Behaviour) -> Value {
        let url = &self.url;
        json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/jwks"),
            "end_session_endpoint": behaviour.ends_sessions.then(|| format!("{url}/logout")),
            "prompt_values_supported": behaviour.prompts,
            "scopes_supported": behaviour.scopes,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": behaviour.announces_issuer,
            "token_endpoint_auth_methods_supported":
                [if behaviour.credentials_in_body { "client_secret_post" } else { "client_secret_basic" }],
        })
    }

    fn token(&self, state: &mut State, request: &Request<Vec<u8>>) -> Result<Value, &'static str> {
        let form: HashMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let header = request.headers().get(header::AUTHORIZATION);
        let proven = if state.behaviour.credentials_in_body {
            header.is_none()
                && field("client_id") == self.client_id
                && field("client_secret") == self.client_secret
        } else {
            let credentials = STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret));
            header.is_some_and(|header| *header == format!("Basic {credentials}"))
        };
        if !proven {
            return Err("invalid_client");
        }
        if let Some(error) = state.behaviour.token_error {
            return Err(error);
        }
        let grant = match field("grant_type") {
            "authorization_code" => redeemed(state, &field)?,
            "refresh_token" => refreshed(state, field("refresh_token"))?,
            _ => return Err("unsupported_grant_type"),
        };
        let is_login = field("grant_type") == "authorization_code";
        let access_token = random_text();
        let mut answer = json!({"access_token": access_token, "token_type": "Bearer"});
        if let Some(life) = state.behaviour.access_life {
            answer["expires_in"] = json!(life);
        }
        if is_login || state.behaviour.renews_id_token {
            answer["id_token"] = json!(self.id_token(&state.behaviour, &grant, &access_token, is_login));
        }
        if state.behaviour.refreshes && (is_login || state.behaviour.rotates) {
            let token = random_text();
            answer["refresh_token"] = json!(token);
            state.refreshable.insert(token, grant);
        }
        Ok(answer)
    }

    fn id_token(&self, behaviour: &Behaviour, grant: &Grant, access_token: &str, is_login: bool) -> String {
        let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
        let mut claims = grant.claims.clone();
        for (name, value) in [
            ("iss", json!(self.url)),
            ("aud", json!(self.client_id)),
            ("azp", json!(self.client_id)),
            ("iat", json!(behaviour.now)),
            ("exp", json!(behaviour.now + 300)),
            ("nonce", if is_login { json!(grant.nonce) } else { Value::Null }),
            ("sid", json!(grant.sid)),
            ("at_hash", json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        claims.retain(|_, value| !value.is_null());
        overlay(&mut claims, &behaviour.wrong);
        signed(behaviour, &self.client_secret, "JWT", claims)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Redeems a code if the request matches the one that the code was issued for.
fn redeemed<'a>(state: &mut State, field: &impl Fn(&str) -> &'a str) -> Result<Grant, &'static str> {
    let grant = state.grants.remove(field("code")).ok_or("invalid_grant")?;
    let challenge = digest::digest(&digest::SHA256, field("code_verifier").as_bytes());
    let proven = URL_SAFE_NO_PAD.encode(challenge) == grant.challenge;
    if field("redirect_uri") != grant.redirect_uri || !proven {
        return Err("invalid_grant");
    }
    Ok(grant)
}

/// Redeems a refresh token, with the user's current claims.
fn refreshed(state: &mut State, token: &str) -> Result<Grant, &'static str> {
    if let Some(sid) = state.used.get(token).cloned() {
        state.refreshable.retain(|_, grant| grant.sid != sid);
    }
    let mut grant = state.refreshable.get(token).cloned().ok_or("invalid_grant")?;
    if state.behaviour.rotates {
        state.refreshable.remove(token);
        state.used.insert(token.to_owned(), grant.sid.clone());
    }
    let subject = grant.claims["sub"].as_str().unwrap_or_default();
    match state.behaviour.claims_by_subject.get(subject) {
        Some(None) => Err("invalid_grant"),
        Some(Some(claims)) => {
            grant.claims.clone_from(claims);
            Ok(grant)
        }
        None => Ok(grant),
    }
}

fn random_text() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).unwrap_or_else(|_| unreachable!("the system has randomness"));
    URL_SAFE_NO_PAD.encode(bytes)
}

fn reply(status: u16, body: &Value) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_string().into_bytes());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://identity.example/realms/x";

    fn ask(issuer: &Issuer, form: &str) -> (StatusCode, Value) {
        let request = Request::post(format!("{URL}/token"))
            .header(
                "authorization",
                format!("Basic {}", STANDARD.encode("gateway:s3cret")),
            )
            .body(form.as_bytes().to_vec())
            .unwrap();
        let answer = issuer.answer(&request);
        (answer.status(), serde_json::from_slice(answer.body()).unwrap())
    }

    #[test]
    fn a_code_counts_once_and_only_with_its_verifier() {
        let issuer = Issuer::new(URL, "gateway", "s3cret", 1000);
        issuer.change(|issuer| {
            issuer.claims.insert("sub".into(), json!("1"));
        });
        // The example in RFC 7636.
        let (verifier, challenge) = (
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        );
        let begin = || {
            let location = issuer
                .authorize(&format!(
                    "{URL}/authorize?response_type=code&response_mode=query&client_id=gateway&code_challenge_method=S256\
                     &scope=openid&state=s&nonce=n&redirect_uri=https://auth/callback&code_challenge={challenge}"
                ))
                .unwrap();
            location
                .split("code=")
                .nth(1)
                .unwrap()
                .split('&')
                .next()
                .unwrap()
                .to_owned()
        };
        let redeem = |code: &str, verifier: &str| {
            ask(
                &issuer,
                &format!(
                    "grant_type=authorization_code&code={code}&redirect_uri=https://auth/callback&code_verifier={verifier}"
                ),
            )
        };
        assert_eq!(redeem(&begin(), "other").1["error"], "invalid_grant");
        let code = begin();
        let (status, tokens) = redeem(&code, verifier);
        assert_eq!(status, StatusCode::OK);
        let payload = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("1"), &json!("n")));
        assert_eq!(redeem(&code, verifier).1["error"], "invalid_grant");
    }
}
