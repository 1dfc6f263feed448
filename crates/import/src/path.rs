//! JSON value -> paths of its leaves; pattern -> whether a path matches (pure).

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Of an object. Paths of one object share it: there are many.
    Key(Arc<str>),
    /// Of a list.
    Index(usize),
}

/// The way from an object to one of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Path {
    /// A path of our own texts, such as `spec.env[0]` or `metadata.labels[a.b/c]`.
    pub(crate) fn of(text: &str) -> Self {
        Self(steps(text).map(step).collect())
    }

    /// The path with a key at its end.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.then([Step::Key(key.into())])
    }

    /// The path with an index at its end.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.then([Step::Index(index)])
    }

    /// The path with these steps at its end.
    pub(crate) fn then(&self, steps: impl IntoIterator<Item = Step>) -> Self {
        Self(self.0.iter().cloned().chain(steps).collect())
    }

    /// The steps after `start`; `None`: the path is elsewhere.
    pub(crate) fn below(&self, start: &Self) -> Option<&[Step]> {
        self.0.strip_prefix(start.0.as_slice())
    }

    /// Whether its last step is this key.
    pub(crate) fn ends_with(&self, key: &str) -> bool {
        matches!(self.0.last(), Some(Step::Key(last)) if **last == *key)
    }

    /// The value at this path.
    pub(crate) fn get<'v>(&self, value: &'v Value) -> &'v Value {
        self.0.iter().fold(value, |value, step| match step {
            Step::Key(key) => &value[&**key],
            Step::Index(index) => &value[*index],
        })
    }
}

/// Keys that are no plain word are in brackets.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.is_empty() || !key.chars().all(is_plain) => write!(f, "[{key}]")?,
                Step::Key(key) if place == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// The parts of a path or pattern: words between dots, and what is in brackets with its first bracket.
fn steps(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = match rest.strip_prefix('[') {
            Some(inner) => inner.find(']').map_or(rest.len(), |at| at + 1),
            None => rest.find(['.', '[']).unwrap_or(rest.len()),
        };
        let part = rest.get(..end).filter(|part| !part.is_empty())?;
        rest = rest.get(end..).unwrap_or_default().trim_start_matches(']');
        Some(part)
    })
}

fn step(part: &str) -> Step {
    match part.strip_prefix('[') {
        None => Step::Key(part.into()),
        Some(inner) => inner
            .parse()
            .map_or_else(|_| Step::Key(inner.into()), Step::Index),
    }
}

/// Whether the path is at or below the pattern: a path with `[]` for any item and `*` for any step.
pub(crate) fn matches(pattern: &str, path: &[Step]) -> bool {
    let mut path = path.iter();
    steps(pattern).all(|part| match (part, path.next()) {
        ("*", Some(_)) | ("[", Some(Step::Index(_))) => true,
        (part, Some(Step::Key(key))) => part.strip_prefix('[').unwrap_or(part) == &**key,
        (part, Some(Step::Index(index))) => part.strip_prefix('[').is_some_and(|it| it == index.to_string()),
        (_, None) => false,
    })
}

/// The paths of all leaves: scalars, empty lists and empty objects. What is at a path of `whole` counts as one leaf.
pub(crate) fn leaves(value: &Value, whole: &[Path]) -> Vec<Path> {
    let mut found = Vec::new();
    collect(value, &Path::default(), whole, &mut found);
    found
}

fn collect(value: &Value, at: &Path, whole: &[Path], found: &mut Vec<Path>) {
    match value {
        _ if whole.contains(at) => found.push(at.clone()),
        Value::Object(fields) if !fields.is_empty() => {
            for (key, inner) in fields {
                collect(inner, &at.key(key), whole, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                collect(inner, &at.index(index), whole, found);
            }
        }
        _ => found.push(at.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_leaf_has_a_path_that_reads_back_as_itself() {
        let value = json!({"a": [1, {"b.c/d": null}], "e": {}, "f": [], "status": {"g": 1}, "0": 2});
        let found = leaves(&value, &[Path::of("status")]);
        let texts: Vec<_> = found.iter().map(Path::to_string).collect();
        assert_eq!(texts, ["0", "a[0]", "a[1][b.c/d]", "e", "f", "status"]);
        for path in &found {
            assert_eq!(Path::of(&path.to_string()), *path);
        }
        assert_eq!(found[1].get(&value), &json!(1));
    }

    #[test]
    fn a_pattern_covers_what_is_below_it_and_nothing_beside_it() {
        let path = Path::of("spec.containers[1].env[0].name");
        for (pattern, expected) in [
            ("spec.containers[]", true),
            ("spec.containers[1].env", true),
            ("spec.*[].env[].name", true),
            ("spec.containers[0]", false),
            ("spec.containers[].en", false),
            ("spec.containers[].env[].name.more", false),
        ] {
            assert_eq!(matches(pattern, &path.0), expected, "{pattern}");
        }
        let label = Path::of("metadata.labels[a.b/c]");
        assert!(matches("metadata.labels[a.b/c]", &label.0) && !matches("metadata.labels[a.b/d]", &label.0));
    }
}
