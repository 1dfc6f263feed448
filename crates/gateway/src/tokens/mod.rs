//! content of cookies and redirects -> sealed text with an expiry, and back (pure).
//!
//! Every kind has its own purpose in `seal`, so none can replace another, and each contains its expiry.
//!
//! - `seal`: encrypts and opens, with the keys that `keys` rotates.
//! - `cookies`: reads and sets the cookies that carry them.
//! - `program`: code and token of a program that a user admits.
//! - `assertion`: signs the user's name for the application in the pod.
//! - `random`: random bytes, fingerprints; `request_id`: the identifier of a request.
//! - `redacted`: text that no log shows.

pub(crate) mod assertion;
pub mod cookies;
pub(crate) mod keys;
mod program;
pub(crate) mod random;
pub(crate) mod redacted;
pub(crate) mod request_id;
pub(crate) mod seal;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::assertion::Assertions;
pub use self::keys::KeyStore;
pub use self::program::{PROGRAM_CODE_LIFE, ProgramCode, ProgramToken};
pub use self::random::random;
pub use self::redacted::Secret;
pub use self::seal::{KeyId, KeyRing, SealingKey};
use crate::site::Site;
use crate::tokens::random::CryptoError;
use crate::tokens::seal::Purpose;

/// Lifetime of a ticket where no setting says otherwise, in seconds. `session/settings.rs` reads the setting.
pub const TICKET_LIFE: i64 = 15 * 60;
/// Lifetime of the redirect to the auth host, in seconds.
pub const ENTER_LIFE: i64 = 10 * 60;
/// Lifetime of a login in progress, in seconds: users leave the provider's page open.
pub const LOGIN_LIFE: i64 = 24 * 60 * 60;
/// For how long after its beginning a login gives a session, in seconds. A later answer of the provider begins it anew.
pub const REDEEM_LIFE: i64 = 10 * 60;
/// Maximum length of path and query that a login leads back to, in bytes. They travel sealed in URLs, and in cookies
/// (`cookies::pieces`).
pub const MAX_TARGET: usize = 8 * 1024;
/// Maximum length of a `state` that the provider returns: with it, URLs stay below the 2 KiB that all servers accept.
pub const MAX_STATE: usize = 1024;
/// Lifetime of a one-time code, in seconds.
pub const CODE_LIFE: i64 = 30;
/// Maximum number of redirects before the browser gets the message that it blocks cookies.
pub const MAX_ATTEMPTS: u8 = 3;

/// 128 random bits that identify a session or a one-time code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RandomId([u8; 16]);

impl RandomId {
    /// A new random id.
    ///
    /// # Errors
    /// The operating system provides no random bytes.
    pub fn new() -> Result<Self, CryptoError> {
        random().map(Self)
    }

    /// The id with these bytes.
    #[cfg(test)]
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RandomId {
    /// Only the first digits: enough to recognize the id in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x}{:02x}{:02x}{:02x}…",
            self.0[0], self.0[1], self.0[2], self.0[3]
        )
    }
}

impl From<RandomId> for String {
    fn from(id: RandomId) -> Self {
        id.to_string()
    }
}

impl TryFrom<&str> for RandomId {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number
            .map(|number| Self(number.to_be_bytes()))
            .ok_or("an id has 32 lower-case hexadecimal digits")
    }
}

impl TryFrom<String> for RandomId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::try_from(text.as_str())
    }
}

/// A sealed value with an expiry.
pub trait Token: Serialize + DeserializeOwned {
    /// The purpose that it is sealed for.
    const PURPOSE: Purpose;

    /// Expiry, Unix seconds.
    fn expires(&self) -> i64;

    /// Seals the value at `now` (Unix seconds).
    ///
    /// # Errors
    /// No key is active.
    fn seal(&self, keys: &KeyRing, now: i64) -> Result<String, CryptoError> {
        Ok(keys.seal(Self::PURPOSE, "", self, now)?.text)
    }

    /// Opens a value, expired or not.
    fn open_even_expired(keys: &KeyRing, text: &str) -> Option<Self> {
        keys.open(Self::PURPOSE, "", text)
    }

