//! session and index -> may this user connect? (pure)
//!
//! [`Allow`] and [`PortalAllow`] have one constructor each, which is private to this decision. No other code can let a request pass.

use std::sync::Arc;

use api::names::PORTAL_AUDIENCE;
use rules::access::{self, Allowed, Audience, Decision, Facts, Requester, Right};

use crate::index::{Snapshot, Target};
use crate::session::{Credential, Session};
use crate::site::Site;

/// A user may connect to a workspace.
#[derive(Debug, Clone)]
pub struct Allow {
    target: Arc<Target>,
    session: Arc<Session>,
    rule: Allowed,
    audience: Audience,
}

/// A signed-in user may use the portal.
#[derive(Debug, Clone)]
pub struct PortalAllow {
    site: Site,
    session: Arc<Session>,
}

/// What a user may use at a site.
#[derive(Debug, Clone)]
pub enum Admitted {
    /// The workspace there.
    Workspace(Allow),
    /// The portal.
    Portal(PortalAllow),
}

/// Why a user may not connect, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAllowed {
    /// No workspace exists at that site. To the user this looks like a workspace without access.
    NoWorkspace,
    /// The rules deny access.
    Denied(Arc<Target>, access::Denied),
    /// The site now belongs to another workspace than the one that the user was admitted to.
    OtherWorkspace,
    /// The user's right must be requested from the API server first.
    RightUnknown(Arc<Target>),
}

impl Allow {
    /// The workspace.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The session of the user who connects.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The rule that admits the user.
    pub fn rule(&self) -> Allowed {
        self.rule
    }

    /// What the user may see while the workspace does not run, and whether they may start it.
    pub fn audience(&self) -> Audience {
        self.audience
    }
}

impl PortalAllow {
    /// The portal's site.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The session of the user.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Admitted {
    /// The site.
    pub fn site(&self) -> &Site {
        match self {
            Self::Workspace(allow) => &allow.target.site,
            Self::Portal(allow) => &allow.site,
        }
    }

    /// What a ticket for the site names: the workspace's UID. The portal's name is no UID.
    pub fn uid(&self) -> &str {
        match self {
            Self::Workspace(allow) => &allow.target.uid,
            Self::Portal(_) => PORTAL_AUDIENCE,
        }
    }

    /// The session of the user.
    pub fn session(&self) -> &Arc<Session> {
        match self {
            Self::Workspace(allow) => &allow.session,
            Self::Portal(allow) => &allow.session,
        }
    }
}

/// Decides about the portal at `site`, which is open to every user who signed in with a browser. `uid`: what a ticket names.
///
/// # Errors
/// It is not the portal's site, or the user did not sign in there.
pub(crate) fn decide_portal(
    snapshot: &Snapshot,
    site: &Site,
    uid: Option<&str>,
    session: &Arc<Session>,
) -> Result<PortalAllow, NotAllowed> {
    let is_portal = snapshot.domain().is_some_and(|domain| domain.is_portal(site));
    let is_user = session.credential == Credential::Login && !session.identity.user_name.is_empty();
    if !is_portal || !is_user {
        return Err(NotAllowed::NoWorkspace);
    }
    if uid.is_some_and(|uid| uid != PORTAL_AUDIENCE) {
        return Err(NotAllowed::OtherWorkspace);
    }
    Ok(PortalAllow {
        site: site.clone(),
        session: session.clone(),
    })
}

/// Decides about the workspace at `site` at `now` (Unix seconds). `uid`: the workspace that it must be. `right`: what is known of
/// the user's right to connect.
///
/// # Errors
/// The user may not connect, or the right is not known yet.
pub(crate) fn decide(
    snapshot: &Snapshot,
    site: &Site,
    uid: Option<&str>,
    session: &Arc<Session>,
    now: i64,
    right: impl FnOnce(&Arc<Target>) -> Right,
) -> Result<Allow, NotAllowed> {
    let target = snapshot.target(site).ok_or(NotAllowed::NoWorkspace)?;
    if uid.is_some_and(|uid| uid != target.uid) {
        return Err(NotAllowed::OtherWorkspace);
    }
    let requester = Requester {
        user: &session.identity.user_name,
        groups: &session.identity.groups,
    };
    let facts = Facts {
        owner: &target.owner,
        access: target.access_type,
        shared: &target.shared,
    };
    match access::connect(requester, facts, snapshot.policy(), || right(target), now) {
        Decision::Allow(rule) => Ok(Allow {
            target: target.clone(),
            session: session.clone(),
            rule,
            audience: snapshot.policy().audience(requester, &target.owner),
        }),
        Decision::Deny(why) => Err(NotAllowed::Denied(target.clone(), why)),
        Decision::Ask => Err(NotAllowed::RightUnknown(target.clone())),
    }
}

