//! A workspace and what a user wrote about it -> page, change, newer version (IO: as the user).

use api::Workspace;
use api::condition::reason::QUOTA_EXCEEDED;
use api::names::{LAST_UPDATED_BY, RESTARTED_AT};
use api::workspace::DesiredStatus;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use kube::api::Patch;
use rules::form::{Form, values};
use rules::manifest;

use super::draft::{Draft, Format, Hidden};
use super::fields::FormFields;
use super::place::Place;
use super::problems::Problems;
use super::quotas::further_amounts;
use super::sent::Sent;
use super::{changes, checks};
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::note;
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
    /// The version that the user saw, by [`changes::version`].
    pub(super) seen: String,
    pub(super) place: Place,
    pub(super) form: Form,
}

/// A change that was sent.
pub(super) struct Sending {
    pub(super) editing: Editing,
    /// What was written, with the workspace as the user wants it.
    pub(super) draft: Draft,
    pub(super) next: Option<Format>,
    pub(super) then: Then,
    /// The address of the form.
    pub(super) at: String,
    /// Fields of the body, to be sent again.
    pub(super) again: Vec<(String, String)>,
}

pub(super) fn layout(context: &Context, workspace: &Workspace) -> views::Layout {
    let mut layout = context.layout(format!("Change {}", workspace.spec.display_name), Nav::Workspaces);
    layout.above = above(workspace);
    layout
}

impl Editing {
    /// `seen`: the version that the user saw; `None`: the stored one.
    pub(super) fn new(context: &Context, stored: Workspace, seen: Option<String>) -> Self {
        let place = Place {
            namespace: stored.namespace().unwrap_or_default(),
            template: context.app.index.template_of(&stored),
        };
        Self {
            form: place.form(context, Some(&stored)),
            seen: seen.unwrap_or_else(|| changes::version(&stored)),
            place,
            stored,
        }
    }

    /// What was sent, with the workspace as the user wants it.
    pub(super) fn draft(&self, hidden: &Hidden, sent: Sent) -> Result<Draft, String> {
        if hidden.written == Format::Form && hidden.text.is_empty() {
            return Draft::from_form(self.form.clone(), &self.stored, None, sent);
        }
        let name = self.stored.name_any();
        let mut fixed = vec![
            ("metadata.name", &*name),
            ("metadata.namespace", &*self.place.namespace),
        ];
        fixed.extend(
            self.stored
                .spec
                .template_ref
                .as_deref()
                .map(|it| ("spec.templateRef", it)),
        );
        let typed = Draft::from_text(self.form.clone(), hidden.text.clone(), &fixed);
        let wanted = if typed.is_readable() {
            self.wanted_by_text(&typed.workspace)?
        } else {
            self.stored.clone()
        };
        match (hidden.written, sent.0.first()) {
            (Format::Form, _) if !typed.is_readable() => {
                Err("The values that the form has no field for cannot be read.".to_owned())
            }
            (Format::Form, _) => Draft::from_form(self.form.clone(), &wanted, typed.text, sent),
            (Format::Yaml, Some((name, _))) => {
                Err(format!("A YAML text must be sent without the field {name:?}."))
            }
            (Format::Yaml, None) => Ok(Draft {
                values: values(&self.form, &wanted),
                workspace: wanted,
                ..typed
            }),
        }
    }

    /// A text does not show what other processes write. So it counts by what differs from the text of what is stored.
    fn wanted_by_text(&self, typed: &Workspace) -> Result<Workspace, String> {
        let shown = manifest::yaml(&self.form, &self.stored);
        let shown = manifest::workspace(&shown).map_err(|_| {
            "The workspace cannot be shown as YAML. Use the form, or kubectl edit.".to_owned()
        })?;
        changes::over(&self.stored, &shown.workspace, typed)
            .ok_or_else(|| "The text must be a workspace.".to_owned())
    }

    fn runs(&self) -> bool {
        self.stored.spec.desired_status == DesiredStatus::Running
    }

