//! Results, warnings and questions of a command -> the streams that carry them (IO).

use std::fmt;
use std::io::{self, BufRead, Write};

use api::controls_display;

/// Output of a command, and answers to its questions.
pub struct Console<'a> {
    /// Results.
    pub(crate) out: Text<'a>,
    /// Warnings, progress and questions.
    pub(crate) err: Text<'a>,
    /// Answers to questions; `None`: there is no terminal, and nothing is asked.
    pub(crate) answers: Option<&'a mut dyn BufRead>,
}

impl<'a> Console<'a> {
    /// Writes results to `out`, everything else to `err`.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, answers: Option<&'a mut dyn BufRead>) -> Self {
        Self {
            out: Text::new(out),
            err: Text::new(err),
            answers,
        }
    }

    /// Shows why the command failed.
    pub fn show_failure(&mut self, failure: &dyn fmt::Display) -> io::Result<()> {
        self.err.block(&format!("error: {failure}"))
    }
}

/// A stream of text that a terminal or a CI system shows. What others wrote cannot control either: see [`plain`].
pub(crate) struct Text<'a>(&'a mut dyn Write);

impl<'a> Text<'a> {
    pub(crate) fn new(stream: &'a mut dyn Write) -> Self {
        Self(stream)
    }

    /// One line, or its beginning: `write!` and `writeln!` call this.
    pub(crate) fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let text = text.to_string();
        let (line, end) = match text.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (text.as_str(), ""),
        };
        self.data(&(plain(line) + end))
    }

    /// Several lines. Each one gets a line end.
    pub(crate) fn block(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| writeln!(self, "{line}"))
    }

    /// A document for programs, exactly as it is: its format escapes what is in it.
    pub(crate) fn data(&mut self, document: &str) -> io::Result<()> {
        self.0.write_all(document.as_bytes())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A text of others as one line that neither a terminal nor a CI system takes for a command.
///
/// Characters that control a terminal, the direction of text or lines become spaces. A space also separates what begins a command of
/// GitHub Actions (`::name` at the start of a line, `##[name]` anywhere), Azure Pipelines (`##vso[`) or `TeamCity` (`##teamcity[`).
pub(crate) fn plain(text: &str) -> String {
    let visible = text.replace(controls_display, " ");
    let start = visible.len() - visible.trim_start().len();
    let mut line = String::with_capacity(visible.len());
    for (place, character) in visible.char_indices() {
        line.push(character);
        let rest = &visible[place..];
        if (place == start && rest.starts_with("::")) || is_command(rest) {
            line.push(' ');
        }
    }
    line
}

fn is_command(text: &str) -> bool {
    text.strip_prefix("##").is_some_and(|name| {
        name.trim_start_matches(|character: char| character.is_ascii_alphanumeric())
            .starts_with('[')
    })
}

#[cfg(test)]
mod tests {

    use super::*;

    fn written(write: impl FnOnce(&mut Text<'_>) -> io::Result<()>) -> String {
        let mut stream = Vec::new();
        write(&mut Text::new(&mut stream)).unwrap();
        String::from_utf8(stream).unwrap()
    }

    #[test]
    fn texts_of_others_control_neither_terminal_nor_ci() {
        for (text, expected) in [
            ("a::b, ## heading, #[1]", "a::b, ## heading, #[1]"),
            ("a\u{1b}[31mb\u{9b}1m\u{7}", "a [31mb 1m "),
            ("a\u{202e}b\u{2066}c\u{2069}d\u{2028}e", "a b c d e"),
            ("a\r\n::error::b", "a  ::error::b"),
            ("::set-output name=a::b", ": :set-output name=a::b"),
            (" \u{1b}\t::error::b", "   : :error::b"),
            ("\u{3000}::error::b", "\u{3000}: :error::b"),
            (":::error::b", ": ::error::b"),
            ("a ##[error]b", "a # #[error]b"),
            ("###[error]b", "## #[error]b"),
            ("##vso[task.setvariable]b", "# #vso[task.setvariable]b"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_stays_one_line_and_a_block_keeps_its_lines() {
        let message = "a\n::error::b";
        assert_eq!(
            written(|text| writeln!(text, "Warning: {message}")),
            "Warning: a ::error::b\n"
        );
        assert_eq!(written(|text| write!(text, "Continue? ")), "Continue? ");
        assert_eq!(written(|text| text.block(message)), "a\n: :error::b\n");
        assert_eq!(written(|text| text.block("")), "");
    }

    #[test]
    fn documents_for_programs_are_written_exactly() {
        let document = "::a\n\u{1b}\n";
        assert_eq!(written(|text| text.data(document)), document);
    }
}
