//! kubectl's `JSONPath` template and an object -> text (pure).
//!
//! Text stays as it is, and each `{path}` is replaced by what it finds. `{range path}…{end}` repeats its inner part for each find.
//! The paths themselves are those of RFC 9535, to which kubectl's are translated.

use std::fmt::Write as _;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// A template that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Path(Path),
    Range(Path, Vec<Self>),
}

#[derive(Debug, Clone, PartialEq)]
struct Path {
    query: JpQuery,
    /// Whether it begins at the object also inside a range.
    is_absolute: bool,
}

const EXAMPLE: &str = "such as '{.items[*].metadata.name}'";

impl Template {
    /// Reads a template; the error says what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // The parts of each range that is still open, below them those of the template.
        let mut open: Vec<(Option<Path>, Vec<Part>)> = vec![(None, Vec::new())];
        let mut rest = text;
        let mut has_path = false;
        while let Some((before, after)) = rest.split_once('{') {
            push(&mut open, Part::Text(before.to_owned()));
            let end = closing(after, '}').ok_or_else(|| format!("'{{{after}' has no closing brace"))?;
            let inner = after[..end].trim();
            rest = &after[end + 1..];
            has_path = true;
            if let Some(path) = inner.strip_prefix("range ") {
                open.push((Some(Path::parse(path.trim())?), Vec::new()));
            } else if inner == "end" {
                match open.pop() {
                    Some((Some(path), parts)) => push(&mut open, Part::Range(path, parts)),
                    _ => return Err("{end} has no {range …} before it".to_owned()),
                }
            } else if inner.starts_with(['"', '\'']) {
                push(&mut open, Part::Text(literal(inner)?));
            } else {
                push(&mut open, Part::Path(Path::parse(inner)?));
            }
        }
        push(&mut open, Part::Text(rest.to_owned()));
        if !has_path {
            return Err(format!("expected a path in braces, {EXAMPLE}"));
        }
        match (open.pop(), open.pop()) {
            (Some((None, parts)), None) => Ok(Self(parts)),
            _ => Err("{range …} has no {end}".to_owned()),
        }
    }

    /// The text for an object. Like kubectl, a field that is missing gives nothing.
    pub(crate) fn render(&self, object: &Value) -> Result<String, String> {
        let mut text = String::new();
        render(&self.0, object, object, &mut text)?;
        Ok(text)
    }
}

fn push(open: &mut [(Option<Path>, Vec<Part>)], part: Part) {
    if let Some((_, parts)) = open.last_mut()
        && part != Part::Text(String::new())
    {
        parts.push(part);
    }
}

/// Where `end` stands outside quotes and brackets.
fn closing(text: &str, end: char) -> Option<usize> {
    let (mut quote, mut depth, mut escaped) = (None, 0_usize, false);
    for (place, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, _) if depth == 0 && character == end => return Some(place),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// A quoted text with its escapes, such as `"\n"`.
fn literal(quoted: &str) -> Result<String, String> {
    let wrong = || format!("{quoted} is no quoted text, such as \"\\n\"");
    let json = match quoted.strip_prefix('\'') {
        None => quoted.to_owned(),
        Some(inner) => {
            let inner = inner.strip_suffix('\'').ok_or_else(wrong)?;
            format!("\"{}\"", inner.replace("\\'", "'").replace('"', "\\\""))
        }
    };
    serde_json::from_str(&json).map_err(|_| wrong())
}

impl Path {
    fn parse(text: &str) -> Result<Self, String> {
        let relative = text.strip_prefix(['$', '@']).unwrap_or(text);
        let relative = if relative == "." { "" } else { relative };
        let query = translate(relative).and_then(|query| parse_json_path(&query).ok());
        match query {
            Some(query) if !text.is_empty() => Ok(Self {
                query,
                is_absolute: text.starts_with('$'),
            }),
            _ => Err(format!(
                "{{{text}}} is no path that is supported: names after dots, [0], [*], [0:2], ['a.b'], [?(@.a==\"b\")] and ..name are, \
                 {EXAMPLE}"
            )),
        }
    }

    fn find<'a>(&self, root: &'a Value, current: &'a Value) -> Result<Vec<&'a Value>, String> {
        let from = if self.is_absolute { root } else { current };
        let found = js_path_process(&self.query, from).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|found| found.val).collect())
    }
}

