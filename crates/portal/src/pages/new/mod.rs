//! `/new`: form or YAML -> a workspace that the API server creates as the user (IO).
//!
//! | file | holds |
//! |---|---|
//! | `proposal.rs` | address of `/new` -> namespace, template, proposed values |
//! | `view.rs` | namespaces and templates to choose from |

mod proposal;
mod view;

use std::time::Duration;

use api::Workspace;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use self::proposal::New;
use self::view::Choose;
use super::answers::{link, see_other};
use super::extract::{Fields, Pairs, Query};
use super::form::checks;
use super::form::draft::{Draft, Format, Hidden, Sent};
use super::form::problems::{Problems, read_text};
use super::form::unsaved::not_saved;
use crate::app::Context;
use crate::cluster::Failure;
use crate::views::{Message, Nav, Tone};

/// How long after its creation a workspace counts as made by the same form, sent twice.
const JUST_MADE: Duration = Duration::from_mins(2);

/// Answers `GET /new`.
pub(crate) async fn page(context: Context, Query(address): Query<Address>) -> Response {
    let new = match New::resolve(&context, &address).await {
        Ok(new) => new,
        Err(no_form) => return no_form.page(&context),
    };
    let proposal = new.proposal(&context);
    let form = new.place.form(&context, None, &proposal.spec.options);
    let draft = Draft::new(form, proposal);
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
    let as_user = context.as_user();
    Box::pin(checks::answer(
        (&context, namespace),
        &draft,
        None,
        as_user.create::<Workspace>(Some(namespace), &wanted, true),
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
    let mut wanted = read_text(&hidden.text, &[]).ok()?.workspace;
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

/// The address of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Address {
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    /// Empty: the user chooses one. `None`: that of the workspace whose values are copied, or the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    /// `<namespace>/<name>` of a workspace whose values are copied.
    #[serde(skip_serializing_if = "String::is_empty")]
    from: String,
}

impl Address {
    fn text(&self) -> String {
        match serde_urlencoded::to_string(self).unwrap_or_default() {
            query if query.is_empty() => "/new".to_owned(),
            query => format!("/new?{query}"),
        }
    }
}

/// Why the user has no form of a new workspace.
#[derive(Debug)]
enum NoForm {
    /// A page to choose from, or that says why there is no choice.
    Choose(StatusCode, Box<Choose>),
    /// A page that says why.
    Message(StatusCode, Box<Message>),
    /// What was sent does not fit the form.
    Wrong(String),
}

impl NoForm {
    /// The API server did not say in time what the user may do.
    fn no_answer(context: &Context) -> Self {
        let message = Message {
            layout: context.layout("It is not known whether you may create workspaces", Nav::New),
            tone: Tone::Warn,
            kind: "No answer".to_owned(),
            why: vec!["The API server did not say in time what you may do.".to_owned()],
            now: vec!["Try again in a minute.".to_owned()],
            actions: vec![link("Your workspaces", "/")],
            ..Message::default()
        };
        Self::Message(StatusCode::SERVICE_UNAVAILABLE, Box::new(message))
    }

    /// No namespace is offered to the user.
    fn nowhere(context: &Context) -> Self {
        Self::Choose(StatusCode::FORBIDDEN, Box::new(view::nowhere(context)))
    }

    /// The workspace to copy does not exist, or the user does not see its values.
    fn nothing_to_copy(context: &Context) -> Self {
        Self::Message(StatusCode::NOT_FOUND, Box::new(context.absent()))
    }

    /// The template does not exist, or the user may not use it. `others`: where another one is chosen.
    fn not_usable(context: &Context, template: &str, namespace: &str, others: &Address) -> Self {
        let message = Message {
            layout: context.layout("There is no such template for you", Nav::New),
            kind: "Not found".to_owned(),
            why: vec![format!(
                "No template of this name exists, or you may not use it in this namespace. The name was {template:?}, the namespace \
                 {namespace:?}."
            )],
            now: vec![
                "Choose another template, or ask an administrator for the verb `use` on it.".to_owned(),
            ],
            actions: vec![link("Choose a template", &others.text())],
            ..Message::default()
        };
        Self::Message(StatusCode::NOT_FOUND, Box::new(message))
    }

    /// The same with the API server's answer to what was sent.
    fn with_refusal(self, context: &Context, failure: &Failure) -> Self {
        let (_, mut message) = self.message(context);
        message.tone = Tone::Bad;
        message.server = failure.to_string();
        Self::Message(failure.status(), Box::new(message))
    }

    /// The answer to `GET /new`.
    fn page(self, context: &Context) -> Response {
        match self {
            Self::Choose(status, choose) => context.page_with(status, &*choose),
            Self::Message(status, message) => context.page_with(status, &*message),
            Self::Wrong(why) => context.wrong_form(&why),
        }
    }

    /// The answer to `POST /new`. `body`: all fields that were sent.
    fn keep(self, context: &Context, body: &[(String, String)]) -> Response {
        not_saved(context, self.message(context), "/new", body)
    }

    /// The answer to a check: it says why above the form, which stays as it is.
    fn check_answer(self, context: &Context) -> Response {
        match self {
            Self::Wrong(why) => context.wrong_form(&why),
            no_form => {
                let (_, message) = no_form.message(context);
                checks::no_check(context, [message.layout.title, message.server])
            }
        }
    }

    fn message(self, context: &Context) -> (StatusCode, Message) {
        match self {
            Self::Message(status, message) => (status, *message),
            Self::Choose(status, choose) => {
                let empty = choose.empty.unwrap_or_default();
                let message = Message {
                    layout: context.layout(empty.title, Nav::New),
                    tone: Tone::Warn,
                    kind: "Not allowed".to_owned(),
                    now: vec![format!("{} `{}`", empty.text.join(" "), empty.copy)],
                    actions: empty.actions,
                    ..Message::default()
                };
                (status, message)
            }
            Self::Wrong(why) => {
                let message = Message {
                    layout: context.layout("This request cannot be answered", Nav::New),
                    tone: Tone::Bad,
                    kind: "Bad request".to_owned(),
                    why: vec![why],
                    actions: vec![link("Open the form again", "/new")],
                    ..Message::default()
                };
                (StatusCode::BAD_REQUEST, message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_only_what_is_chosen() {
        let address = Address {
            namespace: "a b".to_owned(),
            template: Some("t".to_owned()),
            from: String::new(),
        };
        assert_eq!(address.text(), "/new?namespace=a+b&template=t");
        assert_eq!(Address::default().text(), "/new");
        let chooses = Address {
            template: Some(String::new()),
            from: "team/lab".to_owned(),
            ..Address::default()
        };
        assert_eq!(chooses.text(), "/new?template=&from=team%2Flab");
        assert_eq!(
            serde_urlencoded::from_str("template=&from=team%2Flab"),
            Ok(chooses)
        );
        assert!(serde_urlencoded::from_str::<Address>("tmplate=x").is_err());
        assert!(serde_urlencoded::from_str::<Address>("template=x&template=y").is_err());
    }
}
