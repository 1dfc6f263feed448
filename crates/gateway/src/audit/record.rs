//! audit event -> its record (data).

use serde::Serialize;

use crate::index::Target;
use crate::tokens::RandomId;
use crate::tokens::random::fingerprint;

/// One event. A record contains no credential: sessions appear by their fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Record {
    /// A user signed in.
    Login {
        /// The user and session.
        #[serde(flatten)]
        who: Actor,
        /// The first Kubernetes groups of the user, from the identity provider's answer.
        groups: Vec<String>,
        /// Number of all groups.
        group_count: usize,
        /// Absolute end of the session, Unix seconds.
        ends: i64,
    },
    /// A user did not get a session.
    LoginRefused {
        /// A stable label.
        reason: &'static str,
    },
    /// An identity provider confirms a user whom the settings do not admit.
    NotAdmitted {
        /// Kubernetes user name that the user would have had.
        user: String,
        /// The provider.
        issuer: String,
        /// The rule that decided.
        rule: &'static str,
    },
    /// The token of a request is refused.
    TokenRefused {
        /// A stable label.
        reason: &'static str,
        /// Identifies the request.
        request: String,
    },
    /// A session ended before its expiry.
    Logout {
        /// The user and session, as far as known.
        #[serde(flatten)]
        who: Actor,
        /// A stable label for how it ended.
        by: &'static str,
    },
    /// The identity provider ended sessions.
    ProviderLogout {
        /// The user's identifier there; empty if the message named a session.
        subject: String,
        /// Number of sessions.
        sessions: usize,
    },
    /// A session was admitted to a workspace for the first time, or by another rule than before.
    Opened {
        /// The user and session.
        #[serde(flatten)]
        who: Actor,
        /// The workspace.
        #[serde(flatten)]
        workspace: WorkspaceRun,
        /// The rule that admits the user.
        rule: &'static str,
        /// By what the user came, if not by a browser or with a token of a script.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<By>,
        /// Identifies the request.
        request: String,
    },
    /// A program got a token of a session, because its user admitted it.
    ProgramAdmitted {
        /// The user and session.
        #[serde(flatten)]
        who: Actor,
        /// The name that the program gave itself.
        program: String,
        /// Absolute end of the session and of the token, Unix seconds.
        ends: i64,
        /// Identifies the request.
        request: String,
    },
    /// A session was admitted to the portal for the first time.
    PortalOpened {
        /// The user and session.
        #[serde(flatten)]
        who: Actor,
        /// Identifies the request.
        request: String,
    },
    /// A user started a stopped workspace with the gateway's button.
    Started {
        /// The user and session.
        #[serde(flatten)]
        who: Actor,
        /// The workspace; its run is the last one that ended.
        #[serde(flatten)]
        workspace: WorkspaceRun,
        /// The rule that admits the user.
        rule: &'static str,
        /// Identifies the request.
        request: String,
    },
    /// An administrator uses a workspace that no other rule opens to them: at the first request and every minute.
    Administered {
        /// The user and session.
        #[serde(flatten)]
        who: Actor,
        /// The workspace.
        #[serde(flatten)]
        workspace: WorkspaceRun,
        /// Requests and websockets since the last such record, this one included.
        requests: u64,
        /// Identifies the request.
        request: String,
    },
    /// A signed-in user was refused.
    Denied {
        /// The user and session.
        #[serde(flatten)]
        who: Actor,
        /// The requested host.
        host: String,
        /// The workspace at that host, if there is one.
        #[serde(flatten)]
        workspace: Option<WorkspaceRun>,
        /// The rule that decided.
        rule: &'static str,
        /// Identifies the request.
        request: String,
    },
}

/// By what a user came to a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A program with a ticket of its own.
    Program,
    /// ssh, whoever asked for it.
    Ssh,
}

/// A user and their session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// Kubernetes user name; empty if unknown.
    pub user: String,
    /// First 16 characters of the fingerprint of the session's id: the same in all records about the session.
    pub session: String,
    /// Kind of the token that replaces a session: `user` or `service_account`. Then `session` identifies the token.
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
    /// The run, as in its status; empty before the first one.
    #[serde(rename = "runID")]
    pub run_id: String,
}

impl Actor {
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
    /// The workspace of a target, and its run.
    pub fn from_target(target: &Target) -> Self {
        Self {
            namespace: target.namespace.clone(),
            workspace: target.name.clone(),
            uid: target.uid.clone(),
            run_id: target.run_id.clone(),
        }
    }
}
