//! Violations, findings in a text, refusals of the API server -> what is wrong, and where (pure).

use api::Workspace;
use rules::Violation;
use rules::form::{Change, Form};
use rules::manifest::{self, Document, Finding, Manifest, Place};

use super::view::{Mark, Marks, Problem, Summary};
use crate::cluster::Failure;

/// What is wrong, with the path of the field; an empty path: with none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pages) struct Problems(pub(in crate::pages) Vec<(String, String)>);

impl Problems {
    /// Violations of rules, with their messages.
    pub(in crate::pages) fn from_violations<'a>(violations: impl IntoIterator<Item = &'a Violation>) -> Self {
        let of = |violation: &Violation| (violation.field.clone(), violation.detail());
        Self(violations.into_iter().map(of).collect())
    }

    /// What the API server said.
    pub(in crate::pages) fn from_failure(failure: &Failure) -> Self {
        if failure.is_taken() {
            let message = "is taken: a workspace of this name exists in this namespace; choose another name";
            return Self(vec![("metadata.name".to_owned(), message.to_owned())]);
        }
        let causes = failure.causes();
        if causes.is_empty() {
            return Self(vec![(String::new(), failure.to_string())]);
        }
        Self(causes)
    }

    /// The same with names of variables, as a form's fields have them, where the API server counts them.
    pub(in crate::pages) fn with_names(mut self, workspace: &Workspace) -> Self {
        let named = |place: &str| {
            let (index, rest) = place.strip_prefix("spec.env[")?.split_once(']')?;
            let variable = workspace.spec.env.get(index.parse::<usize>().ok()?)?;
            let rest = rest.strip_suffix(".value").unwrap_or(rest);
            Some(format!("spec.env[{}]{rest}", variable.name.escape_debug()))
        };
        for (place, _) in &mut self.0 {
            if let Some(named) = named(place) {
                *place = named;
            }
        }
        self
    }

    pub(in crate::pages) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with the field of this path.
    pub(in crate::pages) fn at(&self, form: &Form, path: &str) -> Vec<String> {
        let of_field = self.0.iter().filter(|(place, _)| {
            let field = form.field_of(place);
            field.is_some_and(|field| field.path == path)
        });
        of_field.map(|(place, text)| within(path, place, text)).collect()
    }

    /// All of them, in the order of the fields; those of no field come last.
    pub(in crate::pages) fn summary(&self, form: &Form) -> Summary {
        let rank = |place: &str| {
            let field = form.field_of(place);
            let at = field.and_then(|field| form.fields.iter().position(|other| other.path == field.path));
            at.unwrap_or(form.fields.len())
        };
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(place, _)| rank(place));
        let problem = |(place, text): &(String, String)| match form.field_of(place) {
            Some(field) => Problem {
                // The control of a field that cannot change is not there, so no link leads to it.
                field: match field.change {
                    Change::Refused(_) => String::new(),
                    _ => field.path.clone(),
                },
                label: field.label.clone(),
                text: within(&field.path, place, text),
            },
            None => Problem {
                field: String::new(),
                label: place.clone(),
                text: text.clone(),
            },
        };
        Summary {
            problems: all.into_iter().map(problem).collect(),
            ..Summary::default()
        }
    }
}

/// The text, with the place inside of the field, such as the third row.
fn within(field: &str, place: &str, text: &str) -> String {
    match place.strip_prefix(field).map(|rest| rest.trim_start_matches('.')) {
        None | Some("") => text.to_owned(),
        Some(rest) => format!("`{rest}`: {text}"),
    }
}

/// Reads the text. `fixed`: fields whose value is not the text's to choose; left out, they count as that value.
pub(in crate::pages) fn read_text(text: &str, fixed: &[(&str, &str)]) -> Result<Manifest, Vec<Finding>> {
    let manifest = manifest::workspace(text)?;
    let wrong: Vec<_> = fixed
        .iter()
        .filter_map(|(field, value)| {
            let found = value_of(&manifest.workspace, field)?;
            let message = format!("must be {value} here: write that, or open the form of the other one");
            let violation = Violation::new(*field, found, message);
            (found != *value).then(|| manifest.document.finding(&violation))
        })
        .collect();
    if wrong.is_empty() {
        Ok(manifest)
    } else {
        Err(wrong)
    }
}

fn value_of<'a>(workspace: &'a Workspace, field: &str) -> Option<&'a str> {
    match field {
        "metadata.name" => workspace.metadata.name.as_deref(),
        "metadata.namespace" => workspace.metadata.namespace.as_deref(),
        "spec.templateRef" => workspace.spec.template_ref.as_deref(),
        _ => None,
    }
}

/// Findings as marks of the text.
pub(in crate::pages) fn marks(text: &str, findings: &[Finding]) -> Marks {
    let mark = |finding: &Finding| mark(text, finding.place, &finding.field, finding.violation().detail());
    Marks {
        marks: findings.iter().map(mark).collect(),
        good: String::new(),
    }
}