/// kubectl's path as one of RFC 9535: names after dots may have any characters there, so they become quoted ones.
fn translate(path: &str) -> Option<String> {
    let mut query = String::from("$");
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after, ']')?;
            let _ = write!(query, "[{}]", &after[..end]);
            rest = &after[end + 1..];
            continue;
        }
        let mut name = rest.strip_prefix('.')?;
        if let Some(after) = name.strip_prefix('.') {
            query.push_str("..");
            name = after;
        }
        if name.starts_with('[') {
            rest = name;
            continue;
        }
        let (found, after) = name_of(name);
        match found.as_str() {
            "" => return None,
            "*" => query.push_str("[*]"),
            found => {
                let _ = write!(query, "['{}']", found.replace('\\', "\\\\").replace('\'', "\\'"));
            }
        }
        rest = after;
    }
    Some(query)
}

/// The name up to the next dot or bracket without a backslash before it, and what follows.
fn name_of(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[place..]),
            character => name.push(character),
        }
    }
    (name, "")
}

fn render(parts: &[Part], root: &Value, current: &Value, text: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Path(path) => {
                let found: Vec<_> = path.find(root, current)?.into_iter().map(shown).collect();
                text.push_str(&found.join(" "));
            }
            Part::Range(path, inner) => {
                for found in path.find(root, current)? {
                    render(inner, root, found, text)?;
                }
            }
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(template: &str) -> String {
        let object = json!({
            "kind": "List", "items": [
                {"metadata": {"name": "a", "annotations": {"x.org/y-z": "1"}}, "status": {"phase": "Running", "n": 3}},
                {"metadata": {"name": "b"}, "status": {"phase": "Stopped", "conditions": [{"type": "Valid", "status": "True"}]}},
            ],
        });
        Template::parse(template).unwrap().render(&object).unwrap()
    }

    #[test]
    fn the_forms_of_kubectls_documentation_work() {
        for (template, expected) in [
            ("{.items[*].metadata.name}", "a b"),
            ("{.items..name}", "a b"),
            ("{ .items[0].status.n }", "3"),
            ("{$.kind}: {.items[-1:].metadata.name}", "List: b"),
            ("{.items[0,1].metadata.name}", "a b"),
            ("{.items[*]['metadata.name', 'status.n']}", ""),
            ("{.items[*].metadata['name']}", "a b"),
            (r"{.items[0].metadata.annotations.x\.org/y-z}", "1"),
            ("{.items[?(@.metadata.name==\"b\")].status.phase}", "Stopped"),
            ("{.items[1].status.conditions[?(@.type=='Valid')].status}", "True"),
            (
                r#"{range .items[*]}{.metadata.name}={.status.phase}{"\n"}{end}"#,
                "a=Running\nb=Stopped\n",
            ),
            (r"{range .items[*]}{$.kind}{'\t'}{end}", "List\tList\t"),
            (
                "{range .items[*]}{range .status.conditions[*]}{@.type}{end}{end}",
                "Valid",
            ),
            ("{.none.at.all}!", "!"),
            ("{.items[0].status}", r#"{"n":3,"phase":"Running"}"#),
        ] {
            assert_eq!(of(template), expected, "{template}");
        }
        assert_eq!(
            Template::parse("{.}").unwrap().render(&json!([1])).unwrap(),
            "[1]"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_to_write() {
        for (template, part) in [
            (".metadata.name", "a path in braces"),
            ("", "a path in braces"),
            ("{.metadata", "no closing brace"),
            ("{range .items[*]}{.a}", "has no {end}"),
            ("{end}", "no {range"),
            ("{if .a}", "{if .a} is no path that is supported"),
            ("{}", "is no path"),
            ("{.a[}", "no closing brace"),
            ("{.a[?(]}", "no closing brace"),
            ("{\"a}", "no closing brace"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains(part), "{template}: {error}");
        }
    }
}
