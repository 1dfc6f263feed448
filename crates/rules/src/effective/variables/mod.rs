//! Text with `{variables}` and their values -> expanded text (pure).
//!
//! - `scope`: all variables and their values
//! - `scan`: text -> variables and literal parts
//!
//! A variable is `{name}` where the name is dotted, such as `{workspace.name}`, or is a key of `spec.variables`.
//! Every other brace stays as it is, so that shell, JSON and format strings need no escaping.
//! `${NAME}` is never a variable, `{print $1}` and `{"a": 1}` contain no names, and `{{name}}` is the literal `{name}`.
//! Only templates, managers and execution profiles are expanded, never values of a workspace itself.
//! Expansion is not recursive: braces in a value have no meaning.

mod scan;
mod scope;

use serde_json::{Map, Value};

use crate::violation::Violation;
pub(crate) use scan::Piece;
use scan::parts;
pub(crate) use scope::AUDIENCE;
pub use scope::{Scope, is_built_in, is_name};

/// Maximum length of a text after expansion, in bytes. It equals the maximum of an environment variable's value.
const MAX_TEXT: usize = 32_768;
/// Maximum total length of all texts that are expanded together, in bytes.
/// So one long value in thousands of places is refused before it uses the memory.
const MAX_TOGETHER: usize = 256 * 1024;

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// The variable is unknown.
    #[error(
        "names the unknown variable {{{name}}}: known are {known}; text in braces is written as {{{{{name}}}}}"
    )]
    Unknown {
        /// Name of the variable.
        name: String,
        /// The known names, for the message.
        known: String,
    },
    /// The text is too long with its values.
    #[error("is longer than {MAX_TEXT} bytes with its variables' values: shorten them")]
    TooLong,
    /// All texts together are too long.
    #[error(
        "makes the whole longer than {MAX_TOGETHER} bytes with its variables' values: shorten them, or use them less often"
    )]
    TooMuch,
    /// The owner's name cannot be the name of a folder.
    #[error(
        "gets the value {value:?} by {{owner.name}}, which is not the name of one folder: write {{owner.slug}}"
    )]
    Folders {
        /// The owner's name.
        value: String,
    },
    /// A value contains characters with a meaning in the surrounding language.
    #[error(
        "gets the value {value:?} by {{{name}}}, but only letters, digits and . _ - : / @ % + = ~ may stand here: change that \
         value"
    )]
    Unsafe {
        /// Name of the variable.
        name: String,
        /// Its value.
        value: String,
    },
}

/// Replaces every variable in `text`.
pub fn expand_text(text: &str, scope: &Scope) -> Result<String, VariableError> {
    let mut out = String::with_capacity(text.len());
    for part in parts(text, &|name| scope.claims(name)) {
        match part {
            Piece::Text(text) => out.push_str(text),
            Piece::Escaped(name) => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
            Piece::Variable(name) => out.push_str(&scope.text(name)?),
        }
        if out.len() > MAX_TEXT {
            return Err(VariableError::TooLong);
        }
    }
    Ok(out)
}

/// The remaining length for texts that are expanded together.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In bytes; `None` after a text did not fit.
    left: Option<usize>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            left: Some(MAX_TOGETHER),
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), VariableError> {
        self.left = self.left.and_then(|left| left.checked_sub(bytes));
        self.left.map(|_| ()).ok_or(VariableError::TooMuch)
    }

    fn is_exceeded(&self) -> bool {
        self.left.is_none()
    }
}

/// Replaces every variable in `text`, which shares its maximum length with others.
pub(crate) fn expand_within(text: &str, scope: &Scope, budget: &mut Budget) -> Result<String, VariableError> {
    let expanded = expand_text(text, scope)?;
    budget.take(expanded.len())?;
    Ok(expanded)
}

/// Replaces every variable in strings and map keys of `value`.
///
/// In a [typed](Scope::typed) scope, a string of exactly one variable becomes that variable's value: a number or a list.
/// Below `metadata`, all values remain text.
///
/// # Errors
/// All violations, each with the field's path, which begins with `path`.
pub fn expand_value(path: &str, value: &Value, scope: &Scope) -> Result<Value, Vec<Violation>> {
    expand_value_within(path, value, scope, &mut Budget::new())
}

