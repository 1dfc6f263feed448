//! signed-in user -> the sealed content of a GatewaySession, and back (pure).

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oidc::claims::Identity;
use crate::oidc::{Original, RENEW_AT_LEAST, Tokens, numeric_date, payload};
use crate::tokens::random::CryptoError;
use crate::tokens::redacted::Secret;
use crate::tokens::seal::{KeyRing, Purpose, Sealed};
use crate::tokens::{RandomId, TICKET_LIFE};

/// Maximum number of one-time codes that are recorded as spent at a time.
const MAX_SPENT: usize = 128;
/// The same for a program's next code: what a program does never keeps its user's browser out.
const MAX_SPENT_FOR_PROGRAMS: usize = 64;

/// Who uses a one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeUser {
    /// A browser, for a ticket of a workspace.
    Browser,
    /// A program of the session's user, for a token.
    Program,
}

impl CodeUser {
    fn max_spent(self) -> usize {
        match self {
            Self::Browser => MAX_SPENT,
            Self::Program => MAX_SPENT_FOR_PROGRAMS,
        }
    }
}

/// Maximum length of an ID token that is sent to the portal, in bytes.
const MAX_SENT: usize = 32 * 1024;
/// An ID token is renewed before it is sent if it is valid for less than this many seconds: a page that stays open uses it as long as
/// its assertion.
const ID_TOKEN_LASTS: i64 = kit::assertion_signer::LIFE + 15;
/// An earlier request renews it in the background, this many seconds before.
const RENEWED_BEFORE: i64 = 30;

/// An ID token with which the portal acts as the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdToken {
    /// The token.
    pub text: Secret,
    /// When it expires, Unix seconds.
    pub(super) ends: i64,
}

impl IdToken {
    /// Whether it is valid for as long as a page may use it.
    pub(super) fn lasts(&self, now: i64) -> bool {
        now + ID_TOKEN_LASTS <= self.ends
    }
}

/// How long sessions last, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Absolute lifetime from the login.
    pub life: i64,
    /// Maximum time without a request.
    pub idle: i64,
    /// Maximum time without a confirmation by the provider. After that the session admits nothing until the provider confirms.
    pub unrefreshed: i64,
    /// Lifetime of a ticket. An allowed request renews it in the last two thirds of its life.
    pub ticket: i64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            life: 12 * 60 * 60,
            idle: 2 * 60 * 60,
            unrefreshed: 60 * 60,
            ticket: TICKET_LIFE,
        }
    }
}

impl Lifetimes {
    /// Interval after which the last use is written again, in seconds: not every request writes the object.
    pub(super) fn note_after(self) -> i64 {
        self.idle / 8
    }

    /// An allowed request renews a ticket that expires within this many seconds.
    pub fn renew_ticket_before(self) -> i64 {
        self.ticket * 2 / 3
    }
}

/// Content of a session's object, sealed and bound to the object's name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Issuer that confirmed the user.
    pub issuer: String,
    /// The user's identifier there.
    pub subject: String,
    /// The provider's own session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Identifies the browser across its logins: two tabs that sign in at once create two sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<RandomId>,
    /// Kubernetes user name.
    pub user_name: String,
    /// Kubernetes groups.
    pub groups: Vec<String>,
    /// ID token as received at the login.
    id_token: String,
    /// The newest ID token, if a renewal brought one and somebody needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewed_id_token: Option<String>,
    /// When the ID token was issued, by the provider's clock.
    #[serde(default)]
    pub(super) issued: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Start, Unix seconds.
    pub created: i64,
    /// Absolute end, Unix seconds.
    pub end: i64,
    /// Last recorded use, Unix seconds.
    #[serde(default)]
    pub(super) used: i64,
    /// Last confirmation by the provider, Unix seconds.
    #[serde(default)]
    pub(super) refreshed: i64,
    /// When the provider must be asked again, Unix seconds.
    #[serde(default)]
    pub(super) due: i64,
    /// Until when one replica alone may ask the provider, Unix seconds.
    #[serde(default)]
    pub(super) refreshing_until: i64,
    /// Identifier of that replica's request. If it differs or is absent, another replica was faster and this answer is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) question: Option<RandomId>,
    /// One-time codes that were used, until their expiry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spent: Vec<SpentCode>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SpentCode {
    code: RandomId,
    until: i64,
}

