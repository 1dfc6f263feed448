//! User name and groups -> whether a server may act as them by impersonation headers (pure).
//!
//! The gateway checks before it signs for such a server, and that server checks what it reads.

/// Maximum number of groups.
pub const MAX_GROUPS: usize = 1000;
/// Maximum length of all groups together.
pub const MAX_GROUP_BYTES: usize = 64 * 1024;
/// What names begin with that Kubernetes and kubeadm give out themselves.
const RESERVED: [&str; 2] = ["system:", "kubeadm:"];

/// Why a server may not act as a user. The text is for that user and their administrator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IdentityError(String);

/// Whether the API server would receive these names unchanged in impersonation headers, and none is Kubernetes' own.
///
/// # Errors
/// One of the names cannot be used, or there are too many.
pub fn check_identity(user: &str, groups: &[String]) -> Result<(), IdentityError> {
    let count = groups.len();
    if count > MAX_GROUPS {
        return Err(IdentityError(format!(
            "the user has {count} groups; at most {MAX_GROUPS} are allowed"
        )));
    }
    let bytes: usize = groups.iter().map(String::len).sum();
    if bytes > MAX_GROUP_BYTES {
        return Err(IdentityError(format!(
            "the names of the user's groups have {bytes} bytes together; at most {MAX_GROUP_BYTES} are allowed"
        )));
    }
    check_name("user name", user)?;
    groups.iter().try_for_each(|group| check_name("group", group))
}

fn check_name(kind: &str, name: &str) -> Result<(), IdentityError> {
    let problem = if name.is_empty() {
        "is empty"
    } else if RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
        "begins with \"system:\" or \"kubeadm:\", which Kubernetes reserves for itself"
    } else if name.chars().any(char::is_control) {
        "contains a control character, which an HTTP header cannot carry"
    } else if name.starts_with(' ') || name.ends_with(' ') {
        "begins or ends with a space, which an HTTP header does not keep"
    } else {
        return Ok(());
    };
    Err(IdentityError(format!("the {kind} {name:?} {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why this name is refused, as a user's and as a group's.
    fn problem(name: &str) -> Option<String> {
        let as_user = check_identity(name, &[]);
        let as_group = check_identity("alice", &["a".to_owned(), name.to_owned()]);
        let [user, group] = [(as_user, "user name"), (as_group, "group")].map(|(checked, kind)| {
            let text = checked.err()?.to_string();
            let problem = text.strip_prefix(&format!("the {kind} {name:?} "));
            Some(problem.unwrap().to_owned())
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
            assert_eq!(problem(name), None, "{name:?}");
        }
    }

    #[test]
    fn reserved_names_and_names_that_a_header_changes_are_refused() {
        for (name, expected) in [
            ("", "is empty"),
            ("system:", "begins with"),
            ("kubeadm:cluster-admins", "begins with"),
            ("system:masters", "begins with"),
            ("system:serviceaccount:team:robot", "begins with"),
            (
                "alice\r\nImpersonate-Group: admins",
                "contains a control character",
            ),
            ("a\0b", "contains a control character"),
            ("alice\t", "contains a control character"),
            ("a\u{7f}", "contains a control character"),
            ("a\u{85}b", "contains a control character"),
            ("alice ", "begins or ends with a space"),
            (" alice", "begins or ends with a space"),
            (" ", "begins or ends with a space"),
            (" system:masters", "begins or ends with a space"),
        ] {
            let problem = problem(name).unwrap();
            assert!(problem.starts_with(expected), "{name:?} {problem}");
        }
    }

    #[test]
    fn an_accepted_name_leaves_a_header_as_it_entered() {
        for byte in 0_u8..=0x7f {
            let name = format!("a{0}b{0}", char::from(byte));
            let carried = http::HeaderValue::from_str(&name).is_ok() && name.trim() == name;
            assert!(carried || problem(&name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn groups_are_bounded_in_number_and_length() {
        let many = |number: usize, length: usize| vec!["g".repeat(length); number];
        assert_eq!(check_identity("alice", &many(MAX_GROUPS, 65)), Ok(()));
        let error = check_identity("alice", &many(MAX_GROUPS + 1, 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the user has 1001 groups; at most 1000 are allowed"
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