/// Like [`expand_value`], for a value that shares its maximum length with others.
pub(crate) fn expand_value_within(
    path: &str,
    value: &Value,
    scope: &Scope,
    budget: &mut Budget,
) -> Result<Value, Vec<Violation>> {
    let mut faults = Vec::new();
    let expanded = Walk {
        scope,
        budget,
        faults: &mut faults,
    }
    .value(path, value, true);
    if faults.is_empty() {
        Ok(expanded)
    } else {
        Err(faults)
    }
}

/// The names of the variables in `text`, including unknown ones. A name without a dot counts if `is_key` returns true.
/// Then it is a key of `spec.variables`.
pub fn names_in<'a>(text: &'a str, is_key: &dyn Fn(&str) -> bool) -> Vec<&'a str> {
    parts(text, &|name| name.contains('.') || is_key(name))
        .filter_map(|part| match part {
            Piece::Variable(name) => Some(name),
            Piece::Text(_) | Piece::Escaped(_) => None,
        })
        .collect()
}

/// Splits `text` into pieces. Only dotted names are variables.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    parts(text, &|name| name.contains('.'))
}

struct Walk<'a> {
    scope: &'a Scope,
    budget: &'a mut Budget,
    faults: &'a mut Vec<Violation>,
}

impl Walk<'_> {
    fn value(&mut self, path: &str, value: &Value, typed: bool) -> Value {
        if self.budget.is_exceeded() {
            // The violation is already reported.
            return Value::Null;
        }
        match value {
            Value::String(text) => self.leaf(path, text, typed),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.value(&format!("{path}[{index}]"), item, typed))
                .collect(),
            Value::Object(map) => self.object(path, map, typed),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn object(&mut self, path: &str, map: &Map<String, Value>, typed: bool) -> Value {
        let mut out = Map::new();
        for (key, value) in map {
            let inner = join(path, key);
            let new = self.text(&inner, key);
            let value = self.value(&inner, value, typed && key != "metadata");
            if self.budget.is_exceeded() {
                break;
            }
            if out.contains_key(&new) {
                let rule = format!(
                    "is the same key as another one with its variables' values ({new:?}): rename one"
                );
                self.faults.push(Violation::new(inner, key, rule));
            } else {
                out.insert(new, value);
            }
        }
        Value::Object(out)
    }

    fn leaf(&mut self, path: &str, text: &str, typed: bool) -> Value {
        if typed
            && let Some(name) = scan::whole(text)
            && let Some(value) = self.scope.whole(name)
        {
            let accepted = self.budget.take(value.to_string().len());
            return accepted.map_or_else(|error| self.fault(path, text, &error).into(), |()| value);
        }
        Value::String(self.text(path, text))
    }

    fn text(&mut self, path: &str, text: &str) -> String {
        let expanded = match self.not_one_folder(path, text) {
            Some(error) => Err(error),
            None => expand_within(text, self.scope, self.budget),
        };
        expanded.unwrap_or_else(|error| self.fault(path, text, &error))
    }

    /// Reports an owner's name as a folder's name if it would be a path of several folders, and so perhaps another user's folder.
    fn not_one_folder(&self, path: &str, text: &str) -> Option<VariableError> {
        const OWNER: &str = "owner.name";
        let is_named = || names_in(text, &|_| false).contains(&OWNER);
        if !path.ends_with(".subPath") || !is_named() {
            return None;
        }
        let value = self.scope.text(OWNER).ok()?;
        let is_one = !value.contains('/') && !matches!(value.as_str(), "." | "..");
        (!is_one).then_some(VariableError::Folders { value })
    }

    fn fault(&mut self, path: &str, text: &str, error: &VariableError) -> String {
        self.faults.push(Violation::new(path, text, error.to_string()));
        String::new()
    }
}

/// Path of `key` below `path`. Keys with dots and slashes are in brackets, as in messages of Kubernetes.
fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match (plain, path) {
        (true, "") => key.to_owned(),
        (true, path) => format!("{path}.{key}"),
        (false, path) => format!("{path}[{}]", key.escape_debug()),
    }
}

#[cfg(test)]
mod tests;
