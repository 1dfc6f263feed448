//! What is being typed -> what a dry run says, as parts of a page (IO: as the user).

use askama::Template as _;
use axum::Json;
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use rules::form::Values;
use serde::Serialize;

use super::draft::{Draft, Format};
use super::fields::FormFields;
use super::problems::Problems;
use super::view::{Field, Marks, Problem, Section, Summary};
use crate::app::Context;
use crate::cluster::Failure;
use crate::limits::Kind;
use crate::pages::answers::plain;

/// Said where a dry run finds nothing. Without a webhook the API server does not know the template.
fn good(context: &Context) -> String {
    let operator = if context.app.index.has_webhook() {
        ""
    } else {
        " The operator checks the template's bounds after you save."
    };
    format!("The API server would accept this.{operator}")
}

/// Parts of a page that a check replaces.
#[derive(Debug, Default, Serialize)]
struct CheckParts {
    summary: Option<Summary>,
    marks: Option<Marks>,
    sections: Vec<Section>,
    fields: Vec<Field>,
}

impl CheckParts {
    fn answer(&self, context: &Context) -> Response {
        if context.is_json {
            return Json(self).into_response();
        }
        let mut html = Vec::new();
        html.extend(self.summary.as_ref().map(Summary::render));
        html.extend(self.marks.as_ref().map(Marks::render));
        html.extend(self.sections.iter().map(Section::render));
        html.extend(self.fields.iter().map(Field::render));
        match html.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(parts) => Html(parts.concat()).into_response(),
            Err(error) => {
                tracing::error!(%error, "parts of a page cannot be rendered");
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The check cannot be shown. Tell an administrator.",
                )
            }
        }
    }
}

/// Answers a check of what was typed. `before`: values of the workspace, if it exists. `dry_run` does not
/// start if something cannot be read, or if nothing may be written.
pub(in crate::pages) async fn answer<T>(
    (context, namespace): (&Context, &str),
    draft: &Draft,
    before: Option<&Values>,
    dry_run: impl Future<Output = Result<T, Failure>>,
) -> Response {
    let is_judged = context.read_only_in(namespace).is_none();
    let problems = async {
        if !draft.is_readable() {
            return draft.problems.clone();
        }
        if !is_judged {
            return Problems::default();
        }
        let refused = dry_run.await.err();
        refused
            .map(|failure| Problems::from_failure(&failure))
            .unwrap_or_default()
    };
    if draft.written == Format::Yaml {
        let mut marks = draft.marks(&problems.await);
        if marks.marks.is_empty() && is_judged {
            marks.good = good(context);
        }
        let parts = CheckParts {
            marks: Some(marks),
            ..CheckParts::default()
        };
        return parts.answer(context);
    }
    let problems = problems.await.with_names(&draft.workspace);
    let mut summary = problems.summary(&draft.form);
    if problems.is_empty() && is_judged {
        summary.good = good(context);
    }
    let shown = FormFields {
        form: &draft.form,
        values: &draft.values,
        before,
        problems: &problems,
    };
    let (sections, fields) = shown.parts();
    let parts = CheckParts {
        summary: Some(summary),
        sections,
        fields,
        ..CheckParts::default()
    };
    parts.answer(context)
}

/// The answer where nothing could be checked. `why`: in words of the portal and of the API server, if it said something.
pub(in crate::pages) fn no_check(context: &Context, why: [String; 2]) -> Response {
    let why = why.into_iter().filter(|text| !text.is_empty());
    let problems = why.map(|text| Problem {
        text,
        ..Problem::default()
    });
    let parts = CheckParts {
        summary: Some(Summary {
            title: "This is not checked. What you typed stays.".to_owned(),
            problems: problems.collect(),
            ..Summary::default()
        }),
        ..CheckParts::default()
    };
    parts.answer(context)
}

/// The refusal of a check that comes too soon after others.
pub(in crate::pages) fn too_soon(context: &Context) -> Option<Response> {
    if context.app.limits.allows(&context.user.name, Kind::Check) {
        return None;
    }
    let text = "You checked more than five times in a second. The next change is checked again.";
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
    response
        .headers_mut()
        .insert(RETRY_AFTER, http::HeaderValue::from_static("1"));
    Some(response)
}
