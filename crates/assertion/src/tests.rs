//! One corpus of tokens, good and forged, for all who check them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, encode};
use serde_json::{Value, json};

use self::signer::{AUDIENCE, ISSUER, NOW, Signer, key_set};
use super::*;

#[path = "signer_tests.rs"]
mod signer;

fn verifier(signers: &[&Signer]) -> Verifier {
    let keys: Vec<_> = signers.iter().map(|signer| signer.public()).collect();
    Verifier::new(&key_set(&keys)).unwrap()
}

/// What is wrong with this token; `None`: nothing.
fn refusal(token: &str) -> Option<InvalidAssertion> {
    let verifier = verifier(&[&Signer::new("g", 1)]);
    verifier.check(token, ISSUER, AUDIENCE, NOW).err()
}

#[test]
fn a_good_assertion_tells_all_its_claims() {
    let signer = Signer::new("g", 1);
    let checked = |token: &str| verifier(&[&signer]).check(token, ISSUER, AUDIENCE, NOW).unwrap();
    let plain = checked(&signer.good());
    assert_eq!((plain.subject.as_str(), plain.ends), ("alice", NOW + 60));
    assert_eq!(
        (plain.session_end, plain.bearer, plain.owner),
        (None, false, false)
    );
    assert_eq!(plain.groups, [""; 0]);
    let groups = ["a, \"b\"", "Zo\u{eb}"];
    let whole = checked(&signer.sign(&json!({
        "groups": groups, "session_end": 9000, "bearer": true, "owner": true, "of_later_versions": {},
    })));
    assert_eq!(
        (whole.session_end, whole.bearer, whole.owner),
        (Some(9000), true, true)
    );
    assert_eq!(whole.groups, groups);
}

#[test]
fn clocks_may_differ_by_ten_seconds() {
    let signer = Signer::new("g", 1);
    let of = |token: &str, now| verifier(&[&signer]).check(token, ISSUER, AUDIENCE, now).err();
    let late = Some(InvalidAssertion::Time);
    let good = signer.good();
    for (seconds, expected) in [
        (-10_000, late),
        (-11, late),
        (-10, None),
        (0, None),
        (69, None),
        (70, late),
        (10_000, late),
    ] {
        assert_eq!(of(&good, NOW + seconds), expected, "{seconds}");
    }
    // Issued in the future.
    assert_eq!(of(&signer.sign(&json!({"iat": NOW + 10})), NOW), None);
    assert_eq!(of(&signer.sign(&json!({"iat": NOW + 11})), NOW), late);
}

#[test]
fn other_audiences_and_issuers_are_refused() {
    let signer = Signer::new("g", 1);
    for claims in [
        json!({"aud": "uid-2"}),
        json!({"aud": "portal"}),
        json!({"aud": ""}),
        json!({"aud": [AUDIENCE]}),
        json!({"aud": [AUDIENCE, "uid-2"]}),
        json!({"iss": "somebody"}),
        json!({"iss": [ISSUER]}),
    ] {
        let refused = refusal(&signer.sign(&claims));
        assert_eq!(refused, Some(InvalidAssertion::Other), "{claims}");
    }
}

#[test]
fn claims_that_are_missing_or_of_another_type_are_refused() {
    let signer = Signer::new("g", 1);
    for claim in ["iss", "aud", "sub", "iat", "nbf", "exp"] {
        let refused = refusal(&signer.sign(&json!({claim: null})));
        assert_eq!(refused, Some(InvalidAssertion::Other), "{claim}");
    }
    for claims in [
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": ["alice"]}),
        json!({"exp": (NOW + 60).to_string()}),
        json!({"nbf": "0"}),
        json!({"iat": 0.5}),
        json!({"groups": "admins"}),
        json!({"groups": [1]}),
        json!({"session_end": "never"}),
        json!({"bearer": "true"}),
        json!({"owner": 1}),
    ] {
        let refused = refusal(&signer.sign(&claims));
        assert_eq!(refused, Some(InvalidAssertion::Other), "{claims}");
    }
}

#[test]
fn other_keys_are_refused_and_an_unpublished_one_has_its_own_error() {
    let wrong = Signer::new("g", 9);
    assert_eq!(refusal(&wrong.good()), Some(InvalidAssertion::Other));
    let unpublished = Signer::new("later", 1);
    assert_eq!(refusal(&unpublished.good()), Some(InvalidAssertion::UnknownKey));
    // Each of several keys counts.
    let (first, second) = (Signer::new("g", 1), Signer::new("later", 5));
    let both = verifier(&[&first, &second]);
    for signer in [&first, &second] {
        assert!(
            both.check(&signer.good(), ISSUER, AUDIENCE, NOW).is_ok(),
            "{}",
            signer.id
        );
    }
}

