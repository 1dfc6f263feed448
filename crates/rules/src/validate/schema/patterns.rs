//! Pattern of a schema -> readable message (pure).

use std::sync::LazyLock;

use regex::Regex;

/// Each pattern of our schemas, and the message for a text that does not match.
pub(super) const RULES: [(&str, &str); 11] = [
    (
        r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        "is no amount: write a number that is not negative, and a unit if need be, such as 500m, 2, 512Mi or 10Gi",
    ),
    (
        r"^[^\x00-\x1f\x7f\x{202a}-\x{202e}\x{2066}-\x{2069}]+$",
        "is no line of plain text: leave out line breaks, other control characters, and marks that change the reading direction",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "is no name of an object: use lower-case letters, digits, '-' and '.', with a letter or digit at both ends and around each '.'",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "is no name: use lower-case letters, digits and '-', with a letter or digit at both ends",
    ),
    (
        r"^/[^:]+$",
        "is no place in a container: write a path that begins with '/' and holds no ':', such as /home/jovyan/data",
    ),
    (
        r"^[^/:][^:]*$",
        "is no folder of a disk: write a path without '/' in front and without ':', such as data/2025",
    ),
    (
        r"^(/[^/:]+){2,}$",
        "is no place for a token: write a path of two folders or more, without ':' and without '/' at the end, such as /var/run/tokens",
    ),
    (
        r"^/[-A-Za-z0-9._~!$&'()*+,;=:@%/?]*$",
        "is no path of a URL: begin it with '/', and write what a URL does not hold as %xx",
    ),
    (
        r"^(\$?\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        "is no place in a JSON answer: write names joined by dots, such as kernels.last_activity",
    ),
    (
        r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$",
        "is no domain: write labels of lower-case letters, digits and '-', joined by dots, the last one with a letter in front, such as \
         workspaces.example.org",
    ),
    (
        r"^https?://[^ \t\n\f\r]+$",
        "is no URL: write http://… or https://…, without blanks",
    ),
];

/// A compiled pattern, and the message for a text that does not match.
#[derive(Debug)]
pub(super) struct PatternRule {
    pub(super) pattern: Regex,
    pub(super) rule: &'static str,
}

/// Each pattern is compiled once, even if several fields use it.
pub(super) fn rule_of(pattern: &str) -> Option<&'static PatternRule> {
    static COMPILED: LazyLock<Vec<PatternRule>> = LazyLock::new(|| {
        let message = |(pattern, rule): (&str, &'static str)| {
            let pattern = Regex::new(pattern).ok()?;
            Some(PatternRule { pattern, rule })
        };
        RULES.into_iter().filter_map(message).collect()
    });
    COMPILED
        .iter()
        .find(|message| message.pattern.as_str() == pattern)
}
