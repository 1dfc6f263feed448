//! Names of users and servers -> `KubeSpawner`'s fields of names (pure).

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Longest name that the scheme of `KubeSpawner` 7 makes, and how much of each of two names.
const LONGEST: usize = 48;
const HALF: usize = 17;

/// Which scheme names of claims and folders are in. Names that need none are the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `KubeSpawner` 7: what is no name ends with a hash.
    Safe,
    /// Earlier: each other character is its bytes, each after `-`.
    Escape,
}

/// A name with `{username}` and the like replaced; a `-` that an empty field leaves at the end is removed.
pub(super) fn expand(text: &str, user: &str, server: &str, scheme: Scheme) -> String {
    let part = |name: &str| match scheme {
        Scheme::Safe => slug(name),
        Scheme::Escape => escape(name),
    };
    let (first, second) = (part(user), part(server));
    let joined = |first: &str, second: &str| {
        if second.is_empty() {
            first.to_owned()
        } else {
            format!("{first}--{second}")
        }
    };
    let both = match scheme {
        Scheme::Safe => user_server(user, server),
        Scheme::Escape => joined(&first, &second),
    };
    let dashed = if scheme == Scheme::Escape && !second.is_empty() {
        format!("--{second}")
    } else {
        second.clone()
    };
    let mut found = text.to_owned();
    for (field, value) in [
        ("{user_server}", both),
        ("{username}", first),
        ("{servername}", dashed),
        ("{escaped_username}", escape(user)),
        ("{escaped_servername}", escape(server)),
        ("{escaped_user_server}", joined(&escape(user), &escape(server))),
        ("{safe_username}", slug(user)),
        ("{safe_servername}", slug(server)),
        ("{safe_user_server}", user_server(user, server)),
        ("{unescaped_username}", user.to_owned()),
        ("{unescaped_servername}", server.to_owned()),
    ] {
        found = found.replace(field, &value);
    }
    found.trim_end_matches('-').to_owned()
}

/// A name in the earlier scheme.
fn escape(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "-{byte:x}");
        }
        text
    })
}

/// A name in the later scheme.
fn slug(name: &str) -> String {
    let is_name = rules::checks::name(name).is_empty() && name.len() <= LONGEST && !name.contains("--");
    if name.is_empty() || is_name {
        return name.to_owned();
    }
    format!("{}---{}", readable(name, LONGEST - 11), hash(&[name]))
}

fn user_server(user: &str, server: &str) -> String {
    let (first, second) = (slug(user), slug(server));
    if first.len() + second.len() + 2 > LONGEST {
        let (user_part, server_part) = (readable(user, HALF), readable(server, HALF));
        return format!("{user_part}--{server_part}---{}", hash(&[user, server]));
    }
    if second.is_empty() {
        first
    } else {
        format!("{first}--{second}")
    }
}

fn readable(name: &str, longest: usize) -> String {
    let mut text = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            text.push(c);
        } else if !text.is_empty() && !text.ends_with('-') {
            text.push('-');
        }
    }
    text.truncate(longest);
    let mut text = text.trim_end_matches('-').to_owned();
    if text.starts_with(|c: char| !c.is_ascii_lowercase()) {
        text.truncate(longest - 2);
        text.insert_str(0, "x-");
    }
    if text.is_empty() { "x".to_owned() } else { text }
}

fn hash(names: &[&str]) -> String {
    // 0xff is in no UTF-8, so two pairs of names differ.
    let all: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
    let digest = Sha256::digest(all.join(&0xff_u8));
    digest[..4].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubespawner_makes() {
        for (text, user, server, scheme, expected) in [
            ("claim-{user_server}", "alice", "", Scheme::Safe, "claim-alice"),
            (
                "claim-{user_server}",
                "alice",
                "gpu",
                Scheme::Safe,
                "claim-alice--gpu",
            ),
            (
                "claim-{user_server}",
                "alice@example.org",
                "",
                Scheme::Safe,
                "claim-alice-example-org---7a64adf2",
            ),
            (
                "{user_server}",
                "1st_user",
                "a b",
                Scheme::Safe,
                "x-1st-user---04b53f3a--a-b---c8687a08",
            ),
            ("{safe_username}", "Bob", "", Scheme::Escape, "bob---cd9fb1e1"),
            (
                "claim-{username}{servername}",
                "alice",
                "gpu",
                Scheme::Escape,
                "claim-alice--gpu",
            ),
            (
                "claim-{username}{servername}",
                "alice@example.org",
                "",
                Scheme::Escape,
                "claim-alice-40example-2eorg",
            ),
            (
                "claim-{escaped_username}--{escaped_servername}",
                "bob",
                "",
                Scheme::Safe,
                "claim-bob",
            ),
            ("home/{username}", "Bob", "", Scheme::Escape, "home/-42ob"),
        ] {
            assert_eq!(expand(text, user, server, scheme), expected, "{text} {user}");
        }
    }
}
