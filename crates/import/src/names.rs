//! Name of the source -> name of a Workspace; content -> name (pure).

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Eight hexadecimal digits of a text's digest.
pub(crate) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest[..4].iter().fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

/// The name of a workspace: the same if it can be one, else a shorter one that ends with a hash of it.
pub(crate) fn workspace(name: &str) -> String {
    if rules::checks::name(name).is_empty() {
        return name.to_owned();
    }
    let safe: String = name.chars().map(|c| if c == '.' { '-' } else { c }).collect();
    let safe = if safe.starts_with(|c: char| c.is_ascii_lowercase()) {
        safe
    } else {
        format!("w-{safe}")
    };
    let room = api::names::MAX_WORKSPACE_NAME - 9;
    let start = &safe[..safe.floor_char_boundary(room)];
    format!("{}-{}", start.trim_end_matches('-'), hash(name))
}

/// The name of a user here, with the prefix of the API server. Kubernetes' own users have none, and some names have it already.
pub(crate) fn owner(prefix: Option<&str>, user: &str) -> String {
    let prefix = prefix.unwrap_or_default();
    let is_kubernetes = || {
        let mut own = api::names::KUBERNETES_PREFIXES.iter();
        own.any(|start| user.starts_with(start))
    };
    if user.starts_with(prefix) || is_kubernetes() {
        user.to_owned()
    } else {
        format!("{prefix}{user}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_the_prefix_once() {
        for (prefix, user, expected) in [
            (Some("oidc:"), "alice", "oidc:alice"),
            (Some("oidc:"), "oidc:alice", "oidc:alice"),
            (
                Some("oidc:"),
                "system:serviceaccount:a:b",
                "system:serviceaccount:a:b",
            ),
            (Some(""), "alice", "alice"),
            (None, "alice", "alice"),
        ] {
            assert_eq!(owner(prefix, user), expected, "{prefix:?} {user}");
        }
    }

    #[test]
    fn a_name_that_workspaces_cannot_have_is_shortened_with_a_hash() {
        assert_eq!(workspace("demo"), "demo");
        for name in [
            "1st".to_owned(),
            "a.b".to_owned(),
            "a".repeat(63),
            "a-".repeat(30) + "b",
        ] {
            let short = workspace(&name);
            assert!(rules::checks::name(&short).is_empty(), "{name}: {short}");
        }
        assert_ne!(workspace(&"a".repeat(62)), workspace(&"a".repeat(63)));
    }
}
