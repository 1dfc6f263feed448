//! Tokens of scripts: of service accounts in the API server in memory, and of users of the identity provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use gateway::oidc::Registered;
use gateway::verify::BearerSettings as Settings;
use serde_json::{Value, json};

use crate::support::fixture::{AUTH, Fixture, ISSUER, NOW, mapping};

/// Issuer of service accounts' tokens.
pub(crate) const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
/// Audience of users' tokens.
pub(crate) const SCRIPTS: &str = "scripts";
/// A service account.
pub(crate) const SERVICE_ACCOUNT: &str = "system:serviceaccount:ci:robot";

/// A gateway that takes tokens, and the cluster's service accounts.
pub(crate) struct Tokens {
    pub(crate) fixture: Fixture,
    known: Arc<Mutex<HashMap<String, Value>>>,
}

impl Tokens {
    pub(crate) async fn new() -> Self {
        Self::of(Registered::only(ISSUER, mapping())).await
    }

    /// With this provider of users.
    pub(crate) async fn of(provider: Registered) -> Self {
        let settings = Settings {
            audiences: vec![SCRIPTS.into(), "robots".into()],
            cluster: vec![CLUSTER.into()],
        };
        let fixture = Fixture::taking_tokens(settings, provider).await;
        let known = Arc::<Mutex<HashMap<String, Value>>>::default();
        let register = known.clone();
        fixture.server.authenticate(move |spec| {
            let token = spec["token"].as_str().unwrap();
            match register.lock().unwrap().get(token) {
                Some(user) => json!({"authenticated": true, "audiences": spec["audiences"], "user": user}),
                None => json!({"authenticated": false, "error": "invalid bearer token"}),
            }
        });
        Self { fixture, known }
    }

    /// A token for this site that the API server knows, as it makes them for an hour.
    pub(crate) fn account(&self, user_name: &str) -> String {
        let claims = json!({"iss": CLUSTER, "aud": [AUTH], "exp": NOW + 3600, "sub": user_name});
        let token = token(&claims, self.known.lock().unwrap().len());
        let user = json!({
            "username": user_name,
            "uid": "uid-of-the-account",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/pod-name": ["job-1"]},
        });
        self.known.lock().unwrap().insert(token.clone(), user);
        token
    }

    /// The account, or the pod that the token is bound to, is gone.
    pub(crate) fn revoke(&self, token: &str) {
        self.known.lock().unwrap().remove(token);
    }

    /// A token of a user, of the client that scripts use, with these changes to its claims.
    pub(crate) fn user_token(&self, name: &str, changes: &Value) -> String {
        let claims = json!({"sub": format!("id-of-{name}"), "preferred_username": name, "groups": ["users"]});
        let claims = claims.as_object().unwrap().clone();
        self.fixture.issuer.change(|issuer| issuer.claims = claims);
        self.fixture.issuer.access_token(SCRIPTS, changes)
    }
}

/// An unknown token. `number` makes it differ from others.
pub(crate) fn token(claims: &Value, number: usize) -> String {
    let encode = |value: &Value| BASE64URL.encode(value.to_string());
    let signature = BASE64URL.encode(format!("signature {number}"));
    format!(
        "{}.{}.{signature}",
        encode(&json!({"alg": "RS256"})),
        encode(claims)
    )
}