    /// Opens a value that has not expired at `now`.
    fn open(keys: &KeyRing, text: &str, now: i64) -> Option<Self> {
        Self::open_even_expired(keys, text).filter(|token| now < token.expires())
    }
}

/// Content of a ticket: admits one session's browser or program to one workspace. It borrows from the opened bytes, because every
/// request reads one. `seal::Purpose` distinguishes whose it is: the cookie of a browser is no ticket of a program, nor the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket<'a> {
    /// The session that it was issued for.
    #[serde(rename = "s")]
    pub session: RandomId,
    /// UID of the workspace.
    #[serde(rename = "u")]
    pub uid: &'a str,
    /// The workspace's site, as the text of [`Site`].
    #[serde(rename = "h")]
    pub site: &'a str,
    /// Fingerprint of the browser's cookie on that host, where [`Site::ticket_needs_browser`].
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<&'a str>,
    /// When it was issued, Unix seconds.
    #[serde(rename = "i")]
    pub issued: i64,
    /// Expiry, Unix seconds.
    #[serde(rename = "e")]
    pub expires: i64,
}

impl Ticket<'_> {
    /// Seals a browser's ticket at `now`.
    ///
    /// # Errors
    /// No key is active.
    pub fn seal(&self, keys: &KeyRing, now: i64) -> Result<String, CryptoError> {
        Ok(keys.seal(Purpose::Ticket, "", self, now)?.text)
    }

    /// Seals a program's ticket at `now`.
    ///
    /// # Errors
    /// No key is active.
    pub fn seal_for_program(&self, keys: &KeyRing, now: i64) -> Result<String, CryptoError> {
        Ok(keys.seal(Purpose::ProgramTicket, "", self, now)?.text)
    }

    /// Reads the bytes that [`KeyRing::open_bytes`] returned for the ticket's purpose, if the ticket is valid for `site` at `now`.
    pub fn read<'a>(opened: &'a [u8], site: &str, now: i64) -> Option<Ticket<'a>> {
        let ticket: Ticket<'a> = serde_json::from_slice(opened).ok()?;
        (ticket.site == site && now < ticket.expires).then_some(ticket)
    }
}

/// Content of the session cookie, which only the auth host sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCookie {
    /// The session.
    #[serde(rename = "s")]
    pub session: RandomId,
    /// Identifies the browser: the same for all its logins.
    #[serde(rename = "b")]
    pub lineage: RandomId,
    /// The auth host.
    #[serde(rename = "h")]
    pub host: String,
    /// Name of the provider that confirmed the user; empty in cookies of earlier versions.
    #[serde(rename = "p", default)]
    pub provider: String,
    /// When it was issued, Unix seconds.
    #[serde(rename = "i")]
    pub issued: i64,
    /// Expiry, Unix seconds.
    #[serde(rename = "e")]
    pub expires: i64,
}

impl Token for SessionCookie {
    const PURPOSE: Purpose = Purpose::Session;

    fn expires(&self) -> i64 {
        self.expires
    }
}

/// The target of a browser, sent from a workspace host to the auth host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enter {
    /// The workspace's site.
    #[serde(rename = "h")]
    pub site: Site,
    /// Path and query there, as the workspace receives them.
    #[serde(rename = "p")]
    pub target: String,
    /// Number of redirects of this browser so far.
    #[serde(rename = "a")]
    pub attempt: u8,
    /// Whether a new login is requested despite an existing session.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Fingerprint of the browser's pre-cookie on that host.
    #[serde(rename = "b")]
    pub browser: String,
    /// Expiry, Unix seconds.
    #[serde(rename = "e")]
    pub expires: i64,
}

impl Token for Enter {
    const PURPOSE: Purpose = Purpose::Enter;

    fn expires(&self) -> i64 {
        self.expires
    }
}

/// One-time code from the auth host to a workspace host. It is useless without the pre-cookie that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Identifies the code, so that it is accepted only once.
    #[serde(rename = "c")]
    pub id: RandomId,
    /// The session that it was issued for.
    #[serde(rename = "s")]
    pub session: RandomId,
    /// UID of the workspace.
    #[serde(rename = "u")]
    pub uid: String,
    /// Host, target, attempt and browser; its expiry is the code's.
    #[serde(rename = "t")]
    pub enter: Enter,
}

