//! Text of others -> text that is safe to show (pure).

use askama::filters::HtmlSafe;

/// Filters of the templates.
pub(crate) mod filters {
    #![expect(
        unreachable_pub,
        clippy::unnecessary_wraps,
        clippy::unused_self,
        clippy::inline_always,
        reason = "filter_fn wants this signature, and makes public items of it"
    )]

    use askama::Values;
    use askama::filters::Safe;

    use super::Copyable;

    /// Escapes; text between two backticks becomes code.
    #[askama::filter_fn]
    pub(crate) fn markup(text: impl ToString, _: &dyn Values) -> askama::Result<Safe<String>> {
        Ok(Safe(theme::markup(&text.to_string())))
    }

    /// At most 40 characters of one line, for the eye.
    #[askama::filter_fn]
    pub(crate) fn short(text: impl ToString, _: &dyn Values) -> askama::Result<String> {
        Ok(super::plain_line(&text.to_string()).chars().take(40).collect())
    }

    /// What fits on one line of a list.
    #[askama::filter_fn]
    pub(crate) fn brief(text: impl ToString, _: &dyn Values) -> askama::Result<String> {
        Ok(super::brief(&text.to_string()))
    }

    /// Code with a button that copies it.
    #[askama::filter_fn]
    pub(crate) fn copyable(text: impl ToString, _: &dyn Values) -> askama::Result<Copyable> {
        Ok(Copyable {
            text: text.to_string(),
        })
    }

    /// One line without control characters and marks of direction, for attributes and titles, where nothing can isolate it.
    #[askama::filter_fn]
    pub(crate) fn line(text: impl ToString, _: &dyn Values) -> askama::Result<String> {
        Ok(super::plain_line(&text.to_string()))
    }
}

/// Text with a button that copies it.
#[derive(askama::Template)]
#[template(path = "views/parts.html", block = "copy")]
pub(crate) struct Copyable {
    text: String,
}

impl HtmlSafe for Copyable {}

/// Characters that change the direction of text or hide in it.
fn is_mark(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// One line for titles and attributes: without control characters, line breaks and marks of direction.
pub(crate) fn plain_line(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .filter(|character| !is_mark(*character))
        .collect()
}

/// Most characters of a text that stands on one line of a list.
const BRIEF: usize = 100;

/// The beginning of a text, without marks of code.
fn brief(text: &str) -> String {
    let plain = plain_line(text).replace('`', "");
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(BRIEF) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// A line of a log: without terminal escapes, control characters (but tabs) and marks of direction. Of text that a carriage return
/// overwrites, the last version stays, as a terminal shows it.
pub(crate) fn plain_log(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let shown = line.rsplit('\r').next().unwrap_or(line);
    let mut plain = String::with_capacity(shown.len());
    let mut characters = shown.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                Some('[') => skip_csi(&mut characters),
                Some(']' | 'P' | '_' | '^' | 'X') => skip_string(&mut characters),
                // A charset: one more character.
                Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => drop(characters.next()),
                _ => {}
            },
            '\u{9b}' => skip_csi(&mut characters),
            '\t' => plain.push('\t'),
            other if other.is_control() || is_mark(other) => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Up to the final byte of a control sequence.
fn skip_csi(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(character) = characters.next_if(|next| ('\u{20}'..='\u{7e}').contains(next)) {
        if ('\u{40}'..='\u{7e}').contains(&character) {
            return;
        }
    }
}

/// Up to the end of a command string: BEL or ESC `\`.
fn skip_string(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(character) = characters.next() {
        match character {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                let _ = characters.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_loses_colours_titles_and_control_characters() {
        assert_eq!(plain_log("\u{1b}[1;31mred\u{1b}[0m plain\n"), "red plain");
        assert_eq!(
            plain_log("\u{1b}]0;title\u{7}text\u{1b}]8;;http://x\u{1b}\\link"),
            "textlink"
        );
        assert_eq!(plain_log("\u{9b}2Ja\u{0}\u{8}b\tc\u{202e}"), "ab\tc");
        assert_eq!(plain_log("\u{1b}(Bx\u{1b}"), "x");
    }

    #[test]
    fn of_a_progress_bar_the_last_version_stays() {
        assert_eq!(plain_log("10 %\r20 %\r30 %\r\n"), "30 %");
    }

    #[test]
    fn a_text_of_a_list_is_its_beginning_on_one_line() {
        assert_eq!(brief("`a`\n  b\u{202e}"), "a b");
        let whole = "ä".repeat(BRIEF);
        assert_eq!(brief(&whole), whole);
        assert_eq!(
            brief(&format!("{} xyz", &whole[2..])),
            format!("{}…", &whole[2..])
        );
    }

    #[test]
    fn a_title_is_one_line_in_one_direction() {
        assert_eq!(plain_line("a\u{202e}b\nc\u{7}"), "ab c ");
    }
}
