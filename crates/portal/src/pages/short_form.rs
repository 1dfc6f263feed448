//! What was typed into a short form, and what is wrong with it -> its fields (pure).

use std::collections::BTreeSet;

use super::form::view::{Field, Form, Input, Problem, Section, Summary};
use crate::app::Context;
use crate::cluster::Failure;

/// The field for another user's name. `of`: whose names it takes, and what they begin with.
pub(super) fn name_field(
    name: &str,
    label: &str,
    typed: &str,
    of: &[(&str, &[String])],
    wrong: FieldErrors<'_>,
) -> Field {
    let mut help = "Exactly as the other user's account page shows it, with prefixes.".to_owned();
    let mut suggestions = BTreeSet::new();
    for (whose, prefixes) in of.iter().filter(|(_, prefixes)| !prefixes.is_empty()) {
        let all: Vec<_> = prefixes.iter().map(|prefix| format!("`{prefix}`")).collect();
        help = format!("{help} Prefixes of {whose} here: {}.", all.join(", "));
        suggestions.extend(prefixes.iter().cloned());
    }
    let value = typed.to_owned();
    Field {
        required: true,
        help,
        ..field(
            name,
            label,
            Input::Text {
                value,
                suggestions: suggestions.into_iter().collect(),
            },
            wrong,
        )
    }
}

/// What is wrong with which field.
pub(super) type FieldErrors<'a> = &'a [(&'a str, String)];

pub(super) fn field(name: &str, label: &str, input: Input, wrong: FieldErrors<'_>) -> Field {
    let own = wrong.iter().filter(|(of, _)| *of == name);
    Field {
        name: name.to_owned(),
        label: label.to_owned(),
        input,
        errors: own.map(|(_, text)| text.clone()).collect(),
        ..Field::default()
    }
}

/// What is wrong, with the labels of its fields.
pub(super) fn summary(fields: &[Field], wrong: FieldErrors<'_>) -> Summary {
    let label = |of: &str| {
        fields
            .iter()
            .find(|field| field.name == of)
            .map(|field| field.label.clone())
    };
    let problem = |(of, text): &(&str, String)| Problem {
        field: (*of).to_owned(),
        label: label(of).unwrap_or_default(),
        text: text.clone(),
    };
    Summary {
        problems: wrong.iter().map(problem).collect(),
        ..Summary::default()
    }
}

/// Says in the summary of the form that nothing was changed, and what to do.
pub(super) fn add_failure(form: &mut Form, what: &str, failure: &Failure) {
    let now = match failure.code() {
        // The summary names the values.
        422 => return,
        401 | 403 => "Ask an administrator of the namespace, and name the right in the message above.",
        404 => "It was deleted meanwhile. Go back to your workspaces.",
        409 => "Look at what is there now, and send it again if you still want it.",
        429 => "What you typed is below. Send it again in some seconds.",
        _ => "What you typed is below. Nothing was queued: send it again in a minute.",
    };
    what.clone_into(&mut form.summary.title);
    form.summary.problems.push(Problem {
        text: now.to_owned(),
        ..Problem::default()
    });
}

/// The button that sends the form. None where nothing can be changed: the page shows the command instead.
pub(super) fn buttons(context: &Context, label: &str) -> Vec<(String, String, String)> {
    let button = (String::new(), String::new(), label.to_owned());
    let is_offered = context.read_only().is_none();
    is_offered.then_some(button).into_iter().collect()
}

pub(super) fn section(fields: Vec<Field>) -> Vec<Section> {
    vec![Section {
        fields,
        ..Section::default()
    }]
}
