//! sign-out by the user or the provider -> deleted objects (IO).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::GatewaySession;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use sha2::{Digest as _, Sha256};

use super::content::{Content, id_of, object_name};
use super::{Sessions, Unavailable, unavailable, within};
use crate::oidc::Logout;
use crate::tokens::RandomId;
use crate::tokens::redacted::Secret;

/// Label: fingerprint of issuer and subject. Stored sessions have it, so another name would leave them out of sign-outs.
const USER_LABEL: &str = "gateway.workspaces.jupyter.org/person";
/// Label: fingerprint of the browser.
const BROWSER_LABEL: &str = "gateway.workspaces.jupyter.org/browser";
/// Label: fingerprint of issuer and the provider's session.
const SID_LABEL: &str = "gateway.workspaces.jupyter.org/provider-session";
/// Maximum number of concurrent deletions for one sign-out.
const MAX_PARALLEL: usize = 8;
/// Maximum number of sessions of one user, in all browsers. This bounds what one user can store.
pub(super) const MAX: usize = 64;
/// How long the provider's logout messages are remembered: longer than they are valid.
const HANDLED_TTL: Duration = Duration::from_mins(15);
/// Maximum number of remembered messages.
const MAX_HANDLED: u64 = 10_000;

/// A logout message of the provider, with its issuer.
pub(super) type ProviderLogout = (String, Logout);

/// A cache about messages of the provider, by their fingerprints.
pub(super) fn remembered<T: Clone + Send + Sync + 'static>() -> moka::future::Cache<String, T> {
    moka::future::Cache::builder()
        .max_capacity(MAX_HANDLED)
        .time_to_live(HANDLED_TTL)
        .build()
}

/// Data of an ended session for the caller that ends it.
#[derive(Debug)]
pub struct Ended {
    /// Issuer that confirmed the user.
    pub issuer: String,
    /// The ID token of the login.
    pub id_token: Secret,
}

/// Selects sessions.
#[derive(Debug, Clone, Copy)]
pub enum SessionSelector<'a> {
    /// All sessions of a user.
    User {
        /// Issuer that confirmed the user.
        issuer: &'a str,
        /// The user's identifier there.
        subject: &'a str,
    },
    /// All sessions of a browser.
    Browser(RandomId),
    /// All sessions that began in one session of the provider.
    ProviderSession {
        /// Issuer that confirmed the user.
        issuer: &'a str,
        /// The provider's session.
        sid: &'a str,
    },
    /// The sessions that a logout message of the provider names.
    ProviderLogout {
        /// Issuer of the message.
        issuer: &'a str,
        /// The message.
        logout: &'a Logout,
    },
}

impl SessionSelector<'_> {
    /// The label that these sessions have.
    fn label(&self) -> (&'static str, String) {
        match self {
            Self::User { issuer, subject } => (USER_LABEL, fingerprint(issuer, subject)),
            Self::Browser(lineage) => (BROWSER_LABEL, fingerprint("browser", &lineage.to_string())),
            Self::ProviderSession { issuer, sid } => (SID_LABEL, fingerprint(issuer, sid)),
            Self::ProviderLogout { issuer, logout } => match (&logout.subject, &logout.sid) {
                (Some(subject), _) => Self::User { issuer, subject }.label(),
                (None, sid) => {
                    let sid = sid.as_deref().unwrap_or_default();
                    Self::ProviderSession { issuer, sid }.label()
                }
            },
        }
    }

    fn list(&self) -> ListParams {
        let (name, value) = self.label();
        ListParams::default().labels(&format!("{name}={value}"))
    }

    /// Labels only narrow the search. The sealed content decides.
    fn covers(&self, content: &Content) -> bool {
        match self {
            Self::User { issuer, subject } => content.issuer == *issuer && content.subject == *subject,
            Self::Browser(lineage) => content.lineage == Some(*lineage),
            Self::ProviderSession { issuer, sid } => {
                content.issuer == *issuer && content.sid.as_deref() == Some(*sid)
            }
            Self::ProviderLogout { issuer, logout } => {
                let is_user = logout.subject.as_ref().map(|subject| content.subject == *subject);
                let is_session = match (&logout.sid, &content.sid) {
                    (Some(selected), Some(own)) => selected == own && is_user != Some(false),
                    // The message names only a user, or the provider did not report its session at the login.
                    (None, _) | (Some(_), None) => is_user == Some(true),
                };
                // Both times are by the provider's clock. A repeated message does not end sessions that began since.
                content.issuer == *issuer && is_session && content.issued <= logout.issued
            }
        }
    }
}

