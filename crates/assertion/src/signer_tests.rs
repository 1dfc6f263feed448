//! Key and claims -> tokens of an issuer, for tests here and of the door (pure).

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, encode};
use serde_json::{Value, json};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "jupyter-k8s-gateway";
pub(crate) const AUDIENCE: &str = "uid-1";

/// One key of an issuer.
pub(crate) struct Signer {
    pub(crate) id: &'static str,
    private: Vec<u8>,
    pub(crate) public: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(id: &'static str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Self {
            id,
            private: pair.to_pkcs8().unwrap().as_ref().to_vec(),
            public: pair.public_key().as_ref().to_vec(),
        }
    }

    /// The key as it is published.
    pub(crate) fn public(&self) -> Value {
        let x = BASE64URL.encode(&self.public);
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.id, "x": x})
    }

    /// A good assertion of `now`, but for these claims; null: without it.
    pub(crate) fn sign_at(&self, now: i64, claims: &Value) -> String {
        let mut all = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "nbf": now, "exp": now + 60,
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let header = jsonwebtoken::Header {
            kid: Some(self.id.to_owned()),
            ..jsonwebtoken::Header::new(Algorithm::EdDSA)
        };
        encode(&header, &all, &EncodingKey::from_ed_der(&self.private)).unwrap()
    }

    /// The same of [`NOW`].
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_at(NOW, claims)
    }

    pub(crate) fn good(&self) -> String {
        self.sign(&json!({}))
    }
}

/// The keys as they are published together.
pub(crate) fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}
