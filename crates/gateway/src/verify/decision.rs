//! a session and the index -> may this person pass? (pure)
//!
//! [`Allow`] has one constructor, and only the decision reaches it: no other code can let a request pass.

use std::sync::Arc;

use rules::access::{self, Decision};

use crate::index::{Snapshot, Target};
use crate::session::Session;

/// A person may connect to a workspace.
#[derive(Debug, Clone)]
pub struct Allow {
    target: Arc<Target>,
    session: Arc<Session>,
}

/// A person may not connect, or there is no such workspace: the same to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied;

impl Allow {
    /// The workspace.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Who connects.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// Decides about `host` (lower case, without port).
///
/// # Errors
/// The person may not connect, or no workspace has that host.
pub(crate) fn decide(snapshot: &Snapshot, host: &str, session: &Arc<Session>) -> Result<Allow, Denied> {
    let target = snapshot.target(host).ok_or(Denied)?;
    match access::connect(&session.identity.user_name, &target.owner, target.access_type) {
        Decision::Allow(_) => Ok(Allow {
            target: target.clone(),
            session: session.clone(),
        }),
        Decision::Deny(_) => Err(Denied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tokens::RandomId;
    use crate::index::Domain;
    use crate::oidc::claims::Identity;
    use api::workspace::{AccessType, Phase};

    fn snapshot(access_type: AccessType) -> Snapshot {
        let target = Target {
            uid: "u".into(),
            namespace: "team".into(),
            name: "lab".into(),
            host: "lab.ws.example".into(),
            owner: "alice".into(),
            access_type,
            phase: Phase::Running,
            message: String::new(),
            endpoint: None,
        };
        Snapshot::new(Some(Domain::new("ws.example", 443)), [target])
    }

    fn session(user_name: &str) -> Arc<Session> {
        Arc::new(Session {
            id: RandomId::new().unwrap(),
            identity: Identity {
                user_name: user_name.into(),
                groups: vec![],
            },
            end: 0,
        })
    }

    #[test]
    fn strangers_are_denied_what_exists_and_what_does_not_alike() {
        let private = snapshot(AccessType::OwnerOnly);
        assert_eq!(
            decide(&private, "lab.ws.example", &session("bob")).err(),
            Some(Denied)
        );
        assert_eq!(
            decide(&private, "none.ws.example", &session("bob")).err(),
            Some(Denied)
        );
        assert_eq!(
            decide(&private, "lab.ws.example", &session("")).err(),
            Some(Denied)
        );
        let allow = decide(&private, "lab.ws.example", &session("alice")).unwrap();
        assert_eq!(allow.target().name, "lab");
        assert!(decide(&snapshot(AccessType::Public), "lab.ws.example", &session("bob")).is_ok());
    }
}
