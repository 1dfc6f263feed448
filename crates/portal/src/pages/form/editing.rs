//! A workspace and what a user wrote about it -> page, change, conflict (IO: as the user).

use api::Workspace;
use api::names::{LAST_UPDATED_BY, RESTARTED_AT};
use api::workspace::DesiredStatus;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use rules::form::{Form, values};
use rules::manifest;
use serde_json::Value;

use super::changes::{self, Editable};
use super::checks;
use super::draft::{Draft, Hidden, View};
use super::fields::Shown;
use super::place::Place;
use super::problems::Problems;
use super::quotas::Asked;
use super::sent::Sent;
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::{link, note};
use crate::pages::summary::{above, path};
use crate::views;
use crate::views::{Conflict, Nav, Tone};

/// What happens besides the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    Start,
    Restart,
}

/// A workspace that is being changed.
pub(super) struct Editing {
    /// As it is stored.
    pub(super) stored: Workspace,
    /// As it was when the form was opened.
    pub(super) before: Editable,
    pub(super) place: Place,
    pub(super) form: Form,
}

/// A change that was sent.
pub(super) struct Sending {
    pub(super) editing: Editing,
    pub(super) draft: Draft,
    /// The workspace as the user wants it.
    pub(super) yours: Workspace,
    pub(super) next: Option<View>,
    pub(super) then: Then,
    /// `<name>/<uid>` of another workspace to stop first. Empty: none.
    pub(super) stop: String,
    /// What was stored when the user saw a conflict and went on.
    pub(super) seen: Option<Editable>,
    /// Fields of the body, to be sent again.
    pub(super) again: Vec<(String, String)>,
}

pub(super) fn layout(context: &Context, workspace: &Workspace) -> views::Layout {
    let mut layout = context.layout(format!("Change {}", workspace.spec.display_name), Nav::Workspaces);
    layout.above = above(workspace);
    layout
}

impl Editing {
    /// `before`: as it was when the form was opened; `None`: as it is stored.
    pub(super) async fn of(context: &Context, stored: Workspace, before: Option<Editable>) -> Self {
        let template = stored
            .spec
            .template_ref
            .as_deref()
            .and_then(|name| context.app.index.template(name));
        let place = Place::of(context, &stored.namespace().unwrap_or_default(), template).await;
        Self {
            form: place.form(context, Some(&stored)),
            before: before.unwrap_or_else(|| Editable::of(&stored)),
            place,
            stored,
        }
    }

    /// The workspace with these parts. They are the workspace's own, or were checked before.
    pub(super) fn with(&self, parts: &Editable) -> Workspace {
        parts.over(&self.stored).unwrap_or_else(|| self.stored.clone())
    }

    /// Values of the form when it was opened.
    pub(super) fn values_before(&self) -> rules::form::Values {
        values(&self.form, &self.with(&self.before))
    }

    /// What was sent, and the workspace as the user wants it.
    pub(super) fn draft(&self, hidden: &Hidden, sent: Sent) -> Result<(Draft, Workspace), String> {
        let name = self.stored.name_any();
        let template = self.stored.spec.template_ref.clone().unwrap_or_default();
        let mut fixed = vec![
            ("metadata.name", &*name),
            ("metadata.namespace", &*self.place.namespace),
        ];
        if !template.is_empty() {
            fixed.push(("spec.templateRef", &*template));
        }
        if hidden.written == View::Form && hidden.text.is_empty() {
            let draft = Draft::of_form(self.form.clone(), &self.with(&self.before), None, sent)?;
            let yours = draft.workspace.clone();
            return Ok((draft, yours));
        }
        let typed = Draft::of_text(self.form.clone(), hidden.text.clone(), &fixed);
        let wanted = if typed.is_readable() {
            self.wanted_by_text(&typed.workspace)?
        } else {
            self.stored.clone()
        };
        if hidden.written == View::Yaml {
            if let Some((name, _)) = sent.0.first() {
                return Err(format!("A YAML text must be sent without the field {name:?}."));
            }
            let draft = Draft {
                values: values(&self.form, &wanted),
                workspace: if typed.is_readable() {
                    wanted.clone()
                } else {
                    typed.workspace.clone()
                },
                ..typed
            };
            return Ok((draft, wanted));
        }
        if !typed.is_readable() {
            return Err("The values that the form has no field for cannot be read.".to_owned());
        }
        let draft = Draft::of_form(self.form.clone(), &wanted, typed.text, sent)?;
        let yours = draft.workspace.clone();
        Ok((draft, yours))
    }

