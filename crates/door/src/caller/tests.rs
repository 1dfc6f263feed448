//! Which assertions a workspace accepts.

use std::path::PathBuf;

use api::names::PORTAL_AUDIENCE;
use kit::assertion_signer::{Claims as Signed, Signer as GatewaySigner};
use kit::rotating_keys::MasterKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::signer::{AUDIENCE as UID, NOW, Signer, key_set};
use super::*;

#[path = "../../../assertion/src/signer_tests.rs"]
mod signer;

/// A pod's keys, one of each issuer.
pub(crate) struct Keys {
    folder: TempDir,
    pub(crate) gateway: Signer,
    pub(crate) operator: Signer,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let keys = Self {
            folder: tempfile::tempdir().unwrap(),
            gateway: Signer::new("g", 1),
            operator: Signer::new("o", 2),
        };
        keys.publish(GATEWAY_KEYS, &[&keys.gateway]);
        keys.publish(OPERATOR_KEYS, &[&keys.operator]);
        keys
    }

    pub(crate) fn assertions(&self) -> Assertions {
        Assertions::Checked(Checker::new(UID.to_owned(), self.folder.path()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As the kubelet does: another file in the place of the old one.
    fn publish(&self, name: &str, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| signer.public()).collect();
        self.write(name, &key_set(&keys));
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }
}

fn headers(tokens: &[&str]) -> HeaderMap {
    let value = |token: &&str| {
        (
            http::HeaderName::from_static(ASSERTION_HEADER),
            token.parse().unwrap(),
        )
    };
    tokens.iter().map(value).collect()
}

/// The refusal of this token, which is of [`NOW`].
fn refusal(assertions: &Assertions, token: &str) -> Refused {
    let caller = assertions.caller(&headers(&[token]), NOW);
    caller.expect_err(token)
}

fn user(is_owner: bool) -> Caller {
    Caller::User {
        name: "alice".to_owned(),
        is_owner,
    }
}

#[test]
fn what_gateway_and_operator_sign_is_accepted() {
    let keys = Keys::new();
    let assertions = keys.assertions();
    let signer = GatewaySigner::default();
    let master = MasterKey {
        id: "real".to_owned(),
        active_from: 0,
        bytes: [7; 32].into(),
    };
    signer.replace(&[master]).unwrap();
    keys.write(GATEWAY_KEYS, &signer.key_set());
    let caller = |issuer, audience| {
        let token = signer.sign(&Signed::new(issuer, audience, "alice", NOW)).unwrap();
        assertions.caller(&headers(&[&token]), NOW)
    };
    assert_eq!(caller(GATEWAY, UID).unwrap(), user(false));
    let owner = Signed {
        owner: true,
        ..Signed::new(GATEWAY, UID, "alice", NOW)
    };
    let token = signer.sign(&owner).unwrap();
    assert_eq!(assertions.caller(&headers(&[&token]), NOW).unwrap(), user(true));
    assert!(caller(GATEWAY, PORTAL_AUDIENCE).is_err());
    keys.write(OPERATOR_KEYS, &signer.key_set());
    assert_eq!(caller(OPERATOR, UID).unwrap(), Caller::Operator);
}

#[test]
fn none_and_two_are_refused() {
    let keys = Keys::new();
    let assertions = keys.assertions();
    let good = keys.gateway.good();
    assert_eq!(assertions.caller(&headers(&[&good]), NOW).unwrap(), user(false));
    let (good, joined) = (good.as_str(), format!("{good}, {good}"));
    for tokens in [&[][..], &[good, good], &[joined.as_str()]] {
        assert!(assertions.caller(&headers(tokens), NOW).is_err(), "{tokens:?}");
    }
}

#[test]
fn each_issuer_counts_with_its_own_keys_for_its_own_part() {
    let keys = Keys::new();
    let assertions = keys.assertions();
    let of = |signer: &Signer, claims: Value| {
        let token = signer.sign(&claims);
        assertions.caller(&headers(&[&token]), NOW)
    };
    assert_eq!(of(&keys.gateway, json!({})).unwrap(), user(false));
    let asked = of(&keys.operator, json!({"iss": OPERATOR})).unwrap();
    assert_eq!(asked, Caller::Operator);
    for (signer, claims) in [
        (&keys.gateway, json!({"iss": OPERATOR})),
        (&keys.operator, json!({})),
        (&keys.gateway, json!({"iss": "somebody"})),
        (&keys.gateway, json!({"aud": "uid-2"})),
        (&Signer::new("g", 9), json!({})),
    ] {
        assert!(of(signer, claims.clone()).is_err(), "{claims}");
    }
    let late = assertions.caller(&headers(&[&keys.gateway.good()]), NOW + 70);
    assert!(
        matches!(late, Err(Refused::Invalid(InvalidAssertion::Time))),
        "{late:?}"
    );
}

#[test]
fn the_longest_assertion_has_8_kibibytes() {
    let keys = Keys::new();
    let assertions = keys.assertions();
    let of = |name: usize| keys.gateway.sign(&json!({"sub": "a".repeat(name)}));
    let longest = (1..LONGEST).rev().map(of).find(|token| token.len() <= LONGEST);
    let longest = longest.unwrap();
    assert!(assertions.caller(&headers(&[&longest]), NOW).is_ok());
    let longer = of(LONGEST * 3 / 4);
    assert!(longer.len() > LONGEST);
    assert!(matches!(refusal(&assertions, &longer), Refused::Malformed));
}

#[test]
fn new_keys_count_at_once_and_dropped_ones_no_longer() {
    let keys = Keys::new();
    let assertions = keys.assertions();
    let later = Signer::new("later", 5);
    let accepted = |signer: &Signer| assertions.caller(&headers(&[&signer.good()]), NOW).is_ok();
    assert!(accepted(&keys.gateway) && !accepted(&later));
    keys.publish(GATEWAY_KEYS, &[&keys.gateway, &later]);
    assert!(accepted(&keys.gateway) && accepted(&later));
    keys.publish(GATEWAY_KEYS, &[&later]);
    assert!(!accepted(&keys.gateway) && accepted(&later));
}

#[test]
fn missing_or_broken_key_files_refuse_everybody() {
    let keys = Keys::new();
    let assertions = keys.assertions();
    for text in [
        "",
        "{}",
        "[]",
        r#"{"keys": 1}"#,
        r#"{"keys": [{"kty": "OKP"}]}"#,
        r#"{"keys": ["x"]}"#,
    ] {
        keys.write(GATEWAY_KEYS, text);
        refusal(&assertions, &keys.gateway.good());
    }
    fs::remove_file(keys.path(GATEWAY_KEYS)).unwrap();
    refusal(&assertions, &keys.gateway.good());
    keys.publish(GATEWAY_KEYS, &[&keys.gateway]);
    assert!(assertions.caller(&headers(&[&keys.gateway.good()]), NOW).is_ok());
}

#[test]
fn a_pod_without_settings_refuses_everybody_and_one_word_opens_it() {
    let of = |set: &'static [(&str, &str)]| {
        Assertions::new(move |name| {
            let found = set.iter().find(|(one, _)| *one == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    for set in [
        &[][..],
        &[(ASSERTION_KEYS_VARIABLE, "")],
        &[(ASSERTION_KEYS_VARIABLE, "/keys")],
        &[(UID_VARIABLE, UID)],
    ] {
        assert!(matches!(of(set), Assertions::Closed(_)), "{set:?}");
        refusal(&of(set), "x");
    }
    assert!(matches!(
        of(&[(ASSERTION_KEYS_VARIABLE, "None"), (UID_VARIABLE, UID)]),
        Assertions::Checked(_)
    ));
    let open = of(&[(ASSERTION_KEYS_VARIABLE, NO_ASSERTIONS)]);
    assert_eq!(open.caller(&HeaderMap::new(), NOW).unwrap(), Caller::Anyone);
}
