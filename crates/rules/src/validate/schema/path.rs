//! Place of a value -> path of the field as text (pure).

use std::fmt;

use super::SHOWN;

/// Place of a value. It becomes text only for violations that are reported.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'p> {
    Spec,
    Field(&'p Self, &'p str),
    Index(&'p Self, usize),
    /// A key of a map, in the notation of the other rules.
    Key(&'p Self, &'p str),
}

impl Path<'_> {
    /// Keys and indexes, beginning at the spec.
    pub(super) fn steps(&self) -> Vec<String> {
        let (above, step) = match self {
            Self::Spec => return Vec::new(),
            Self::Field(above, name) | Self::Key(above, name) => (above, (*name).to_owned()),
            Self::Index(above, index) => (above, index.to_string()),
        };
        let mut steps = above.steps();
        steps.push(step);
        steps
    }

    /// Name of the field, if the place is a field.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Field(_, name) => name,
            Self::Spec | Self::Index(..) | Self::Key(..) => "",
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec => f.write_str("spec"),
            Self::Field(above, name) => write!(f, "{above}.{name}"),
            Self::Index(above, index) => write!(f, "{above}[{index}]"),
            Self::Key(above, name) => {
                let end = name.char_indices().nth(SHOWN).map_or(name.len(), |(end, _)| end);
                let shown = &name[..end];
                if shown
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                {
                    write!(f, "{above}.{shown}")
                } else {
                    write!(f, "{above}[{}]", shown.escape_debug())
                }
            }
        }
    }
}