impl Token for Code {
    const PURPOSE: Purpose = Purpose::Code;

    fn expires(&self) -> i64 {
        self.enter.expires
    }
}

/// A login in progress, stored in cookies of the browser that began it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginAttempt {
    /// The random part of `state` of the authorization request.
    #[serde(rename = "s")]
    pub state: String,
    /// `nonce` of the authorization request.
    #[serde(rename = "n")]
    pub nonce: String,
    /// PKCE verifier.
    #[serde(rename = "v")]
    pub verifier: String,
    /// Name of the provider that the request was sent to.
    #[serde(rename = "p")]
    pub provider: String,
    /// Identifies the browser: the same for all its logins.
    #[serde(rename = "b")]
    pub lineage: RandomId,
    /// Target after the login.
    #[serde(rename = "t")]
    pub enter: Enter,
    /// Expiry, Unix seconds.
    #[serde(rename = "e")]
    pub expires: i64,
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Token for LoginAttempt {
    const PURPOSE: Purpose = Purpose::Login;

    fn expires(&self) -> i64 {
        self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::seal::{KeyId, SealingKey};

    fn keys() -> KeyRing {
        KeyRing::new(vec![SealingKey::derive(KeyId::new([1; 8]), 0, &[1; 32]).unwrap()])
    }

    fn enter() -> Enter {
        Enter {
            site: "w.ws.example".into(),
            target: "/lab?x=\"1\"".into(),
            attempt: 1,
            again: false,
            browser: "b".into(),
            expires: 100,
        }
    }

    #[test]
    fn a_ticket_counts_for_its_host_until_it_ends() {
        let keys = keys();
        let session = RandomId::new().unwrap();
        let ticket = Ticket {
            session,
            uid: "uid-1",
            site: "w.ws.example",
            browser: None,
            issued: 10,
            expires: 100,
        };
        let text = ticket.seal(&keys, 10).unwrap();
        assert!(text.len() < 400, "{} bytes", text.len());
        let opened = keys.open_bytes(Purpose::Ticket, "", &text).unwrap();
        assert_eq!(Ticket::read(&opened, "w.ws.example", 99), Some(ticket));
        assert_eq!(Ticket::read(&opened, "w.ws.example", 100), None);
        assert_eq!(Ticket::read(&opened, "x.ws.example", 99), None);
        assert_eq!(Ticket::read(&opened, "", 99), None);
    }

    #[test]
    fn tokens_open_as_what_they_are_until_they_end() {
        let keys = keys();
        let text = enter().seal(&keys, 10).unwrap();
        assert_eq!(Enter::open(&keys, &text, 99), Some(enter()));
        assert_eq!(Enter::open(&keys, &text, 100), None);
        assert_eq!(Enter::open_even_expired(&keys, &text), Some(enter()));
        assert_eq!(Code::open(&keys, &text, 99), None);
        assert_eq!(SessionCookie::open(&keys, &text, 99), None);
    }

    #[test]
    fn a_login_with_the_longest_target_fits_into_three_cookies() {
        let attempt = LoginAttempt {
            state: "s".repeat(43),
            nonce: "n".repeat(43),
            verifier: "v".repeat(43),
            provider: "p".repeat(32),
            lineage: RandomId::new().unwrap(),
            enter: Enter {
                site: format!("{}.{}", "h".repeat(57), "b".repeat(180)).into(),
                target: format!("/{}", "x".repeat(MAX_TARGET - 1)),
                browser: "b".repeat(43),
                ..enter()
            },
            expires: 100,
        };
        let text = attempt.seal(&keys(), 10).unwrap();
        assert_eq!(cookies::pieces(&text).len(), 3, "{} bytes", text.len());
    }

    #[test]
    fn ids_are_read_strictly_and_shown_shortened() {
        let id = RandomId::new().unwrap();
        assert_eq!(RandomId::try_from(id.to_string().as_str()), Ok(id));
        for wrong in ["", "00", &"g".repeat(32), &"A".repeat(32), &"+".repeat(32)] {
            assert!(RandomId::try_from(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{id:?}").chars().count(), 9);
    }
}
