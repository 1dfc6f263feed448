//! Text -> whether Kubernetes accepts it as a name, key or value (pure).

use crate::names::{child, is_dns_1035_label, is_dns_1123_subdomain};
use crate::violation::Violation;

/// Whether `text` is a DNS-1123 label: the name of a volume, container or namespace.
pub(crate) fn is_dns_1123_label(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && is_dns_1123_subdomain(text)
}

/// Whether `text` is the key of a label or annotation: a name, optionally with a domain and a slash in front.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        None => is_qualified_part(text),
        Some((domain, name)) => is_dns_1123_subdomain(domain) && is_qualified_part(name),
    }
}

/// 1 to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
pub(crate) fn is_qualified_part(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Whether `text` can be the name of an environment variable.
/// Kubernetes before 1.34 refuses pods with other names, and no shell can use them.
pub(crate) fn is_variable_name(text: &str) -> bool {
    let begins = |first: char| !first.is_ascii_digit();
    text.starts_with(begins)
        && text != "."
        && !text.starts_with("..")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Returns a violation unless `name` can be the name of a `kind`.
pub(crate) fn object_name(field: impl Into<String>, name: &str, kind: &str) -> Option<Violation> {
    let rule = format!("must be the name of a {kind}: lower-case letters, digits, '-' and '.'");
    (!is_dns_1123_subdomain(name)).then(|| Violation::new(field, name, rule))
}

/// Returns a violation unless `name` is a DNS-1123 label.
pub(crate) fn label_name(field: impl Into<String>, name: &str) -> Option<Violation> {
    let rule = "must be a name of at most 63 lower-case letters, digits and '-', with a letter or digit at both ends";
    (!is_dns_1123_label(name)).then(|| Violation::new(field, name, rule))
}

/// Whether `text` can be the name of a workspace's child object.
pub(crate) fn is_child_name(text: &str) -> bool {
    text.starts_with(&child("")) && is_dns_1035_label(text, 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        for (holds, texts) in [
            (
                is_dns_1123_label as fn(&str) -> bool,
                ["a", "a-1", "1a"].as_slice(),
            ),
            (
                is_qualified_name,
                &["a", "example.org/a", "app.kubernetes.io/name"],
            ),
            (is_variable_name, &["A", "a-b", "my.var-1", "_", ".x"]),
        ] {
            for text in texts {
                assert!(holds(text), "{text:?}");
            }
        }
        for (holds, texts) in [
            (
                is_dns_1123_label as fn(&str) -> bool,
                ["", "a.b", "A", "-a", "a-", "ü"].as_slice(),
            ),
            (is_qualified_name, &["", "/a", "A.org/a", "a/", "a/b/c"]),
            (
                is_variable_name,
                &["", "a=b", "a b", "1x", "1=x", ".", "..a", "a\n", "ü"],
            ),
        ] {
            for text in texts {
                assert!(!holds(text), "{text:?}");
            }
        }
        assert!(!is_qualified_name(&"a".repeat(64)) && is_qualified_name(&"a".repeat(63)));
    }
}
