//! YAML document -> its value, and the place of each field (pure).

use serde_json::Value;

use crate::violation::Violation;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

/// Something wrong in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is. For a missing field: the closest part of its path that is there.
    pub place: Place,
    /// Path of the field; empty if it is about the text as a whole.
    pub field: String,
    /// The value as it was written; may be empty.
    pub value: String,
    /// The rule, and what to do.
    pub message: String,
}

impl Finding {
    pub(super) fn new(place: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place,
            field: field.into(),
            value: String::new(),
            message: message.into(),
        }
    }

    /// The same as [`Violation`], for its texts.
    pub fn violation(&self) -> Violation {
        Violation::new(&self.field, &self.value, &self.message)
    }
}

/// One document.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says, as JSON.
    pub value: Value,
    pub(super) root: Node,
}

/// A value in the text.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) inner: Inner,
}

#[derive(Debug, Clone)]
pub(super) enum Inner {
    /// Text, number, or an alias of a value elsewhere.
    Leaf,
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Document {
    /// Where the document begins.
    pub fn start(&self) -> Place {
        self.root.place
    }

    /// The place of a field: its value if that is a single one, else its key. If the text does not have the field, the place of the
    /// closest part of its path. It knows the notations of this project and of the API server: `spec.env[0].name`,
    /// `limits[nvidia.com/gpu]`, `limits.nvidia.com/gpu`.
    pub fn place(&self, field: &str) -> Place {
        match self.last(field).0 {
            None => self.root.place,
            Some((_, node)) if matches!(node.inner, Inner::Leaf) => node.place,
            Some((key, _)) => key,
        }
    }

    /// The place of a field's key, else as [`Self::place`].
    pub(super) fn key_place(&self, field: &str) -> Place {
        self.last(field).0.map_or(self.root.place, |(key, _)| key)
    }

    /// Whether the text has the field itself, in a notation that [`Self::place`] knows.
    pub fn has(&self, field: &str) -> bool {
        !field.is_empty() && self.last(field).1.is_empty()
    }

    /// The last part of a path that the text has: the place of its key and its value. And the rest of the path.
    fn last<'f>(&self, field: &'f str) -> (Option<(Place, &Node)>, &'f str) {
        let (mut last, mut node, mut rest) = (None, &self.root, field);
        while let Some((key, inner, left)) = node.step(rest) {
            last = Some((key, inner));
            (node, rest) = (inner, left);
        }
        (last, rest)
    }

    /// The violation with its place.
    pub fn finding(&self, violation: &Violation) -> Finding {
        Finding {
            place: self.place(&violation.field),
            field: violation.field.clone(),
            value: violation.value.clone(),
            message: violation.message.clone(),
        }
    }
}

impl Node {
    /// The first part of `path` in this value: the place of its key, its value, and the rest of the path.
    pub(super) fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(Place, &'n Self, &'p str)> {
        let path = path.strip_prefix('.').unwrap_or(path);
        match &self.inner {
            Inner::Leaf => None,
            Inner::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item.place, item, rest))
            }
            Inner::Map(entries) => {
                let found = entries
                    .iter()
                    .filter_map(|entry| Some((entry, after(path, &entry.key)?)));
                // A key may be the beginning of another one, as `nvidia.com` of `nvidia.com/gpu`.
                let (entry, rest) = found.max_by_key(|(entry, _)| entry.key.len())?;
                Some((entry.place, &entry.node, rest))
            }
        }
    }
}

/// What follows `key` in `path`.
fn after<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    if let Some(rest) = path.strip_prefix('[') {
        let escaped = key.escape_debug().to_string();
        let rest = rest
            .strip_prefix(escaped.as_str())
            .or_else(|| rest.strip_prefix(key))?;
        return rest.strip_prefix(']');
    }
    let rest = path.strip_prefix(key)?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
}