#[test]
fn the_algorithm_is_fixed() {
    let signer = Signer::new("g", 1);
    let good = signer.good();
    let (_, rest) = good.split_once('.').unwrap();
    let body = rest.split_once('.').unwrap().0;
    for header in [
        json!({"alg": "none", "kid": "g"}),
        json!({"alg": "HS256", "kid": "g"}),
        json!({"alg": "RS256", "kid": "g"}),
        json!({"alg": "EdDSA", "kid": ["g"]}),
        json!({"alg": "EdDSA", "kid": "g", "crit": ["b64"], "b64": true}),
        json!({"alg": "EdDSA", "kid": "g", "crit": []}),
        json!({"kid": "g"}),
        json!({}),
    ] {
        let encoded = BASE64URL.encode(header.to_string());
        for token in [format!("{encoded}.{rest}"), format!("{encoded}.{body}.")] {
            assert_eq!(refusal(&token), Some(InvalidAssertion::Other), "{header}");
        }
    }
    let anonymous = BASE64URL.encode(r#"{"alg":"EdDSA","typ":"JWT"}"#);
    let refused = refusal(&format!("{anonymous}.{rest}"));
    assert_eq!(refused, Some(InvalidAssertion::UnknownKey));
    // Signed with the public key as if it were a shared secret.
    let claims: Value = serde_json::from_slice(&BASE64URL.decode(body).unwrap()).unwrap();
    let header = jsonwebtoken::Header {
        kid: Some("g".to_owned()),
        ..jsonwebtoken::Header::new(Algorithm::HS256)
    };
    let forged = encode(&header, &claims, &EncodingKey::from_secret(&signer.public)).unwrap();
    assert_eq!(refusal(&forged), Some(InvalidAssertion::Other));
}

#[test]
fn what_is_no_token_is_refused() {
    let signer = Signer::new("g", 1);
    let good = signer.good();
    assert_eq!(refusal(&good), None);
    let [head, body, signature] = [0, 1, 2].map(|part| good.split('.').nth(part).unwrap());
    let other = signer.sign(&json!({"sub": "mallory"}));
    let other = other.split('.').nth(1).unwrap();
    for text in [
        "",
        ".",
        "..",
        "a.b.c",
        &"x".repeat(10_000),
        &format!("{good}."),
        &format!("{good}.{signature}"),
        &format!(" {good}"),
        &format!("{good}="),
        &format!("{good}, {good}"),
        &good[..good.len() - 4],
        &format!("{head}.{body}."),
        &format!("{head}.{other}.{signature}"),
        &format!("{head}.{}.{signature}", BASE64URL.encode("[]")),
    ] {
        assert_eq!(refusal(text), Some(InvalidAssertion::Other), "{text}");
    }
}

#[test]
fn a_key_set_without_a_usable_key_is_an_error() {
    for text in ["", "{}", "[]", r#"{"keys": 1}"#, r#"{"keys": ["x"]}"#] {
        let read = Verifier::new(text);
        assert!(matches!(read, Err(InvalidKeySet::Malformed(_))), "{text}");
    }
    let usable = Signer::new("g", 1).public();
    let with = |name: &str, value: Value| {
        let mut key = usable.clone();
        key[name] = value;
        key
    };
    for key in [
        json!({"kty": "OKP"}),
        with("kid", Value::Null),
        with("use", json!("enc")),
        with("alg", json!("RS256")),
        with("alg", Value::Null),
        with("x", json!("not base64")),
    ] {
        let read = Verifier::new(&key_set(std::slice::from_ref(&key)));
        assert!(
            matches!(read, Err(InvalidKeySet::NoKey | InvalidKeySet::Malformed(_))),
            "{key}"
        );
    }
    assert!(matches!(Verifier::new(&key_set(&[])), Err(InvalidKeySet::NoKey)));
    let rsa = json!({"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"});
    let mixed = Verifier::new(&key_set(&[rsa, usable])).unwrap();
    assert_eq!(format!("{mixed:?}"), r#"["g"]"#);
}

#[test]
fn the_claimed_issuer_is_read_without_a_key() {
    let signer = Signer::new("unknown", 7);
    assert_eq!(claimed_issuer(&signer.good()).as_deref(), Some(ISSUER));
    for text in ["", "a.b.c", &signer.sign(&json!({"iss": [ISSUER]}))] {
        assert_eq!(claimed_issuer(text), None, "{text}");
    }
}
