//! Claims -> token, signed with a valid or a wrong key; keys -> key set (pure).

use std::sync::LazyLock;

use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use aws_lc_rs::{hmac, rand, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::behaviour::{Behaviour, Signature};

/// All issuers of a process share these keys, because generating RSA keys takes long.
static KEYS: LazyLock<[rsa::KeyPair; 2]> = LazyLock::new(|| [new_key(), new_key()]);

fn new_key() -> rsa::KeyPair {
    rsa::KeyPair::generate(rsa::KeySize::Rsa2048)
        .unwrap_or_else(|_| unreachable!("the system has randomness"))
}

/// A token with these claims, signed as `behaviour` says. `client_secret` is the shared secret of client and issuer.
pub(super) fn signed(
    behaviour: &Behaviour,
    client_secret: &str,
    kind: &str,
    claims: Map<String, Value>,
) -> String {
    let alg = match behaviour.signature {
        Signature::Valid | Signature::ForeignKey | Signature::UnknownKeyId | Signature::RetiredKey => "RS256",
        Signature::PublicKeyAsSecret | Signature::ClientSecret => "HS256",
        Signature::None => "none",
    };
    let named_key = match behaviour.signature {
        Signature::UnknownKeyId => "unknown".to_owned(),
        Signature::RetiredKey => key_id(!behaviour.second_key).to_owned(),
        _ => key_id(behaviour.second_key).to_owned(),
    };
    let mut head = Map::from_iter([
        ("alg".to_owned(), json!(alg)),
        ("typ".to_owned(), json!(kind)),
        ("kid".to_owned(), json!(named_key)),
    ]);
    overlay(&mut head, &behaviour.header);
    let signed = format!(
        "{}.{}",
        encode(&Value::Object(head)),
        encode(&Value::Object(claims))
    );
    let signature = sign(behaviour, client_secret, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn sign(behaviour: &Behaviour, client_secret: &str, message: &[u8]) -> Vec<u8> {
    let rsa = |key: &rsa::KeyPair| {
        let mut signature = vec![0; key.public_modulus_len()];
        let done = key.sign(
            &RSA_PKCS1_SHA256,
            &rand::SystemRandom::new(),
            message,
            &mut signature,
        );
        done.map(|()| signature).unwrap_or_default()
    };
    let mac = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::sign(&key, message).as_ref().to_vec()
    };
    let [first, second] = &*KEYS;
    let (own, other) = if behaviour.second_key {
        (second, first)
    } else {
        (first, second)
    };
    match behaviour.signature {
        Signature::Valid => rsa(own),
        Signature::ForeignKey | Signature::UnknownKeyId | Signature::RetiredKey => rsa(other),
        Signature::PublicKeyAsSecret => mac(&modulus(own)),
        Signature::ClientSecret => mac(client_secret.as_bytes()),
        Signature::None => Vec::new(),
    }
}

fn key_id(second: bool) -> &'static str {
    if second { "second" } else { "first" }
}

/// The active key in the format of the key set.
pub(super) fn public_jwk(behaviour: &Behaviour) -> Value {
    let key = &KEYS[usize::from(behaviour.second_key)];
    json!({
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key_id(behaviour.second_key),
        "n": URL_SAFE_NO_PAD.encode(modulus(key)),
        "e": "AQAB",
    })
}

/// The modulus in `SEQUENCE { INTEGER modulus, INTEGER exponent }`. For keys of 2048 bits, both lengths take two bytes.
/// A zero byte keeps the number positive.
fn modulus(key: &rsa::KeyPair) -> Vec<u8> {
    let der = key.public_key().as_ref();
    der[9..9 + key.public_modulus_len()].to_vec()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Merges `changes` into `object`. `null` removes a member.
pub(super) fn overlay(object: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, value) in changes {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}
