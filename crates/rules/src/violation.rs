//! One violation -> one readable line; all violations -> one message (pure).

use std::fmt;

/// Maximum length of a value in messages, in characters. The value itself may have any length.
const SHOWN: usize = 500;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the object, such as `spec.resources.limits.cpu`.
    pub field: String,
    /// The wrong value as it was written; empty if the field is absent.
    pub value: String,
    /// The rule, its bound, and what to do.
    pub message: String,
}

impl Violation {
    /// A violation at `field`.
    pub fn new(field: impl Into<String>, value: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: value.into(),
            message: message.into(),
        }
    }

    /// Value and message without the field, for a status cause that has its own field.
    pub fn detail(&self) -> String {
        match self.value.as_str() {
            "" => self.message.clone(),
            value => match value.char_indices().nth(SHOWN) {
                None => format!("{value:?} {}", self.message),
                Some((end, _)) => format!("{:?}… {}", &value[..end], self.message),
            },
        }
    }
}

/// One line: `field: "value" message`. Line breaks in values are escaped.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.detail())
    }
}

/// All violations of one object. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// `None` if the list is empty.
    pub fn from_list(list: Vec<Violation>) -> Option<Self> {
        if list.is_empty() { None } else { Some(Self(list)) }
    }

    /// Iterates over the violations.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// Number of violations, at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Violation> for Violations {
    fn from(violation: Violation) -> Self {
        Self(vec![violation])
    }
}

/// All violations in one message, joined by `; `.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_truncated_in_messages() {
        let message = |value: &str| Violation::new("spec.image", value, "is wrong").to_string();
        let shown = "ß".repeat(SHOWN);
        assert_eq!(message(&shown), format!(r#"spec.image: "{shown}" is wrong"#));
        assert_eq!(
            message(&format!("{shown}ß")),
            format!(r#"spec.image: "{shown}"… is wrong"#)
        );
    }

    #[test]
    fn a_list_reads_as_one_message() {
        let list = vec![
            Violation::new("spec.image", "a\nb", "is not allowed: choose another"),
            Violation::new("spec.storage.size", "", "is missing: set it"),
        ];
        assert_eq!(
            Violations::from_list(list).unwrap().to_string(),
            r#"spec.image: "a\nb" is not allowed: choose another; spec.storage.size: is missing: set it"#
        );
    }
}