#[cfg(test)]
mod tests {
    use api::manager::Start;

    use super::*;
    use crate::index::Domain;
    use crate::oidc::claims::Identity;
    use crate::session::Credential;
    use crate::tokens::RandomId;
    use api::workspace::AccessType;

    fn snapshot(access_type: AccessType) -> Snapshot {
        let target = Target {
            access_type,
            ..Target::lab()
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
            credential: Credential::Login,
            id_token: None,
        })
    }

    fn decided(snapshot: &Snapshot, site: &str, uid: Option<&str>, user: &str) -> Result<Allow, NotAllowed> {
        decide(snapshot, &site.into(), uid, &session(user), 0, |_| Right::Granted)
    }

    #[test]
    fn owners_and_administrators_may_start_whatever_rule_lets_them_connect_and_others_where_the_manager_says_so()
     {
        let administrators: std::collections::HashSet<String> = ["admins".to_owned()].into();
        let audience = |start, user: &str, groups: &[&str]| {
            let policy = access::Policy {
                start,
                admin_groups: administrators.clone(),
                ..access::Policy::default()
            };
            let session = Session {
                id: RandomId::new().unwrap(),
                identity: Identity {
                    user_name: user.into(),
                    groups: groups.iter().map(|&group| group.to_owned()).collect(),
                },
                end: 0,
                credential: Credential::Login,
                id_token: None,
            };
            let public = snapshot(AccessType::Public).under(policy);
            let site = "lab.ws.example".into();
            let allow = decide(&public, &site, None, &Arc::new(session), 0, |_| Right::Granted).unwrap();
            (allow.rule(), allow.audience())
        };
        for start in [Start::Owners, Start::Connectors] {
            assert_eq!(
                audience(start, "alice", &[]),
                (Allowed::Owner, Audience::OwnerOrAdmin)
            );
            let root = audience(start, "root", &["admins"]);
            assert_eq!(root, (Allowed::Public, Audience::OwnerOrAdmin));
        }
        let guest = audience(Start::Owners, "bob", &["users"]);
        assert_eq!(guest, (Allowed::Public, Audience::Viewer));
        let starter = audience(Start::Connectors, "bob", &[]);
        assert_eq!(starter, (Allowed::Public, Audience::Starter));
    }

    #[test]
    fn a_recreated_workspace_under_the_host_is_distinguished() {
        let private = snapshot(AccessType::OwnerOnly);
        let of = |uid| decided(&private, "lab.ws.example", Some(uid), "alice");
        assert!(of("u").is_ok());
        assert_eq!(of("an-earlier-one").err(), Some(NotAllowed::OtherWorkspace));
    }

    #[test]
    fn the_portal_is_open_to_users_who_signed_in_and_to_no_script() {
        let domain = Domain::new("ws.example", 443);
        let on = Snapshot::new(Some(domain.clone().with_portal(true)), [Target::lab()]);
        let off = Snapshot::new(Some(domain), [Target::lab()]);
        let decide = |snapshot: &Snapshot, site: &str, uid: Option<&str>, session: &Arc<Session>| {
            decide_portal(snapshot, &site.into(), uid, session).map(|allow| allow.session().clone())
        };
        let alice = session("alice");
        let site = "portal.ws.example";
        for uid in [None, Some("portal")] {
            assert_eq!(decide(&on, site, uid, &alice).unwrap().id, alice.id);
            assert_eq!(
                decide(&off, site, uid, &alice).unwrap_err(),
                NotAllowed::NoWorkspace
            );
        }
        assert_eq!(
            decide(&on, site, Some("u"), &alice).unwrap_err(),
            NotAllowed::OtherWorkspace
        );
        for other in ["lab.ws.example", "auth.ws.example", "portal.ws.example/x"] {
            assert_eq!(
                decide(&on, other, None, &alice).unwrap_err(),
                NotAllowed::NoWorkspace,
                "{other}"
            );
        }
        assert_eq!(
            decide(&on, site, None, &session("")).unwrap_err(),
            NotAllowed::NoWorkspace
        );
        let script = Arc::new(Session {
            id: alice.id,
            identity: alice.identity.clone(),
            end: 0,
            credential: Credential::User,
            id_token: None,
        });
        assert_eq!(
            decide(&on, site, None, &script).unwrap_err(),
            NotAllowed::NoWorkspace
        );
        assert_eq!(
            decided(&on, site, None, "alice").unwrap_err(),
            NotAllowed::NoWorkspace
        );
    }
}
