//! Secrets, as they are sent -> whether a log contains a part of one.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

use crate::support::browser::{Answer, Browser, Landing};

/// Parameters, form fields and members of answers whose values are secret.
const NAMES: [&str; 11] = [
    "access_token",
    "code",
    "code_challenge",
    "code_verifier",
    "id_token",
    "id_token_hint",
    "logout_token",
    "nonce",
    "refresh_token",
    "state",
    "t",
];
/// Pieces of this length are looked for, so that one that is cut short is found.
const PIECE: usize = 16;

/// What is secret.
#[derive(Default)]
pub(super) struct Secrets(RefCell<BTreeSet<String>>);

impl Secrets {
    pub(super) fn add(&self, secret: &str) {
        if secret.len() >= 2 * PIECE {
            self.0.borrow_mut().insert(secret.to_owned());
        }
    }

    /// Those in a query or a form.
    pub(super) fn of_form(&self, form: &str) {
        for (name, value) in form_urlencoded::parse(form.as_bytes()) {
            if NAMES.contains(&&*name) {
                self.add(&value);
            }
        }
    }

    pub(super) fn of_url(&self, url: &str) {
        if let Some((_, query)) = url.split_once('?') {
            self.of_form(query);
        }
    }

    pub(super) fn of_json(&self, value: &Value) {
        for name in NAMES {
            if let Some(secret) = value[name].as_str() {
                self.add(secret);
            }
        }
    }

    pub(super) fn of_answer(&self, answer: &Answer) {
        for name in ["location", "workspace-assertion", "set-cookie"] {
            for value in answer.headers.get_all(name) {
                let value = value.to_str().unwrap();
                self.of_url(value);
                let pair = value.split(';').next().unwrap();
                self.add(pair.split_once('=').map_or(pair, |(_, cookie)| cookie));
            }
        }
    }

    pub(super) fn of_landing(&self, landing: &Landing) {
        for url in &landing.trail {
            self.of_url(url);
        }
        self.of_answer(&landing.answer);
    }

    pub(super) fn of_browser(&self, browser: &Browser<'_>) {
        for cookies in browser.jar.lock().unwrap().values() {
            for value in cookies.values() {
                self.add(value);
            }
        }
    }

    /// Asserts that no piece of any of them is in a log.
    pub(super) fn are_not_in(&self, log: &str) {
        let secrets = self.0.borrow();
        let mut pieces = HashSet::new();
        for secret in &*secrets {
            // What a token says of its algorithm is no secret.
            let secret = secret.strip_prefix("eyJ").map_or(secret.as_str(), |rest| {
                rest.split_once('.').map_or(secret, |(_, rest)| rest)
            });
            pieces.extend(secret.as_bytes().chunks_exact(PIECE));
            // As a list of numbers, which is what bytes become that are shown without care.
            let bytes = format!("{:?}", &secret.as_bytes()[..PIECE / 2]);
            assert!(!log.contains(bytes.trim_matches(['[', ']'])), "bytes of {secret}");
        }
        assert!(pieces.len() > 1000, "{} pieces", pieces.len());
        for window in log.as_bytes().windows(PIECE) {
            if pieces.contains(window) {
                let piece = std::str::from_utf8(window).unwrap();
                let line = log.lines().find(|line| line.contains(piece));
                panic!("{piece:?} is in: {line:?}");
            }
        }
        let client = base64::engine::general_purpose::STANDARD.encode("gateway:s3cret");
        for secret in [
            "s3cret",
            &client,
            // The keys of these tests, whose bytes are all 1; their ids are eight of them.
            &"01".repeat(12),
            &BASE64URL.encode([1; 12]),
            &"1, ".repeat(12),
        ] {
            assert!(!log.contains(secret), "{secret}");
        }
    }
}
