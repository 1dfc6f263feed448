//! Name and value of a variable -> whether it must not be written anywhere (pure).

use std::sync::LazyLock;

use regex::Regex;

/// Parts of names of variables that hold credentials.
const WORDS: [&str; 6] = ["TOKEN", "KEY", "SECRET", "PASS", "CRED", "AUTH"];

/// `user:password@`, or whatever stands before the host of a URL: some have a token there, as user or as password alone.
static USER_AND_PASSWORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[^\s/:@]+:[^\s/@]+@[^\s]|://[^\s@]*@[^\s]").ok());

/// A flag whose name tells that a credential follows, anywhere in a command.
static FLAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(^|\s)-[\w.-]*(token|key|secret|pass|cred|auth)[\w.-]*[=\s]\s*['\x22]?[^\s'\x22]").ok()
});

/// Whether the variable holds a credential, as far as its name and value tell.
pub(crate) fn is_credential(name: &str, value: &str) -> bool {
    let name = name.to_uppercase();
    WORDS.iter().any(|word| name.contains(word)) || has_password(value)
}

/// Whether the text holds a user with a password.
fn has_password(text: &str) -> bool {
    USER_AND_PASSWORD.as_ref().is_none_or(|it| it.is_match(text))
}

/// Whether the text, of a command or arguments, holds a credential.
pub(crate) fn is_command_with_credential(text: &str) -> bool {
    has_password(text) || FLAG.as_ref().is_none_or(|it| it.is_match(text))
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
            ("REDIS_URL", "redis://:hunter2@redis:6379/0", true),
            ("GIT_REMOTE", "https://ghp_x@github.example.org/a/b", true),
            ("DATABASE_URL", "postgres://u:p/w@db/x", true),
            ("MAIL", "bob@example.org", false),
            ("TIME", "at 12:30, mail bob@example.org", false),
            ("LANG", "C.UTF-8", false),
        ] {
            assert_eq!(is_credential(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn credentials_in_commands_are_known() {
        for (text, expected) in [
            ("--NotebookApp.token=abc", true),
            ("jupyter lab --NotebookApp.token='abc' --port=8888", true),
            ("mlflow --token abc", true),
            ("curl https://u:p@host/", true),
            ("jupyter lab --NotebookApp.token='' --port=8888", false),
            ("jupyter lab --NotebookApp.base_url=/x --port 8888", false),
        ] {
            assert_eq!(is_command_with_credential(text), expected, "{text}");
        }
    }
}