impl Sessions {
    /// Signs a browser out of the session `id`. `lineage`: the browser; `None`: that of the session.
    ///
    /// Ends all sessions that this browser began, and all of the same session of the provider; with `everywhere` all of the user. The
    /// session `id` comes last, so that the user can retry after an error. A client that disconnects does not stop the others from
    /// ending. `None`: the session does not exist any more.
    ///
    /// # Errors
    /// The API server does not answer; some of the sessions remain.
    pub async fn sign_out(
        self: Arc<Self>,
        id: RandomId,
        lineage: Option<RandomId>,
        everywhere: bool,
    ) -> Result<Option<Ended>, Unavailable> {
        let ending = async move { self.end_browsers(id, lineage, everywhere).await };
        tokio::spawn(ending).await.map_err(unavailable)?
    }

    async fn end_browsers(
        &self,
        id: RandomId,
        lineage: Option<RandomId>,
        everywhere: bool,
    ) -> Result<Option<Ended>, Unavailable> {
        let by = if everywhere { "user_everywhere" } else { "user" };
        let name = object_name(id);
        let own = self.get(&name, super::TIMEOUT).await?;
        let own = own.and_then(|object| Content::open(&self.keys, &name, &object.spec.sealed));
        let lineage = lineage.or_else(|| own.as_ref().and_then(|content| content.lineage));
        let mut selected: Vec<_> = lineage.map(SessionSelector::Browser).into_iter().collect();
        if let Some(Content {
            issuer, subject, sid, ..
        }) = &own
        {
            selected.extend(
                sid.as_deref()
                    .map(|sid| SessionSelector::ProviderSession { issuer, sid }),
            );
            if everywhere {
                selected.push(SessionSelector::User { issuer, subject });
            }
        }
        for selection in selected {
            self.end_others(selection, Some(id), by).await?;
        }
        let user = own.as_ref().map(|content| content.user_name.as_str());
        self.delete(id, user.unwrap_or_default(), by).await?;
        Ok(own.map(|content| Ended {
            id_token: content.id_token(),
            issuer: content.issuer,
        }))
    }

    /// Ends the selected sessions and returns their number. `by`: a stable label for the audit log.
    ///
    /// # Errors
    /// The API server does not answer; some of the sessions may remain.
    pub async fn end_all(
        &self,
        selection: SessionSelector<'_>,
        by: &'static str,
    ) -> Result<usize, Unavailable> {
        if let SessionSelector::ProviderLogout { issuer, logout } = selection {
            // Recorded before the list: a login in progress, which the list misses, finds the message here.
            let recent_logouts = Arc::new((issuer.to_owned(), logout.clone()));
            self.recent_logouts
                .insert(fingerprint(issuer, &logout.jti), recent_logouts)
                .await;
        }
        self.end_others(selection, None, by).await
    }

    async fn end_others(
        &self,
        selection: SessionSelector<'_>,
        but: Option<RandomId>,
        by: &'static str,
    ) -> Result<usize, Unavailable> {
        let objects = within(self.api.list(&selection.list())).await?;
        let selected = objects
            .items
            .into_iter()
            .filter_map(|object| self.select(&object, selection))
            .filter(|(id, _)| Some(*id) != but);
        let deletions = selected.map(|(id, user)| async move { self.delete(id, &user, by).await });
        futures::stream::iter(deletions)
            .buffer_unordered(MAX_PARALLEL)
            .try_fold(0, async |count, ()| Ok(count + 1))
            .await
    }

