//! Signed-in person and facts of a workspace -> may they connect, and why (pure).

use api::workspace::AccessType;

/// Whether a person may connect, with the reason for logs. A refused person is told no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The request may pass.
    Allow(Allowed),
    /// The request must not pass.
    Deny(Denied),
}

/// Why somebody may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// The person owns the workspace.
    Owner,
    /// The workspace is open to everybody who is signed in.
    Public,
}

/// Why somebody may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Nobody is signed in.
    Anonymous,
    /// The workspace is somebody else's and not public.
    NotOwner,
}

impl Decision {
    /// Whether the request may pass.
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// One stable word for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Allow(Allowed::Owner) => "owner",
            Self::Allow(Allowed::Public) => "public",
            Self::Deny(Denied::Anonymous) => "anonymous",
            Self::Deny(Denied::NotOwner) => "not_owner",
        }
    }
}

/// `user`: Kubernetes user name of the signed-in person, empty for nobody. `owner`: value of the workspace's
/// created-by annotation, empty if it has none. `access`: the effective access type.
pub fn connect(user: &str, owner: &str, access: AccessType) -> Decision {
    match (user, access) {
        ("", _) => Decision::Deny(Denied::Anonymous),
        // Names are compared byte by byte, as Kubernetes does.
        (user, _) if user == owner => Decision::Allow(Allowed::Owner),
        (_, AccessType::Public) => Decision::Allow(Allowed::Public),
        (_, AccessType::OwnerOnly) => Decision::Deny(Denied::NotOwner),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_owner_connects() {
        assert_eq!(
            connect("alice", "alice", AccessType::OwnerOnly),
            Decision::Allow(Allowed::Owner)
        );
    }

    #[test]
    fn another_person_connects_only_to_a_public_workspace() {
        assert_eq!(
            connect("bob", "alice", AccessType::OwnerOnly),
            Decision::Deny(Denied::NotOwner)
        );
        assert_eq!(
            connect("bob", "alice", AccessType::Public),
            Decision::Allow(Allowed::Public)
        );
    }

    #[test]
    fn nobody_connects_to_nothing() {
        assert_eq!(
            connect("", "", AccessType::OwnerOnly),
            Decision::Deny(Denied::Anonymous)
        );
        assert_eq!(
            connect("", "alice", AccessType::Public),
            Decision::Deny(Denied::Anonymous)
        );
    }

    #[test]
    fn names_that_only_look_alike_are_strangers() {
        for user in ["Alice", "alice ", "alice\0", "аlice"] {
            assert!(
                !connect(user, "alice", AccessType::OwnerOnly).is_allowed(),
                "{user:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_owner_only_workspace_admits_exactly_its_owner(user in ".{0,8}", owner in ".{0,8}") {
            let allowed = connect(&user, &owner, AccessType::OwnerOnly).is_allowed();
            prop_assert_eq!(allowed, !user.is_empty() && user == owner);
        }
    }
}
