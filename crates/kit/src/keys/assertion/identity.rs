//! User name and groups -> whether a server may act as them by impersonation headers (pure).
//!
//! The gateway checks before it signs for such a server, and that server checks what it reads.

use std::fmt;

/// Maximum number of groups.
pub const MAX_GROUPS: usize = 1000;
/// Maximum length of all groups together.
pub const MAX_GROUP_BYTES: usize = 64 * 1024;
/// What names begin with that Kubernetes and kubeadm give out themselves.
const RESERVED: [&str; 2] = ["system:", "kubeadm:"];

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The user.
    User,
    /// One of the user's groups.
    Group,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user name",
            Self::Group => "group",
        })
    }
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is none.
    #[error("is empty")]
    Empty,
    /// It begins with `system:` or `kubeadm:`.
    #[error("begins with \"system:\" or \"kubeadm:\", which Kubernetes reserves for itself")]
    Reserved,
    /// It contains control characters.
    #[error("contains a control character, which an HTTP header cannot carry")]
    Control,
    /// It begins or ends with a space.
    #[error("begins or ends with a space, which an HTTP header does not keep")]
    Spaces,
}

/// Why a server may not act as a user. The text is for that user and their administrator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A name cannot be used.
    #[error("the {of} {name:?} {error}")]
    Name {
        /// What it names.
        of: Name,
        /// The name.
        name: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// The user has too many groups.
    #[error("the user has {0} groups; at most {MAX_GROUPS} are allowed")]
    TooManyGroups(usize),
    /// The names of the user's groups are too long.
    #[error("the names of the user's groups have {0} bytes together; at most {MAX_GROUP_BYTES} are allowed")]
    GroupsTooLong(usize),
}

/// Whether the API server would receive these names unchanged in impersonation headers, and none is Kubernetes' own.
///
/// # Errors
/// One of the names cannot be used, or there are too many.
pub fn check_identity(user: &str, groups: &[String]) -> Result<(), IdentityError> {
    if groups.len() > MAX_GROUPS {
        return Err(IdentityError::TooManyGroups(groups.len()));
    }
    let bytes = groups.iter().map(String::len).sum();
    if bytes > MAX_GROUP_BYTES {
        return Err(IdentityError::GroupsTooLong(bytes));
    }
    check_name(Name::User, user)?;
    groups.iter().try_for_each(|group| check_name(Name::Group, group))
}

fn check_name(of: Name, name: &str) -> Result<(), IdentityError> {
    let error = if name.is_empty() {
        NameError::Empty
    } else if RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
        NameError::Reserved
    } else if name.chars().any(char::is_control) {
        NameError::Control
    } else if name.starts_with(' ') || name.ends_with(' ') {
        NameError::Spaces
    } else {
        return Ok(());
    };
    Err(IdentityError::Name {
        of,
        name: name.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str) -> Option<NameError> {
        let as_user = check_identity(name, &[]);
        let as_group = check_identity("alice", &["a".to_owned(), name.to_owned()]);
        let [user, group] = [(as_user, Name::User), (as_group, Name::Group)].map(|(checked, of)| {
            let IdentityError::Name {
                of: found,
                name: named,
                error,
            } = checked.err()?
            else {
                panic!("{name:?}");
            };
            assert_eq!((found, named.as_str()), (of, name));
            Some(error)
        });
        assert_eq!(user, group, "{name:?}");
        user
    }

    #[test]
    fn names_of_people_are_accepted() {
        for name in [
            "alice",
            "oidc:alice",
            "DOMAIN\\alice",
            "alice@example.org",
            "Zo\u{eb} Example",
            "\u{430}lice",
            "https://issuer.example#0a1b",
            "a, \"b\"",
            "oidc:system:masters",
            "System:masters",
            "systems",
        ] {
            assert_eq!(error(name), None, "{name:?}");
        }
    }

    #[test]
    fn reserved_names_and_names_that_a_header_changes_are_refused() {
        for (name, expected) in [
            ("", NameError::Empty),
            ("system:", NameError::Reserved),
            ("kubeadm:cluster-admins", NameError::Reserved),
            ("system:masters", NameError::Reserved),
            ("system:serviceaccount:team:robot", NameError::Reserved),
            ("alice\r\nImpersonate-Group: admins", NameError::Control),
            ("a\0b", NameError::Control),
            ("alice\t", NameError::Control),
            ("a\u{7f}", NameError::Control),
            ("a\u{85}b", NameError::Control),
            ("alice ", NameError::Spaces),
            (" alice", NameError::Spaces),
            (" ", NameError::Spaces),
            (" system:masters", NameError::Spaces),
        ] {
            assert_eq!(error(name), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn an_accepted_name_leaves_a_header_as_it_entered() {
        for byte in 0_u8..=0x7f {
            let name = format!("a{0}b{0}", char::from(byte));
            let carried = http::HeaderValue::from_str(&name).is_ok() && name.trim() == name;
            assert!(carried || error(&name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn groups_are_bounded_in_number_and_length() {
        let many = |number: usize, length: usize| vec!["g".repeat(length); number];
        assert_eq!(check_identity("alice", &many(MAX_GROUPS, 65)), Ok(()));
        assert_eq!(
            check_identity("alice", &many(MAX_GROUPS + 1, 1)),
            Err(IdentityError::TooManyGroups(MAX_GROUPS + 1))
        );
        assert_eq!(check_identity("alice", &many(64, 1024)), Ok(()));
        let error = check_identity("alice", &many(64, 1025)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the names of the user's groups have 65600 bytes together; at most 65536 are allowed"
        );
    }

    #[test]
    fn the_message_shows_the_name_without_control_characters() {
        let error = check_identity("alice", &["team\u{1b}[2J".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the group \"team\\u{1b}[2J\" contains a control character, which an HTTP header cannot carry"
        );
    }
}
