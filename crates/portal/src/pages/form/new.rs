//! `/new`: form or YAML -> a workspace that the API server creates as the user (IO).

use std::time::Duration;

use api::Workspace;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;

use super::address::Address;
use super::checks;
use super::draft::{Draft, Format, Hidden};
use super::no_form::NoForm;
use super::problems::Problems;
use super::proposal::New;
use super::quotas::amounts;
use super::sent::Sent;
use super::text;
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::see_other;
use crate::pages::extract::{Fields, Pairs, Query};

/// How long after its creation a workspace counts as made by the same form, sent twice.
const JUST_MADE: Duration = Duration::from_mins(2);

/// Answers `GET /new`.
pub(crate) async fn page(context: Context, Query(address): Query<Address>) -> Response {
    let new = match New::resolve(&context, &address).await {
        Ok(new) => new,
        Err(no_form) => return no_form.page(&context),
    };
    let form = new.place.form(&context, None);
    let draft = Draft::new(form, new.proposal(&context));
    new.page(&context, StatusCode::OK, &draft, &Problems::default())
        .await
}

/// Answers `POST /new`.
pub(crate) async fn create(context: Context, Fields(fields): Fields) -> Response {
    let (new, draft, hidden) = match read(&context, fields.clone()).await {
        Ok(sent) => sent,
        Err(no_form) => return no_form.keep(&context, &fields),
    };
    if !draft.is_readable() {
        return new
            .page(
                &context,
                StatusCode::UNPROCESSABLE_ENTITY,
                &draft,
                &draft.problems,
            )
            .await;
    }
    if hidden.next.is_some() || context.read_only_in(&new.place.namespace).is_some() {
        let draft = draft.show_as(hidden.next);
        return new
            .page(&context, StatusCode::OK, &draft, &Problems::default())
            .await;
    }
    let wanted = new.complete(&context, &draft.workspace);
    let name = wanted.name_any();
    let namespace = &*new.place.namespace;
    let created = create_once(&context, namespace, &wanted).await;
    context.log("new", namespace, &name, &created);
    match created {
        Ok(created) => {
            context.catch_up(&created).await;
            see_other(&format!("/w/{namespace}/{name}?done=new"))
        }
        Err(failure) => {
            new.page(
                &context,
                failure.status(),
                &draft,
                &Problems::from_failure(&failure),
            )
            .await
        }
    }
}

/// Answers `POST /new/check`: what the API server would say.
pub(crate) async fn check(context: Context, Fields(fields): Fields) -> Response {
    if let Some(answer) = checks::too_soon(&context) {
        return answer;
    }
    let (new, draft, _) = match read(&context, fields).await {
        Ok(sent) => sent,
        Err(no_form) => return no_form.check_answer(&context),
    };
    let namespace = &*new.place.namespace;
    let wanted = new.complete(&context, &draft.workspace);
    let asked = amounts(&new.place.effective(&context, &wanted));
    let as_user = context.as_user();
    Box::pin(checks::answer(
        (&context, namespace),
        &draft,
        None,
        as_user.create::<Workspace>(Some(namespace), &wanted, true),
        checks::quotas(&context, namespace, Some(&asked)),
    ))
    .await
}

/// The form or text that was sent, and what it asks for besides.
async fn read(context: &Context, fields: Pairs) -> Result<(New, Draft, Hidden), NoForm> {
    let mut sent = Sent(fields);
    let wrong = NoForm::Wrong;
    let hidden = Hidden::take(&mut sent).map_err(wrong)?;
    let address = Address {
        namespace: sent.take("namespace").map_err(wrong)?,
        template: Some(sent.take("template").map_err(wrong)?),
        from: String::new(),
    };
    if address.namespace.is_empty() || address.template.as_deref() == Some("") {
        return Err(wrong("The form must name namespace and template.".to_owned()));
    }
    let new = match New::resolve(context, &address).await {
        Ok(new) => new,
        Err(no_form) => {
            return Err(match refusal(context, &address, &hidden).await {
                Some(failure) => no_form.with_refusal(context, &failure),
                None => no_form,
            });
        }
    };
    let draft = new.draft(context, &hidden, sent).map_err(wrong)?;
    Ok((new, draft, hidden))
}

/// The API server's answer to a manifest that the user is not offered a form for, such as one with a template that they may not use.
/// `None`: it was not asked. Without a webhook it could only say that the owner is missing.
async fn refusal(context: &Context, address: &Address, hidden: &Hidden) -> Option<Failure> {
    let is_manifest = hidden.next.is_none() && hidden.written == Format::Yaml;
    let is_namespace = rules::checks::namespace("namespace", &address.namespace).is_none();
    let read_only = context.read_only_in(&address.namespace).is_some();
    if !is_manifest || !is_namespace || read_only || !context.app.index.has_webhook() {
        return None;
    }
    let mut wanted = text::read(&hidden.text, &[]).ok()?.workspace;
    wanted.metadata.namespace = Some(address.namespace.clone());
    wanted.spec.template_ref.clone_from(&address.template);
    let created = context
        .as_user()
        .create::<Workspace>(Some(&address.namespace), &wanted, true)
        .await;
    created.err()
}

/// Creates the workspace. A form that is sent twice makes one: the second time it leads to what the first one made.
async fn create_once(context: &Context, namespace: &str, wanted: &Workspace) -> Result<Workspace, Failure> {
    let as_user = context.as_user();
    let failure = match as_user.create::<Workspace>(Some(namespace), wanted, false).await {
        Err(failure) if failure.is_taken() => failure,
        answer => return answer,
    };
    let stored = as_user
        .get::<Workspace>(Some(namespace), &wanted.name_any())
        .await;
    match stored {
        Ok(stored) if is_just_made(context, &stored, wanted) => Ok(stored),
        _ => Err(failure),
    }
}

/// Whether the user has just made this workspace from the same values.
fn is_just_made(context: &Context, stored: &Workspace, wanted: &Workspace) -> bool {
    let made = stored.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let age = made.map(|made| context.now.duration_since(made).unsigned_abs());
    api::names::owner(&stored.metadata) == Some(&*context.user.name)
        && age.is_some_and(|age| age < JUST_MADE)
        && stored.spec == wanted.spec
}
