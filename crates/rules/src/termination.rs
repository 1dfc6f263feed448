//! Termination message of a container -> one line for users (pure).
//!
//! Whoever may read a Workspace sees it, and may not read logs. Any program of the container can write the message, so it is cut and made
//! plain here: JupyterHub's launcher leaves a line as it is.

use std::borrow::Cow;

use api::names::STOP_REQUEST;

/// Maximum length, in characters.
const MAX: usize = 300;

/// Whether a container's user wants the workspace stopped: it ended without a failure and left this message alone.
pub fn asks_for_stop(message: Option<&str>, exit_code: i32) -> bool {
    exit_code == 0 && message.is_some_and(|message| message.trim() == STOP_REQUEST)
}

/// The last line of the message that says something.
pub fn last_line(message: &str) -> Option<String> {
    let is_blank = |line: &&str| line.chars().all(|c| c.is_control() || c.is_whitespace());
    let mut lines = message.lines().rev().map(without_escapes);
    let line = lines.find(|line| !is_blank(&line.as_str()))?;
    let plain = line.chars().filter(|c| !is_hidden(*c));
    let words = plain.collect::<String>();
    let line = without_time(words.trim())
        .split_whitespace()
        .map(without_password)
        .collect::<Vec<_>>()
        .join(" ");
    let shown = match line.char_indices().nth(MAX) {
        None => line,
        Some(_) => line.chars().take(MAX - 1).chain(['…']).collect(),
    };
    (!shown.is_empty()).then_some(shown)
}

/// Without sequences for terminals, such as colours.
fn without_escapes(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default();
    // A sequence ends with a character from @ to ~.
    let rest = parts.map(|part| {
        part.split_once(|c| ('@'..='~').contains(&c))
            .map_or("", |(_, rest)| rest)
    });
    std::iter::once(first).chain(rest).collect()
}

/// Without times in brackets at its beginning, so that a failure that repeats stays the same.
fn without_time(mut line: &str) -> &str {
    while let Some((mark, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        if rest.trim().is_empty() || !mark.contains(|c: char| c.is_ascii_digit()) {
            break;
        }
        line = rest.trim_start();
    }
    line
}

/// The word, without user and password if it is a URL with them: programs that cannot reach a database show its URL.
fn without_password(word: &str) -> Cow<'_, str> {
    let found = word.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let at = rest[..end].rfind('@')?;
        Some(format!("{scheme}://…{}", &rest[at..]))
    });
    found.map_or(Cow::Borrowed(word), Cow::Owned)
}

/// Whether a character changes how others are shown, or is not shown at all.
fn is_hidden(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_asked_for_by_this_message_alone_and_without_a_failure() {
        for (message, code, asks) in [
            (Some("stop-workspace"), 0, true),
            (Some("stop-workspace\n"), 0, true),
            (Some("stop-workspace"), 1, false),
            (Some("stop-workspace"), 143, false),
            (Some("sh: stop-workspace: not found"), 0, false),
            (Some("stop-workspace\nstop-workspace"), 0, false),
            (Some(""), 0, false),
            (None, 0, false),
        ] {
            assert_eq!(asks_for_stop(message, code), asks, "{message:?} {code}");
        }
    }

    #[test]
    fn one_plain_line_is_shown_and_the_last_one() {
        for (message, shown) in [
            ("", None),
            (" \n\t\n\u{1b}\n", None),
            ("ImportError: x", Some("ImportError: x")),
            ("Traceback\n  File\nImportError: x\n\n", Some("ImportError: x")),
            ("a\u{202e}b\u{7}c\t d", Some("abc d")),
            ("x\n \n\u{1b}[0m\n", Some("x")),
            (
                "\u{1b}[31m[C 2026-01-31 12:00:00.123 ServerApp]\u{1b}[0m Bad config\u{7}",
                Some("Bad config"),
            ),
            ("[2026-01-31T12:00:00Z] error [x] y", Some("error [x] y")),
            ("[error] no time", Some("[error] no time")),
            ("[1]", Some("[1]")),
            ("\u{1b}[", None),
            (
                "no route: postgres://me:s3cret@db:5432/x see http://a/b@c",
                Some("no route: postgres://…@db:5432/x see http://a/b@c"),
            ),
        ] {
            assert_eq!(last_line(message).as_deref(), shown, "{message:?}");
        }
        let fits = "ß".repeat(300);
        assert_eq!(last_line(&fits).as_deref(), Some(&*fits));
        let long = last_line(&"ß".repeat(4096)).unwrap();
        assert_eq!((long.chars().count(), long.ends_with("ß…")), (300, true));
    }
}
