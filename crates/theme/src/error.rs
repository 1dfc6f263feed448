//! Setting and problem -> the message of a setting that cannot be used (pure).

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    /// The text is no JSON object of settings.
    #[error("{0}")]
    Malformed(String),
    /// A value cannot be used.
    #[error("{field}: {problem}")]
    Value {
        /// Name of the setting.
        field: &'static str,
        /// What is wrong, and the rule.
        problem: String,
    },
}

impl ThemeError {
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Value {
            field,
            problem: problem.into(),
        }
    }
}
