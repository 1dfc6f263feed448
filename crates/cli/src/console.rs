//! Results, warnings and questions of a command -> the streams that carry them (data).

use std::io::{BufRead, Write};

/// Output of a command, and answers to its questions.
pub struct Console<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Warnings, progress and questions.
    pub err: &'a mut dyn Write,
    /// Answers to questions; `None`: there is no terminal, and nothing is asked.
    pub answers: Option<&'a mut dyn BufRead>,
}
