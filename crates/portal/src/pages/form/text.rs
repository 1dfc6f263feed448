//! YAML text -> workspace or findings with line and column; problems -> marks in the text (pure).

use api::Workspace;
use rules::Violation;
use rules::manifest::{self, Document, Finding, Manifest, Place};

use super::problems::Problems;
use crate::views::{Mark, Marks};

/// Reads the text. `fixed`: fields whose value is not the text's to choose; left out, they count as that value.
pub(super) fn read(text: &str, fixed: &[(&str, &str)]) -> Result<Manifest, Vec<Finding>> {
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
pub(super) fn marks(text: &str, findings: &[Finding]) -> Marks {
    let mark = |finding: &Finding| mark(text, finding.place, &finding.field, finding.violation().detail());
    Marks {
        marks: findings.iter().map(mark).collect(),
        good: String::new(),
    }
}

/// What the API server said, at the places of its fields.
pub(super) fn placed_marks(text: &str, document: &Document, problems: &Problems) -> Marks {
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
    use super::*;

    #[test]
    fn an_offset_counts_as_browsers_do() {
        let at = |line, column| offset("a🦀b\r\nc\n", Place { line, column });
        assert_eq!(at(1, 1), 0);
        assert_eq!(at(1, 3), 3, "a crab has two units");
        assert_eq!(at(2, 1), 5, "a line break is one unit");
        assert_eq!(at(9, 9), 7, "a place behind the end");
    }
}