/// What the API server said, at the places of its fields.
pub(in crate::pages) fn marks_at_fields(text: &str, document: &Document, problems: &Problems) -> Marks {
    let mut marks: Vec<_> = problems
        .0
        .iter()
        .map(|(field, message)| match &**field {
            // About the whole.
            "" => Mark {
                text: message.clone(),
                ..Mark::default()
            },
            field => mark(text, document.place(field), field, message.clone()),
        })
        .collect();
    marks.sort_by_key(|mark| (mark.line, mark.column));
    Marks {
        marks,
        good: String::new(),
    }
}

fn mark(text: &str, place: Place, path: &str, message: String) -> Mark {
    Mark {
        line: place.line,
        column: place.column,
        offset: offset(text, place),
        path: path.to_owned(),
        text: message,
    }
}

/// UTF-16 units before the place, as a text field of a browser counts: there a line break is one unit.
fn offset(text: &str, place: Place) -> usize {
    let units = |text: &str| text.encode_utf16().count();
    let mut lines = text.lines();
    let before: usize = lines
        .by_ref()
        .take(place.line.saturating_sub(1))
        .map(|line| units(line) + 1)
        .sum();
    let line = lines.next().unwrap_or_default();
    let start: String = line.chars().take(place.column.saturating_sub(1)).collect();
    before + units(&start)
}

#[cfg(test)]
mod tests {
    use rules::form::{Field, Kind};
    use serde_json::json;

    use super::*;

    fn form() -> Form {
        let field = |path: &str, label: &str, change| Field {
            path: path.to_owned(),
            section: "",
            label: label.to_owned(),
            help: String::new(),
            kind: Kind::Text { rule: None },
            default: None,
            is_required: false,
            change,
        };
        Form {
            fields: vec![
                field(
                    "metadata.name",
                    "Name",
                    Change::Refused("cannot change".to_owned()),
                ),
                field("spec.image", "Image", Change::New),
                field("spec.env[COURSE]", "COURSE", Change::New),
            ],
        }
    }

    fn refused(code: u16, reason: &str, causes: &[(&str, &str)]) -> Failure {
        let cause = |(field, message): &(&str, &str)| json!({"field": field, "message": message});
        let status = json!({
            "status": "Failure", "code": code, "reason": reason, "message": "the whole message",
            "details": {"causes": causes.iter().map(cause).collect::<Vec<_>>()},
        });
        Failure::Refused(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn each_cause_stands_at_its_field_in_the_words_of_the_api_server() {
        let failure = refused(
            422,
            "Invalid",
            &[
                ("spec.env[2].value", "is too long"),
                ("spec.env[2].name", "is reserved"),
                ("spec.env[7].value", "is unknown"),
                ("spec.affinity", "is not allowed"),
                ("spec.image", "\"x\" is not allowed"),
            ],
        );
        let env = serde_json::from_value(json!([{"name": "A"}, {"name": "B"}, {"name": "COURSE"}])).unwrap();
        let mut workspace = Workspace::default();
        workspace.spec.env = env;
        let problems = Problems::from_failure(&failure).with_names(&workspace);
        let form = form();
        assert_eq!(problems.at(&form, "spec.image"), ["\"x\" is not allowed"]);
        assert_eq!(
            problems.at(&form, "spec.env[COURSE]"),
            ["is too long", "`name`: is reserved"]
        );
        assert!(problems.at(&form, "metadata.name").is_empty());
        let summary = problems.summary(&form);
        let places: Vec<_> = summary
            .problems
            .iter()
            .map(|it| (&*it.field, &*it.label))
            .collect();
        assert_eq!(
            places,
            [
                ("spec.image", "Image"),
                ("spec.env[COURSE]", "COURSE"),
                ("spec.env[COURSE]", "COURSE"),
                ("", "spec.env[7].value"),
                ("", "spec.affinity")
            ]
        );
    }

    #[test]
    fn a_name_that_is_taken_is_said_at_the_name() {
        let problems = Problems::from_failure(&refused(409, "AlreadyExists", &[]));
        assert_eq!(problems.0[0].0, "metadata.name");
        let conflict = Problems::from_failure(&refused(409, "Conflict", &[]));
        assert_eq!(conflict.0[0].0, "");
    }

    #[test]
    fn nothing_links_to_a_field_that_cannot_change() {
        let problems = Problems(vec![("metadata.name".to_owned(), "cannot change".to_owned())]);
        assert_eq!(problems.summary(&form()).problems[0].field, "");
    }

    #[test]
    fn an_offset_counts_as_browsers_do() {
        let at = |line, column| offset("a🦀b\r\nc\n", Place { line, column });
        assert_eq!(at(1, 1), 0);
        assert_eq!(at(1, 3), 3, "a crab has two units");
        assert_eq!(at(2, 1), 5, "a line break is one unit");
        assert_eq!(at(9, 9), 7, "a place behind the end");
    }
}
