//! a sign-out, of a person or by the provider's word -> deleted objects (IO).

use std::collections::BTreeMap;
use std::time::Duration;

use api::GatewaySession;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use sha2::{Digest as _, Sha256};

use super::content::{Content, id_of, object_name};
use super::{Sessions, Unavailable, unavailable, within};
use crate::crypto::redacted::Secret;
use crate::crypto::tokens::RandomId;
use crate::oidc::Logout;

/// Label: fingerprint of issuer and subject.
const PERSON: &str = "gateway.workspaces.jupyter.org/person";
/// Label: fingerprint of issuer and the provider's session.
const SID: &str = "gateway.workspaces.jupyter.org/provider-session";
/// Most deletions at a time for one sign-out.
const AT_ONCE: usize = 8;
/// Most sessions of one person at a time, in all browsers: what a person can have stored is bounded.
pub(super) const MOST: usize = 64;
/// How long the provider's messages are remembered: longer than they count.
const HEARD_FOR: Duration = Duration::from_mins(15);
/// Most remembered messages.
const HEARD: u64 = 10_000;

/// Messages of the provider that were acted on.
pub(super) fn heard() -> moka::future::Cache<String, ()> {
    moka::future::Cache::builder()
        .max_capacity(HEARD)
        .time_to_live(HEARD_FOR)
        .build()
}

/// What a session was, for those who end it.
#[derive(Debug)]
pub struct Ended {
    /// Issuer that vouched.
    pub issuer: String,
    /// The person there.
    pub subject: String,
    /// The ID token of the login.
    pub id_token: Secret,
}

/// Which sessions are meant.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// All of a person.
    Person {
        /// Issuer that vouched.
        issuer: &'a str,
        /// The person there.
        subject: &'a str,
    },
    /// What the provider says.
    Said {
        /// Issuer that says so.
        issuer: &'a str,
        /// What it says.
        logout: &'a Logout,
    },
}

impl Whose<'_> {
    fn selector(&self) -> String {
        match self {
            Self::Person { issuer, subject } => format!("{PERSON}={}", fingerprint(issuer, subject)),
            Self::Said { issuer, logout } => match (&logout.subject, &logout.sid) {
                (Some(subject), _) => format!("{PERSON}={}", fingerprint(issuer, subject)),
                (None, sid) => format!(
                    "{SID}={}",
                    fingerprint(issuer, sid.as_deref().unwrap_or_default())
                ),
            },
        }
    }

    /// Labels only narrow the search down: what counts is sealed.
    fn covers(&self, content: &Content) -> bool {
        match self {
            Self::Person { issuer, subject } => content.issuer == *issuer && content.subject == *subject,
            Self::Said { issuer, logout } => {
                let is_person = logout.subject.as_ref().map(|subject| content.subject == *subject);
                let is_session = match (&logout.sid, &content.sid) {
                    (Some(meant), Some(own)) => meant == own && is_person != Some(false),
                    // Only a person is named, or the provider did not tell its session at the login.
                    (None, _) | (Some(_), None) => is_person == Some(true),
                };
                // Both by the provider's clock. A message that is sent once more ends nothing that began since.
                content.issuer == *issuer && is_session && content.issued <= logout.issued
            }
        }
    }
}

impl Sessions {
    /// Ends a session; `None`: there was none.
    ///
    /// # Errors
    /// The API server cannot be asked; the session may go on.
    pub async fn end(&self, id: RandomId) -> Result<Option<Ended>, Unavailable> {
        let name = object_name(id);
        let Some(object) = self.get(&name).await? else {
            self.forget(id).await;
            return Ok(None);
        };
        let content = Content::open(&self.keys, &name, &object.spec.sealed);
        self.delete(&name, id).await?;
        Ok(content.map(|content| Ended {
            id_token: content.id_token(),
            issuer: content.issuer,
            subject: content.subject,
        }))
    }

    /// Ends all these sessions and says how many there were.
    ///
    /// # Errors
    /// The API server cannot be asked; some of the sessions may go on.
    pub async fn end_all(&self, whose: Whose<'_>) -> Result<usize, Unavailable> {
        let params = ListParams::default().labels(&whose.selector());
        let objects = within(self.api.list(&params)).await?;
        let meant = objects
            .items
            .into_iter()
            .filter_map(|object| self.meant(&object, whose));
        let deletions = meant.map(|id| async move { self.delete(&object_name(id), id).await });
        futures::stream::iter(deletions)
            .buffer_unordered(AT_ONCE)
            .try_fold(0, async |count, ()| Ok(count + 1))
            .await
    }

    /// Ends the oldest sessions of a person who has too many, to make room for one more.
    pub(super) async fn make_room(&self, issuer: &str, subject: &str) -> Result<(), Unavailable> {
        let whose = Whose::Person { issuer, subject };
        let params = ListParams::default().labels(&whose.selector());
        let mut objects = within(self.api.list(&params)).await?.items;
        objects.sort_by_key(|object| object.spec.expires_at.0);
        let excess = (objects.len() + 1).saturating_sub(MOST);
        for object in objects.iter().take(excess) {
            if let Some(id) = self.meant(object, whose) {
                self.delete(&object_name(id), id).await?;
            }
        }
        Ok(())
    }

    fn meant(&self, object: &GatewaySession, whose: Whose<'_>) -> Option<RandomId> {
        let name = object.name_any();
        let id = id_of(&name)?;
        match Content::open(&self.keys, &name, &object.spec.sealed) {
            Some(content) => whose.covers(&content).then_some(id),
            // The label says it is: better one sign-out too many.
            None => Some(id),
        }
    }

    async fn delete(&self, name: &str, id: RandomId) -> Result<(), Unavailable> {
        let params = DeleteParams::default();
        match tokio::time::timeout(super::PATIENCE, self.api.delete(name, &params)).await {
            Ok(Ok(_)) => {}
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Err(error)) => return Err(unavailable(error)),
            Err(elapsed) => return Err(unavailable(elapsed)),
        }
        self.forget(id).await;
        Ok(())
    }

    /// Whether this message of the provider was acted on already, here and a short while ago.
    pub fn was_heard(&self, jti: &str) -> bool {
        self.heard.contains_key(&fingerprint("jti", jti))
    }

    /// Remembers that this message was acted on.
    pub async fn heard(&self, jti: &str) {
        self.heard.insert(fingerprint("jti", jti), ()).await;
    }
}

/// Labels by which a person's sessions are found without opening all there are.
pub(super) fn labels(issuer: &str, subject: &str, sid: Option<&str>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([(PERSON.to_owned(), fingerprint(issuer, subject))]);
    if let Some(sid) = sid {
        labels.insert(SID.to_owned(), fingerprint(issuer, sid));
    }
    labels
}

/// 40 hexadecimal digits that stand for two texts.
fn fingerprint(first: &str, second: &str) -> String {
    let mut hash = Sha256::new();
    for text in [first, second] {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    let mut digits = format!("{:x}", hash.finalize());
    digits.truncate(40);
    digits
}