    /// What fits besides what the workspace has.
    pub(super) async fn quotas(&self, context: &Context, yours: &Workspace) -> Option<views::Quotas> {
        let effective = |workspace| self.place.effective(context, workspace);
        let reason = self
            .stored
            .status
            .as_ref()
            .and_then(|status| status.reason.as_deref());
        // Of a pod that a quota refused nothing is counted.
        let has_pod = self.runs() && reason != Some(QUOTA_EXCEEDED);
        let asked = further_amounts(&effective(yours), &effective(&self.stored), has_pod);
        checks::quotas(context, &self.place.namespace, Some(&asked)).await
    }

    /// The page with form or text.
    pub(super) async fn page(
        &self,
        context: &Context,
        status: StatusCode,
        draft: &Draft,
        problems: &Problems,
    ) -> Response {
        let at = path(&self.stored);
        let mut hidden = vec![
            ("uid".to_owned(), self.stored.uid().unwrap_or_default()),
            ("seen".to_owned(), self.seen.clone()),
        ];
        let button = |value: &str, label: &str| ("do".to_owned(), value.to_owned(), label.to_owned());
        let command = context.command_instead(|| changes::command(&self.stored, &draft.workspace));
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
        let check = format!("{at}/edit/check");
        if draft.written == Format::Yaml {
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
                command,
            };
            return context.page_with(status, &view);
        }
        let problems = &problems.clone().with_names(&draft.workspace);
        hidden.push(("written".to_owned(), "form".to_owned()));
        // Without a text, what the form has no field for stays as it is stored.
        hidden.extend(draft.text.clone().map(|text| ("yaml".to_owned(), text)));
        let before = values(&self.form, &self.stored);
        let shown = FormFields {
            form: &draft.form,
            values: &draft.values,
            before: Some(&before),
            problems,
        };
        let view = views::Edit {
            layout,
            quotas: self.quotas(context, &draft.workspace).await,
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
            ..views::Edit::default()
        };
        context.page_with(status, &view)
    }
}

impl Sending {
    pub(super) async fn page(&self, context: &Context, status: StatusCode, problems: &Problems) -> Response {
        self.editing.page(context, status, &self.draft, problems).await
    }

    /// Whether the stored workspace is a newer version than the one that the user saw, and not what the user wants, as it is after the
    /// same form was sent before.
    pub(super) fn is_newer(&self, context: &Context) -> bool {
        changes::version(&self.editing.stored) != self.editing.seen && self.patch(context).is_some()
    }

    /// What changes.
    fn patch(&self, context: &Context) -> Option<json_patch::Patch> {
        let mut wanted = self.draft.workspace.clone();
        if self.then != Then::Nothing {
            wanted.spec.desired_status = DesiredStatus::Running;
        }
        if self.then == Then::Restart {
            let annotations = wanted.metadata.annotations.get_or_insert_default();
            annotations.insert(RESTARTED_AT.to_owned(), context.now.to_string());
        }
        changes::patch(&self.editing.stored, &wanted)
    }

    /// The workspace after the change; `None`: nothing changes.
    pub(super) async fn write(&self, context: &Context, dry_run: bool) -> Result<Option<Workspace>, Failure> {
        let Some(patch) = self.patch(context) else {
            return Ok(None);
        };
        let stored = &self.editing.stored;
        let (namespace, name) = (&*self.editing.place.namespace, stored.name_any());
        context
            .as_user()
            .patch(namespace, &name, Patch::Json(patch), dry_run)
            .await
            .map(Some)
    }

    /// The page that shows the newer version and what the user wrote.
    pub(super) fn newer_page(&self, context: &Context) -> Response {
        let stored = &self.editing.stored;
        let who = stored
            .annotations()
            .get(LAST_UPDATED_BY)
            .filter(|who| **who != context.user.name);
        let what = match who {
            Some(who) => format!("`{who}` changed this workspace after you opened it."),
            None => "This workspace was changed after you opened it.".to_owned(),
        };
        let mut hidden = self.again.clone();
        hidden.retain(|(name, _)| name != "seen");
        hidden.push(("seen".to_owned(), changes::version(stored)));
        let conflict = Conflict {
            layout: layout(context, stored),
            what,
            differences: changes::differences(&self.editing.form, stored, &self.draft.workspace),
            hidden,
            to: self.at.clone(),
        };
        context.page_with(StatusCode::CONFLICT, &conflict)
    }
}
