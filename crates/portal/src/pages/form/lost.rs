//! Open form of a workspace that cannot be changed any more -> a page with what was typed (IO).

use api::Workspace;
use api::names::RESERVED_PREFIX;
use api::workspace::DesiredStatus;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use rules::manifest;

use super::address::Address;
use super::changes::Editable;
use super::draft::{Hidden, View};
use super::editing::{Editing, Sending};
use super::names::copy_name;
use super::proposal::New;
use super::sent::Sent;
use super::typed::{again, keep};
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::link;
use crate::views::{Action, Message, Nav, Tone, Way};

/// What became of the workspace of an open form.
#[derive(Debug)]
pub(super) enum Lost {
    /// It does not exist any more.
    Deleted,
    /// Its name belongs to another workspace, which the user sees.
    Replaced,
    /// There is nothing of this name that the user may see.
    Hidden,
    /// The API server does not let the user read it, or does not say what became of it.
    Unread(Failure),
}

impl Lost {
    /// Of a workspace that the user does not see. Only users who may read workspaces there learn whether one exists.
    pub(super) async fn of_unseen(context: &Context, namespace: &str, name: &str) -> Self {
        let is_name = rules::names::is_dns_1123_subdomain;
        if !is_name(namespace) || !is_name(name) {
            return Self::Hidden;
        }
        if context.read_only().is_some() {
            let is_deleted = context.may("list", "workspaces", namespace, "").await
                && context.app.index.workspace(namespace, name).is_none();
            return if is_deleted { Self::Deleted } else { Self::Hidden };
        }
        match context.as_user().get::<Workspace>(Some(namespace), name).await {
            Ok(_) => Self::Hidden,
            Err(failure) if failure.code() == 403 => Self::Hidden,
            Err(failure) => Self::of_failure(failure),
        }
    }

    /// Of a workspace that the user sees, and that the API server does not give them.
    pub(super) fn of_failure(failure: Failure) -> Self {
        if failure.is_not_found() {
            Self::Deleted
        } else {
            Self::Unread(failure)
        }
    }

    /// Reads the stored workspace again. Whether it is another version.
    pub(super) async fn renewed(sending: &mut Sending, context: &Context) -> Result<bool, Self> {
        let before = &sending.editing.stored;
        let read = context
            .as_user()
            .get::<Workspace>(Some(&sending.editing.place.namespace), &before.name_any())
            .await;
        let now = read.map_err(Self::of_failure)?;
        if now.metadata.uid != before.metadata.uid {
            return Err(Self::Replaced);
        }
        let is_other = now.metadata.resource_version != before.metadata.resource_version;
        sending.editing.stored = now;
        Ok(is_other)
    }

    /// The page. `body`: all fields of the form.
    pub(super) async fn answer(
        self,
        context: &Context,
        (namespace, name): (&str, &str),
        body: &[(String, String)],
    ) -> Response {
        let (status, mut message) = self.message(context, name);
        keep(&mut message, body);
        match &self {
            Self::Unread(failure) if failure.code() == 403 => {}
            Self::Unread(_) => {
                let is_text = body
                    .iter()
                    .any(|(name, value)| name == "written" && value == "yaml");
                let page = if is_text { "yaml" } else { "edit" };
                let to = format!("/w/{namespace}/{name}/{page}");
                message.actions.insert(0, again(&to, body));
            }
            _ => {
                if let Some((anew, left_out)) = Box::pin(self.anew(context, (namespace, name), body)).await {
                    message.actions.insert(0, anew);
                    message.now.extend(left_out);
                }
            }
        }
        context.page_with(status, &message)
    }