    /// Whether the provider recently reported to this replica that such a session ended.
    pub(super) fn was_ended(&self, content: &Content) -> bool {
        self.recent_logouts.iter().any(|(_, recent_logouts)| {
            let (issuer, logout) = &*recent_logouts;
            SessionSelector::ProviderLogout { issuer, logout }.covers(content)
        })
    }

    /// Ends sessions of a user who has too many, to make room for this one. Sessions of the same browser go first, then the oldest.
    /// A page can make its visitor's browser sign in again and again; this must not end the sessions of other browsers.
    pub(super) async fn make_room(&self, content: &Content) -> Result<(), Unavailable> {
        let Content { issuer, subject, .. } = content;
        let selection = SessionSelector::User { issuer, subject };
        let browser = labels(content).remove(BROWSER_LABEL);
        let mut objects = within(self.api.list(&selection.list())).await?.items;
        objects.sort_by_key(|object| {
            let is_of_others = object.labels().get(BROWSER_LABEL) != browser.as_ref();
            let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
            // Where lifetimes were shortened, the newest would end first.
            (
                browser.is_none() || is_of_others,
                created,
                object.spec.expires_at.0,
            )
        });
        let excess = (objects.len() + 1).saturating_sub(MAX);
        for object in objects.iter().take(excess) {
            if let Some((id, user)) = self.select(object, selection) {
                self.delete(id, &user, "room_for_another").await?;
            }
        }
        Ok(())
    }

    /// The session and its Kubernetes user name, if it is selected.
    fn select(&self, object: &GatewaySession, selection: SessionSelector<'_>) -> Option<(RandomId, String)> {
        let name = object.name_any();
        let id = id_of(&name)?;
        match Content::open(&self.keys, &name, &object.spec.sealed) {
            Some(content) => selection.covers(&content).then_some((id, content.user_name)),
            // The label matches. One sign-out too many is better than one too few.
            None => Some((id, String::new())),
        }
    }

    pub(super) async fn delete(&self, id: RandomId, user: &str, by: &'static str) -> Result<(), Unavailable> {
        let params = DeleteParams::default();
        let name = object_name(id);
        match tokio::time::timeout(super::TIMEOUT, self.api.delete(&name, &params)).await {
            Ok(Ok(_)) => self.report_end(id, user, by),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Err(error)) => return Err(unavailable(error)),
            Err(elapsed) => return Err(unavailable(elapsed)),
        }
        self.forget(id).await;
        Ok(())
    }

    /// Reports that a session ended before its expiry.
    pub(super) fn report_end(&self, id: RandomId, user: &str, by: &'static str) {
        tracing::info!(session = ?id, by, "a session ended");
        if let Some(on_logout) = &self.on_logout {
            on_logout(id, user, by);
        }
    }

    /// Whether this replica recently handled this message of the provider.
    pub fn was_handled(&self, issuer: &str, jti: &str) -> bool {
        self.handled.contains_key(&fingerprint(issuer, jti))
    }

    /// Records that this message was handled.
    pub async fn mark_handled(&self, issuer: &str, jti: &str) {
        self.handled.insert(fingerprint(issuer, jti), ()).await;
    }
}

/// Labels that find sessions without opening every object.
pub(super) fn labels(content: &Content) -> BTreeMap<String, String> {
    let Content { issuer, subject, .. } = content;
    let sid = content.sid.as_deref();
    let selections = [
        Some(SessionSelector::User { issuer, subject }),
        sid.map(|sid| SessionSelector::ProviderSession { issuer, sid }),
        content.lineage.map(SessionSelector::Browser),
    ];
    let labels = selections.iter().flatten().map(SessionSelector::label);
    labels.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// 40 hexadecimal digits, derived from two texts.
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
