//! New workspaces and changes of existing ones, as form and as YAML (IO: judged and stored by the API server as the user).
//!
//! | file | what it does |
//! |---|---|
//! | `new.rs` | `/new`: form or text -> a workspace |
//! | `proposal.rs` | address of `/new` -> namespace, template, proposed values |
//! | `names.rs` | a free name for a new workspace (pure) |
//! | `choose.rs` | `/new` without a template: namespaces and templates |
//! | `edit.rs` | `/w/<namespace>/<name>/edit` and `…/yaml`: form or text -> a change |
//! | `editing.rs` | a workspace and what a user wrote about it -> page, change, conflict |
//! | `lost.rs` | a workspace that is gone while its form is open -> a page with all that was typed |
//! | `checks.rs` | dry runs and what fits, while a user types |
//! | `draft.rs` | what a user wrote, as form or as text (pure) |
//! | `place.rs` | namespace, template and profiles of a form |
//! | `text.rs` | YAML and its findings (pure) |
//! | `fields/` | form model and values -> fields of a page (pure) |
//! | `room.rs` | the user's own running workspaces, where a quota has no room, and their stop |
//! | `rows.rs` | lists -> rows of controls (pure) |
//! | `sent.rs` | body of a form -> values (pure) |
//! | `changes.rs` | what a user changed, conflicts, patches (pure) |
//! | `problems.rs` | refusals -> what is wrong with which field (pure) |
//! | `quotas/` | quotas and limit ranges -> what fits (pure) |

mod changes;
mod checks;
mod choose;
mod draft;
pub(crate) mod edit;
mod editing;
mod fields;
mod lost;
mod names;
pub(crate) mod new;
mod place;
mod problems;
mod proposal;
mod quotas;
mod room;
mod rows;
mod sent;
mod text;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use http::StatusCode;

use crate::app::Context;
use crate::views::{Message, Nav, Quotas, Tone};
use sent::Sent;

/// A body that may be none.
pub(crate) type Body = Result<Form<Vec<(String, String)>>, FormRejection>;

/// The quotas of a namespace and what of them is used, read as the user. `None`: nothing is read as the user here.
pub(super) async fn used_quotas(context: &Context, namespace: &str) -> Option<Quotas> {
    checks::quotas(context, namespace, None, None).await
}

/// The fields of a body, or the answer to a body that is none.
fn fields(context: &Context, body: Body, back: &str) -> Result<Sent, Box<Response>> {
    match body {
        Ok(Form(fields)) => Ok(Sent(fields)),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = Message {
                layout: context.layout("This form is too large", Nav::None),
                tone: Tone::Bad,
                kind: "Too large".to_owned(),
                why: vec!["A form may have 256 KiB.".to_owned()],
                now: vec!["Go back and write less, or use `kubectl apply`.".to_owned()],
                actions: vec![super::answers::link("Back", back)],
                ..Message::default()
            };
            Err(Box::new(
                context.page_with(StatusCode::PAYLOAD_TOO_LARGE, &message),
            ))
        }
        Err(rejection) => Err(Box::new(context.bad_request(
            &rejection.body_text(),
            "Open the form again.",
            back,
        ))),
    }
}

/// The answer to a form with fields that it does not have, or that it has twice.
fn wrong_fields(context: &Context, why: &str, back: &str) -> Response {
    context.bad_request(why, "Open the form again.", back)
}

/// `kubectl apply` with this manifest.
fn apply_command(manifest: &str) -> String {
    format!("kubectl apply -f - <<'EOF'\n{}\nEOF", manifest.trim_end())
}