    /// A text does not show what other processes write. So it counts by what differs from the text that was shown.
    pub(super) fn wanted_by_text(&self, typed: &Workspace) -> Result<Workspace, String> {
        let shown = manifest::yaml(&self.form, &self.with(&self.before));
        let shown = manifest::workspace(&shown).map_err(|_| {
            "The workspace cannot be shown as YAML. Use the form, or kubectl edit.".to_owned()
        })?;
        let change = Editable::of(&shown.workspace).change_to(&Editable::of(typed));
        let wanted = self.before.with(&change).over(&self.stored);
        wanted.ok_or_else(|| "The text is no workspace.".to_owned())
    }

    pub(super) fn runs(&self) -> bool {
        self.stored.spec.desired_status == DesiredStatus::Running
    }

    /// What fits besides what the workspace has.
    pub(super) async fn quotas(&self, context: &Context, yours: &Workspace) -> Option<views::Quotas> {
        let of = |workspace| Asked::of(&self.place.effective(context, workspace));
        let asked = of(yours).beyond(&of(&self.stored), self.runs());
        checks::quotas(
            context,
            &self.place.namespace,
            Some(&asked),
            Some(&self.stored.name_any()),
        )
        .await
    }

    /// The page with form or text.
    pub(super) async fn shown(
        &self,
        context: &Context,
        status: StatusCode,
        draft: &Draft,
        yours: &Workspace,
        problems: &Problems,
    ) -> Response {
        let at = path(&self.stored);
        let mut hidden = vec![
            (
                "uid".to_owned(),
                self.stored.metadata.uid.clone().unwrap_or_default(),
            ),
            ("before".to_owned(), self.before.text()),
        ];
        let button = |value: &str, label: &str| ("do".to_owned(), value.to_owned(), label.to_owned());
        let command = context
            .read_only()
            .map(|_| self.command(yours))
            .unwrap_or_default();
        let buttons = match (command.is_empty(), self.runs()) {
            (false, _) => vec![button("save", "Show the command")],
            (true, true) => vec![button("save", "Save"), button("restart", "Save and restart")],
            (true, false) => vec![button("save", "Save"), button("start", "Save and start")],
        };
        let mut layout = layout(context, &self.stored);
        if self.runs() {
            let text = "A change of the pod counts at the next start, unless its field says otherwise. Save and restart applies it now: \
                        kernels and terminals end.";
            layout.notes.push(note(Tone::Calm, text));
        }
        layout.notes.extend(draft.said.clone());
        let check = format!("{at}/edit/check");
        if draft.written == View::Yaml {
            hidden.push(("written".to_owned(), "yaml".to_owned()));
            let view = views::Yaml {
                layout,
                to: format!("{at}/yaml"),
                check,
                hidden,
                text: draft.text.clone().unwrap_or_default(),
                marks: draft.marks(problems),
                buttons,
                form: true,
                cancel: at,
                kept: Vec::new(),
                command,
                note: None,
            };
            return context.page_with(status, &view);
        }
        hidden.push(("written".to_owned(), "form".to_owned()));
        // Without a text, what the form has no field for stays as it is stored.
        hidden.extend(draft.text.clone().map(|text| ("yaml".to_owned(), text)));
        let before = self.values_before();
        let shown = Shown {
            form: &draft.form,
            values: &draft.values,
            before: Some(&before),
            problems,
        };
        let view = views::Edit {
            layout,
            quotas: self.quotas(context, yours).await,
            form: views::Form {
                to: format!("{at}/edit"),
                check,
                hidden,
                summary: problems.summary(&draft.form),
                sections: shown.sections(),
                buttons,
                yaml: true,
                cancel: at,
                command,
            },
            kept: draft.not_shown(),
        };
        context.page_with(status, &view)
    }

