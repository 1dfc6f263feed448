//! what the audit log tells: one kind of record per event (pure).

use serde::Serialize;

use crate::index::Target;
use crate::tokens::RandomId;
use crate::tokens::random::fingerprint;

/// One event. Nothing in it lets anybody in: sessions appear by their fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Record {
    /// A user signed in.
    Login {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// The first Kubernetes groups that the identity provider's answer gave them.
        groups: Vec<String>,
        /// How many there are.
        group_count: usize,
        /// Absolute end of the session, Unix seconds.
        ends: i64,
    },
    /// A user did not get a session.
    LoginRefused {
        /// One stable word.
        reason: &'static str,
    },
    /// A user for whom an identity provider confirms, and whom the settings keep out.
    NotAdmitted {
        /// Kubernetes user name that they would have had.
        user: String,
        /// The provider.
        issuer: String,
        /// The rule that decided.
        rule: &'static str,
    },
    /// The token of a request does not count.
    TokenRefused {
        /// One stable word.
        reason: &'static str,
        /// Identifies the request.
        request: String,
    },
    /// A session ended before its time.
    Logout {
        /// Who, as far as it is known.
        #[serde(flatten)]
        who: Who,
        /// One stable word: how it was ended.
        by: &'static str,
    },
    /// The identity provider ended sessions.
    ProviderLogout {
        /// The user's identifier there; empty if it named a session.
        subject: String,
        /// How many.
        sessions: usize,
    },
    /// A session was let into a workspace for the first time, or by another rule than before.
    Opened {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Which workspace.
        #[serde(flatten)]
        workspace: WorkspaceRun,
        /// The rule that let them in.
        rule: &'static str,
        /// Identifies the request.
        request: String,
    },
    /// A user started a stopped workspace by the gateway's button.
    Started {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Which workspace; its run is the one that ended last.
        #[serde(flatten)]
        workspace: WorkspaceRun,
        /// The rule that lets them open it.
        rule: &'static str,
        /// Identifies the request.
        request: String,
    },
    /// An administrator uses a workspace that no other rule opens to them: at the first request and every minute.
    Administered {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Which workspace.
        #[serde(flatten)]
        workspace: WorkspaceRun,
        /// Requests and websockets since the last record about it, this one included.
        requests: u64,
        /// Identifies the request.
        request: String,
    },
    /// A user who is signed in was not let in.
    Denied {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// The host that they asked for.
        host: String,
        /// Which workspace that is, if it is one.
        #[serde(flatten)]
        workspace: Option<WorkspaceRun>,
        /// The rule that decided.
        rule: &'static str,
        /// Identifies the request.
        request: String,
    },
    /// Refused logins and tokens that have no record of their own, because there were too many.
    LoginRefusedMore {
        /// How many.
        count: u64,
    },
    /// Denials that have no record of their own, because there were too many of one user or of all.
    DeniedMore {
        /// How many.
        count: u64,
    },
}

/// A user and their session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Who {
    /// Kubernetes user name; empty when it is not known.
    pub user: String,
    /// First 16 characters of the fingerprint of the session's id: the same in all records about it.
    pub session: String,
    /// Whose token it is instead of a session: `person` or `service_account`. What names the session names the token then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'static str>,
}

/// A workspace and its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceRun {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub workspace: String,
    /// Its UID.
    pub uid: String,
    /// The run, as in its status; empty when it never ran.
    #[serde(rename = "runID")]
    pub run_id: String,
}

impl Who {
    /// `user`: Kubernetes user name.
    pub fn new(user: &str, session: RandomId) -> Self {
        let mut session = fingerprint(&session.to_string());
        session.truncate(16);
        Self {
            user: user.to_owned(),
            session,
            token: None,
        }
    }
}

impl WorkspaceRun {
    /// Where a target leads.
    pub fn of(target: &Target) -> Self {
        Self {
            namespace: target.namespace.clone(),
            workspace: target.name.clone(),
            uid: target.uid.clone(),
            run_id: target.run_id.clone(),
        }
    }
}
