//! Name and value of a variable -> whether it must not be written anywhere (pure).

use std::sync::LazyLock;

use regex::Regex;

/// Parts of names of variables that hold credentials.
const WORDS: [&str; 6] = ["TOKEN", "KEY", "SECRET", "PASS", "CRED", "AUTH"];

/// `user:password@`, as in a URL.
static USER_AND_PASSWORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[^\s/:@]+:[^\s/@]+@[^\s]").ok());

/// Whether the variable holds a credential, as far as its name and value tell.
pub(crate) fn is_credential(name: &str, value: &str) -> bool {
    let name = name.to_uppercase();
    WORDS.iter().any(|word| name.contains(word)) || has_password(value)
}

/// Whether the text holds a user with a password.
pub(crate) fn has_password(text: &str) -> bool {
    USER_AND_PASSWORD.as_ref().is_none_or(|it| it.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls_that_hold_credentials_are_known() {
        for (name, value, expected) in [
            ("GITHUB_TOKEN", "x", true),
            ("aws_secret_access", "x", true),
            ("INDEX", "https://bob:geheim@pypi.example.org/simple", true),
            ("INDEX", "https://pypi.example.org/simple", false),
            ("MAIL", "bob@example.org", false),
            ("TIME", "at 12:30, mail bob@example.org", false),
            ("LANG", "C.UTF-8", false),
        ] {
            assert_eq!(is_credential(name, value), expected, "{name}={value}");
        }
    }
}