/// Why a code cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpendError {
    /// It was used before.
    #[error("the code was used before")]
    Replayed,
    /// Too many codes of this session were used within their lifetime.
    #[error("too many codes of this session were used just now")]
    TooMany,
}

/// Deadlines of a session, Unix seconds. Computed from its content alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The session ends.
    pub(super) over: i64,
    /// The provider must confirm before the session admits anything.
    pub(super) doubtful: i64,
    /// The next request triggers a renewal, or a write of the last use.
    pub(super) upkeep: i64,
}

impl Content {
    /// A session with the lifetime `lasts`, Unix seconds.
    pub fn new(issuer: &str, subject: &str, identity: Identity, tokens: &Tokens, lasts: Range<i64>) -> Self {
        let now = lasts.start;
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            sid: tokens.sid.clone(),
            lineage: None,
            user_name: identity.user_name,
            groups: identity.groups,
            id_token: tokens.id_token.expose().to_owned(),
            renewed_id_token: None,
            issued: tokens.issued,
            refresh_token: tokens
                .refresh_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
            created: now,
            end: lasts.end,
            used: now,
            refreshed: now,
            due: now + tokens.renew_in,
            refreshing_until: 0,
            question: None,
            spent: Vec::new(),
        }
    }

    /// The same, for a login in this browser.
    #[must_use]
    pub fn in_browser(self, lineage: RandomId) -> Self {
        Self {
            lineage: Some(lineage),
            ..self
        }
    }

    pub(super) fn times(&self, limits: Lifetimes) -> Times {
        let used = self.used.max(self.created);
        let over = self.end.min(used.saturating_add(limits.idle));
        let doubtful = self
            .refreshed
            .max(self.created)
            .saturating_add(limits.unrefreshed)
            .min(over);
        let note = used.saturating_add(limits.note_after());
        match self.refresh_token {
            Some(_) => Times {
                over,
                doubtful,
                upkeep: note.min(self.due),
            },
            // The provider cannot be asked to confirm.
            None => Times {
                over: doubtful,
                doubtful,
                upkeep: note,
            },
        }
    }

    /// The refresh token; `None`: the provider cannot be asked.
    pub(super) fn refresh_token(&self) -> Option<Secret> {
        self.refresh_token.clone().map(Secret::new)
    }

    /// Replaces the refresh token.
    pub(super) fn replace_refresh_token(&mut self, token: &Secret) {
        self.refresh_token = Some(token.expose().to_owned());
    }

    /// The values that a new ID token must match.
    pub(super) fn original(&self) -> Original<'_> {
        Original {
            subject: &self.subject,
            id_token: &self.id_token,
        }
    }

    /// The claims of the login's ID token, which was verified then.
    pub(super) fn claims(&self) -> Map<String, Value> {
        payload(&self.id_token).unwrap_or_default()
    }

    /// The newest ID token, if it can be sent in a header.
    pub(super) fn newest_id_token(&self) -> Option<IdToken> {
        let text = self.renewed_id_token.as_ref().unwrap_or(&self.id_token);
        if text.len() > MAX_SENT {
            return None;
        }
        Some(IdToken {
            ends: numeric_date(payload(text)?.get("exp")?)?,
            text: Secret::new(text.clone()),
        })
    }

    /// Keeps a newer ID token.
    pub(super) fn renew_id_token(&mut self, token: &Secret) {
        // The object has room for one token of any length.
        if token.expose().len() <= MAX_SENT {
            self.renewed_id_token = Some(token.expose().to_owned());
        }
    }

    /// Brings the next renewal forward to some time before the ID token ends. A token that has ended changes nothing: the provider
    /// issued no newer one.
    pub(super) fn renew_before_id_token_ends(&mut self, now: i64) {
        let ends = self.newest_id_token().map_or(now, |token| token.ends);
        if ends > now {
            let early = (ends - ID_TOKEN_LASTS - RENEWED_BEFORE).max(now + RENEW_AT_LEAST);
            self.due = self.due.min(early);
        }
    }

    /// The ID token of the login.
    pub(super) fn id_token(&self) -> Secret {
        Secret::new(self.id_token.clone())
    }

    /// Marks a one-time code as used. `until`: its expiry, Unix seconds.
    ///
    /// # Errors
    /// The code was used before, or too many codes were.
    pub fn spend(&mut self, code: RandomId, until: i64, by: CodeUser, now: i64) -> Result<(), SpendError> {
        if self.spent.iter().any(|spent| spent.code == code) {
            return Err(SpendError::Replayed);
        }
        self.spent.retain(|spent| now < spent.until);
        if self.spent.len() >= by.max_spent() {
            return Err(SpendError::TooMany);
        }
        self.spent.push(SpentCode { code, until });
        Ok(())
    }

    /// Seals the content for the object `name`.
    ///
    /// # Errors
    /// No key is active.
    pub fn seal(&self, keys: &KeyRing, name: &str, now: i64) -> Result<Sealed, CryptoError> {
        keys.seal(Purpose::Content, name, self, now)
    }

    /// Opens content that was sealed for the object `name`.
    pub fn open(keys: &KeyRing, name: &str, text: &str) -> Option<Self> {
        keys.open(Purpose::Content, name, text)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("created", &self.created)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Name of a session's object.
pub(crate) fn object_name(id: RandomId) -> String {
    format!("s-{id}")
}

/// The session id in an object's name.
pub fn id_of(object_name: &str) -> Option<RandomId> {
    RandomId::try_from(object_name.strip_prefix("s-")?).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

    use super::*;
    use crate::tokens::seal::{KeyId, SealingKey};

    fn content() -> Content {
        let identity = Identity {
            user_name: "alice".into(),
            groups: vec!["oidc:a,b".into()],
        };
        let tokens = Tokens {
            id_token: Secret::new("header.payload.sig".into()),
            refresh_token: Some(Secret::new("refreshing".into())),
            renew_in: 300,
            ..Tokens::default()
        };
        Content::new(
            "https://issuer",
            "1",
            identity,
            &tokens,
            1000..1000 + 12 * 60 * 60,
        )
    }

    #[test]
    fn a_session_ends_at_its_end_or_when_idle_and_needs_renewal_by_the_provider() {
        let limits = Lifetimes::default();
        let mut content = content();
        let times = content.times(limits);
        assert_eq!(
            times,
            Times {
                over: 1000 + limits.idle,
                doubtful: 1000 + limits.unrefreshed,
                upkeep: 1300
            }
        );
        content.used = content.end - 60;
        content.refreshed = content.end - 60;
        let times = content.times(limits);
        assert_eq!((times.over, times.doubtful), (content.end, content.end));
        // Without a refresh token only the use is recorded.
        content.refresh_token = None;
        content.used = 2000;
        assert_eq!(content.times(limits).upkeep, 2000 + limits.idle / 8);
    }

    #[test]
    fn a_session_without_refresh_token_is_over_when_it_would_be_doubtful() {
        let old = r#"{"issuer":"i","subject":"1","userName":"alice","groups":[],"idToken":"t","created":1000,"end":9000}"#;
        let content: Content = serde_json::from_str(old).unwrap();
        let times = content.times(Lifetimes::default());
        assert_eq!((times.over, times.doubtful), (4600, 4600));
        assert!(content.refresh_token().is_none());
    }

    #[test]
    fn the_newest_id_token_is_sent_and_its_end_brings_the_renewal_forward() {
        let token = |ends: i64, length: usize| {
            let claims = serde_json::json!({"exp": ends, "more": "x".repeat(length)});
            Secret::new(format!("h.{}.s", BASE64URL.encode(claims.to_string())))
        };
        let mut content = content();
        assert_eq!(content.newest_id_token(), None, "no claims");
        content.renew_before_id_token_ends(1000);
        assert_eq!(content.due, 1300);
        content.renew_id_token(&token(1300, 0));
        assert_eq!(content.newest_id_token().unwrap().ends, 1300);
        content.renew_before_id_token_ends(1000);
        assert_eq!(content.due, 1195);
        content.renew_before_id_token_ends(1180);
        assert_eq!(content.due, 1195, "never later");
        content.due = 1600;
        content.renew_before_id_token_ends(1290);
        assert_eq!(content.due, 1320, "not at once");
        content.due = 1600;
        content.renew_before_id_token_ends(1300);
        assert_eq!(content.due, 1600, "no newer one was issued");
        let newest = content.newest_id_token();
        assert!(newest.as_ref().unwrap().lasts(1225) && !newest.as_ref().unwrap().lasts(1226));
        content.renew_id_token(&token(2000, MAX_SENT));
        assert_eq!(content.newest_id_token(), newest, "too long for a header");
    }

    #[test]
    fn the_end_of_an_id_token_may_have_a_fraction() {
        let token = |ends: &str| {
            Secret::new(format!(
                "h.{}.s",
                BASE64URL.encode(format!(r#"{{"exp": {ends}}}"#))
            ))
        };
        let ends = |text: &str| {
            let mut content = content();
            content.renew_id_token(&token(text));
            content.newest_id_token().map(|token| token.ends)
        };
        assert_eq!(ends("1300.999"), Some(1300));
        assert_eq!(ends(r#""1300""#), None);
    }

    #[test]
    fn content_opens_under_its_own_object_only() {
        let keys = KeyRing::new(vec![SealingKey::derive(KeyId::new([1; 8]), 0, &[1; 32]).unwrap()]);
        let sealed = content().seal(&keys, "s-1", 1000).unwrap();
        assert_eq!(Content::open(&keys, "s-1", &sealed.text), Some(content()));
        assert_eq!(Content::open(&keys, "s-2", &sealed.text), None);
    }

    #[test]
    fn a_code_is_spent_once_and_forgotten_after_its_end() {
        let mut content = content();
        let code = RandomId::new().unwrap();
        let by = CodeUser::Browser;
        assert_eq!(content.spend(code, 1030, by, 1000), Ok(()));
        assert_eq!(content.spend(code, 1030, by, 1029), Err(SpendError::Replayed));
        assert_eq!(content.spend(RandomId::new().unwrap(), 1060, by, 1030), Ok(()));
        assert_eq!(content.spent.len(), 1);
    }

    #[test]
    fn programs_that_use_up_their_codes_leave_the_browser_its_own_and_all_are_bounded() {
        let mut content = content();
        let mut spend = |by| content.spend(RandomId::new().unwrap(), 1030, by, 1000);
        for _ in 0..MAX_SPENT_FOR_PROGRAMS {
            spend(CodeUser::Program).unwrap();
        }
        assert_eq!(spend(CodeUser::Program), Err(SpendError::TooMany));
        for _ in MAX_SPENT_FOR_PROGRAMS..MAX_SPENT {
            spend(CodeUser::Browser).unwrap();
        }
        assert_eq!(spend(CodeUser::Browser), Err(SpendError::TooMany));
    }

    #[test]
    fn debug_output_shows_neither_user_nor_token() {
        let shown = format!("{:?}", content());
        assert!(
            !shown.contains("alice") && !shown.contains("payload") && !shown.contains("refreshing"),
            "{shown}"
        );
    }

    #[test]
    fn object_names_and_ids_correspond() {
        let id = RandomId::new().unwrap();
        assert_eq!(id_of(&object_name(id)), Some(id));
        assert_eq!(id_of("keys"), None);
        assert_eq!(id_of("s-zz"), None);
    }
}
