//! Address of `/new` without a form -> a page that says why, with what was typed (IO for rights).

use axum::response::Response;
use http::StatusCode;

use super::address::Address;
use super::{checks, choose, typed};
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::link;
use crate::views::{Choose, Message, Nav, Tone};

/// Why the user has no form of a new workspace.
#[derive(Debug)]
pub(super) enum NoForm {
    /// A page to choose from, or that says why there is no choice.
    Choose(StatusCode, Box<Choose>),
    /// A page that says why.
    Message(StatusCode, Box<Message>),
    /// What was sent does not fit the form.
    Wrong(String),
}

impl NoForm {
    /// The API server did not say in time what the user may do.
    pub(super) fn no_answer(context: &Context) -> Self {
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
    pub(super) fn nowhere(context: &Context) -> Self {
        Self::Choose(StatusCode::FORBIDDEN, Box::new(choose::nowhere(context)))
    }

    /// The workspace to copy does not exist, or the user does not see its values.
    pub(super) fn nothing_to_copy(context: &Context) -> Self {
        Self::Message(StatusCode::NOT_FOUND, Box::new(context.absent()))
    }

    /// The template does not exist, or the user may not use it. `others`: where another one is chosen.
    pub(super) fn not_usable(context: &Context, template: &str, namespace: &str, others: &Address) -> Self {
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
    pub(super) fn with_refusal(self, context: &Context, failure: &Failure) -> Self {
        let (_, mut message) = self.message(context);
        message.tone = Tone::Bad;
        message.server = failure.to_string();
        Self::Message(failure.status(), Box::new(message))
    }

    /// The answer to `GET /new`.
    pub(super) fn page(self, context: &Context) -> Response {
        match self {
            Self::Choose(status, choose) => context.page_with(status, &*choose),
            Self::Message(status, message) => context.page_with(status, &*message),
            Self::Wrong(why) => context.wrong_form(&why),
        }
    }

    /// The answer to `POST /new`. `body`: all fields that were sent.
    pub(super) fn keep(self, context: &Context, body: &[(String, String)]) -> Response {
        let (status, mut message) = self.message(context);
        typed::keep(&mut message, body);
        message.actions.insert(0, typed::again("/new", body));
        context.page_with(status, &message)
    }

    /// The answer to a check: it says why above the form, which stays as it is.
    pub(super) fn check_answer(self, context: &Context) -> Response {
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