    fn message(&self, context: &Context, name: &str) -> (StatusCode, Message) {
        let message = |title: String, kind: &str, why: &str| Message {
            layout: context.layout(title, Nav::None),
            tone: Tone::Warn,
            kind: kind.to_owned(),
            why: vec![why.to_owned()],
            actions: vec![link("Your workspaces", "/")],
            ..Message::default()
        };
        match self {
            Self::Deleted => {
                let why = "This workspace was deleted after you opened the form.";
                let title = format!("{name} was deleted");
                (StatusCode::NOT_FOUND, message(title, "Deleted", why))
            }
            Self::Replaced => {
                let why = "The workspace that you opened the form for was deleted. Another one was created with its name.";
                let title = format!("{name} is another workspace of the same name now");
                (StatusCode::CONFLICT, message(title, "Replaced", why))
            }
            Self::Hidden => (StatusCode::NOT_FOUND, context.absent()),
            Self::Unread(failure) => {
                let why = match (failure, failure.code()) {
                    (Failure::Unanswered(_), _) => "The API server did not answer.",
                    (_, 403) => "The API server does not let you read this workspace now.",
                    _ => "The API server failed to read this workspace.",
                };
                let mut message = message(format!("{name} cannot be read"), "Not read", why);
                message.server = failure.to_string();
                (failure.status(), message)
            }
        }
    }

    /// A button that opens the form of a new workspace with what was typed, and sentences about what it leaves out. `None`: the user may not
    /// create it, or it cannot be read.
    async fn anew(
        &self,
        context: &Context,
        (namespace, name): (&str, &str),
        body: &[(String, String)],
    ) -> Option<(Action, Vec<String>)> {
        let mut sent = Sent(body.to_vec());
        let hidden = Hidden::take(&mut sent).ok()?;
        for field in ["uid", "do", "seen"] {
            sent.take(field).ok()?;
        }
        let before = Editable::parse(&sent.take("before").ok()?)?;
        let mut gone = Workspace::default();
        gone.metadata.namespace = Some(namespace.to_owned());
        gone.metadata.name = Some(name.to_owned());
        let gone = before.over(&gone)?;
        let address = Address {
            namespace: namespace.to_owned(),
            template: Some(gone.spec.template_ref.clone()?),
            from: String::new(),
        };
        // Users who may use the template may see what its form says.
        let new = New::of(context, &address).await.ok()?;
        let mut fields = vec![
            ("namespace".to_owned(), address.namespace),
            ("template".to_owned(), address.template.unwrap_or_default()),
        ];
        let mut put = |name: &str, value: String| fields.push((name.to_owned(), value));
        let mut left_out = Vec::new();
        if hidden.written == View::Yaml {
            let draft = new.draft(context, &hidden, sent).ok()?;
            put("written", "yaml".to_owned());
            // A text that cannot be read is shown as text, with its findings.
            if draft.is_readable() {
                put("view", "form".to_owned());
            }
            put("yaml", hidden.text);
        } else {
            let editing = Editing::of(context, gone, Some(before)).await;
            let (draft, mut yours) = editing.draft(&hidden, sent).ok()?;
            yours.spec.desired_status = DesiredStatus::Running;
            if let Some(labels) = &mut yours.metadata.labels {
                labels.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
            }
            if matches!(self, Self::Replaced) {
                let is_free = |name: &str| context.app.index.workspace(namespace, name).is_none();
                yours.metadata.name = Some(copy_name(name, is_free));
            }
            let form = new.place.form(context, None);
            put("written", "form".to_owned());
            // The form is shown first, whatever can be read.
            put("add", "nothing".to_owned());
            put("yaml", manifest::yaml(&form, &yours));
            // What cannot be read is not in the text: it goes along as it was typed.
            for (name, why) in &draft.problems.0 {
                match draft.values.get(name) {
                    Some(value) if form.field(name).is_some() => put(name, value.to_owned()),
                    _ => left_out.push(format!(
                        "The new form has no field for `{name}`, and leaves out what you typed there. It cannot be read: {why}"
                    )),
                }
            }
        }
        let action = Action {
            label: "Create anew with these values".to_owned(),
            way: Way::Post {
                to: "/new".to_owned(),
                hidden: fields,
            },
            primary: true,
            ..Action::default()
        };
        Some((action, left_out))
    }
}