    /// The command that makes the change.
    pub(super) fn command(&self, yours: &Workspace) -> String {
        let (name, namespace) = (self.stored.name_any(), &self.place.namespace);
        let change = self.before.change_to(&Editable::of(yours));
        if change.as_object().is_none_or(serde_json::Map::is_empty) {
            return format!("kubectl edit workspace {name} -n {namespace}");
        }
        let change = change.to_string().replace('\'', r"'\''");
        format!("kubectl patch workspace {name} -n {namespace} --type=merge -p '{change}'")
    }
}

impl Sending {
    pub(super) async fn shown(&self, context: &Context, status: StatusCode, problems: &Problems) -> Response {
        self.editing
            .shown(context, status, &self.draft, &self.yours, problems)
            .await
    }

    /// What the user changed.
    pub(super) fn change(&self) -> Value {
        self.editing.before.change_to(&Editable::of(&self.yours))
    }

    /// Whether another user changed the workspace since this user saw it.
    pub(super) fn is_conflict(&self) -> bool {
        let stored = Editable::of(&self.editing.stored);
        let last = self.seen.as_ref().unwrap_or(&self.editing.before);
        !stored.is_same(last)
    }

    /// What is stored, with the user's change.
    pub(super) fn wanted(&self, context: &Context) -> Workspace {
        let stored = &self.editing.stored;
        let mut wanted = self.editing.with(&Editable::of(stored).with(&self.change()));
        match self.then {
            Then::Nothing => {}
            Then::Start => wanted.spec.desired_status = DesiredStatus::Running,
            Then::Restart => {
                wanted.spec.desired_status = DesiredStatus::Running;
                let now = context.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                wanted
                    .metadata
                    .annotations
                    .get_or_insert_default()
                    .insert(RESTARTED_AT.to_owned(), now);
            }
        }
        wanted
    }

    /// What the rules say, where the API server does not say it.
    pub(super) fn judged(&self, context: &Context) -> Problems {
        if context.app.index.has_webhook() && context.read_only().is_none() {
            return Problems::default();
        }
        Problems::of_violations(&self.editing.place.judged(context, &self.wanted(context)))
    }

    /// The workspace after the change; `None`: nothing changes.
    pub(super) async fn write(&self, context: &Context, dry_run: bool) -> Result<Option<Workspace>, Failure> {
        let stored = &self.editing.stored;
        let patch = changes::patch(stored, &self.wanted(context))
            .map_err(|error| Failure::Unanswered(error.to_string()))?;
        let Some(patch) = patch else { return Ok(None) };
        let (namespace, name) = (&*self.editing.place.namespace, stored.name_any());
        context
            .as_user()
            .patch(namespace, &name, patch, dry_run)
            .await
            .map(Some)
    }

    /// The page that shows both changes.
    pub(super) fn conflict(&self, context: &Context) -> Response {
        let editing = &self.editing;
        let stored = &editing.stored;
        let who = stored
            .annotations()
            .get(LAST_UPDATED_BY)
            .filter(|who| **who != context.user.name);
        let what = match who {
            Some(who) => format!("`{who}` changed this workspace after you opened it."),
            None => "This workspace was changed after you opened it.".to_owned(),
        };
        let before = editing.with(&editing.before);
        let at = path(stored);
        let to = if self.draft.written == View::Yaml {
            "yaml"
        } else {
            "edit"
        };
        let mut hidden = self.again.clone();
        hidden.retain(|(name, _)| name != "seen");
        hidden.push(("seen".to_owned(), Editable::of(stored).text()));
        let conflict = Conflict {
            layout: layout(context, stored),
            what,
            differences: changes::differences(&editing.form, &before, stored, &self.yours),
            to: format!("{at}/{to}"),
            hidden,
            keep: "Save my changes too".to_owned(),
            actions: vec![link("Discard my changes", &format!("{at}/{to}"))],
            note: Some(note(
                Tone::Calm,
                "Where you changed nothing, what is stored now stays. Where both changed a field, yours counts.",
            )),
        };
        context.page_with(StatusCode::CONFLICT, &conflict)
    }
}
