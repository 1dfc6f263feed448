//! A remedy of an explanation -> the buttons by which this user does it (pure).

use api::Workspace;
use api::workspace::DesiredStatus;
use explain::{Change as Doing, Step, Who, consequence};
use kube::ResourceExt as _;
use rules::form::Change;
use serde_urlencoded::to_string;

use super::answers::link;
use super::may::{May, MayBeside, own_running};
use super::summary::{button, path};
use crate::app::Context;
use crate::views::{Action, Remedy, Way};
use crate::visible::VisibleWorkspace;

/// Workspaces at most that are offered for a stop, to free what another one needs.
const OTHERS: usize = 5;

/// What the user can do about a workspace.
pub(super) struct Remedies<'a> {
    context: &'a Context,
    workspace: &'a Workspace,
    /// What holds for this workspace.
    may: May,
    beside: MayBeside,
    /// What holds for the user's own workspaces of the namespace.
    may_own: May,
}

impl<'a> Remedies<'a> {
    pub(super) fn new(
        context: &'a Context,
        seen: &'a VisibleWorkspace,
        (may, beside): (May, MayBeside),
    ) -> Self {
        Self {
            context,
            workspace: &seen.workspace,
            may_own: may,
            may: may.with(seen),
            beside,
        }
    }

    /// The remedy, with a button for each of its changes that the user may make. `of`: what it is about.
    pub(super) fn remedy(&self, of: &explain::Finding, remedy: &explain::Remedy) -> Remedy {
        let actions: Vec<_> = remedy.steps.iter().flat_map(|step| self.actions(step)).collect();
        Remedy {
            who: match remedy.who {
                Who::User => "You",
                Who::Owner if self.may.change || !actions.is_empty() => "You",
                Who::Owner => "Its owner, or who may administer it",
                Who::Administrator => "An administrator",
            }
            .to_owned(),
            what: remedy.what.clone(),
            actions,
            send: match remedy.who {
                Who::User | Who::Owner => String::new(),
                Who::Administrator => self.letter(of, remedy),
            },
        }
    }

    /// Text to send to an administrator.
    fn letter(&self, of: &explain::Finding, remedy: &explain::Remedy) -> String {
        format!(
            "Workspace {} in namespace {}: {} {}",
            self.workspace.name_any(),
            self.workspace.namespace().unwrap_or_default(),
            of.what,
            remedy.what
        )
    }

    /// The buttons of a change; none if the user may not make it.
    fn actions(&self, step: &Step) -> Vec<Action> {
        let at = |part: &str| format!("{}/{part}", path(self.workspace));
        let wants_run = self.workspace.spec.desired_status == DesiredStatus::Running;
        let change = |may: bool, action| may.then(|| button(self.context, self.workspace, action));
        let page = |may: bool, label: &str, to: String| may.then(|| self.open(step, label, &to));
        let one = match &step.action {
            Doing::Start => change(self.may.change && !wants_run, consequence::Action::Start),
            Doing::Stop => change(self.may.change && wants_run, consequence::Action::Stop),
            Doing::Restart => change(self.may.change && wants_run, consequence::Action::Restart),
            Doing::Delete => change(self.may.delete, consequence::Action::Delete),
            Doing::Edit { field } => self.edit(step, field).filter(|_| self.may.change),
            Doing::Copy => page(self.beside.create, "Create another one…", self.copy()),
            Doing::Create { template } => {
                let namespace = self.workspace.namespace().unwrap_or_default();
                let query = to_string([("namespace", &namespace), ("template", template)]);
                let query = query.unwrap_or_default();
                page(self.beside.create, "Create a workspace…", format!("/new?{query}"))
            }
            Doing::Logs { previous } => {
                let query = if *previous { "?previous=true" } else { "" };
                page(self.beside.logs, "Logs", at(&format!("logs{query}")))
            }
            Doing::Share { .. } => page(self.beside.share, "Share…", at("share")),
            Doing::Prolong { share } => page(
                self.beside.prolong,
                "Prolong…",
                at(&format!("share/{share}/until")),
            ),
            Doing::StopOther => {
                let namespace = self.workspace.namespace().unwrap_or_default();
                let name = self.workspace.name_any();
                let others = own_running(self.context, self.may_own, &namespace, Some(&name));
                return others.iter().take(OTHERS).map(|other| self.stop(other)).collect();
            }
        };
        one.into_iter().collect()
    }

    /// A link to the control of the field, else to its line of the YAML. None to a field that cannot change.
    fn edit(&self, step: &Step, field: &str) -> Option<Action> {
        let at = path(self.workspace);
        let template = self.context.app.index.template_of(self.workspace);
        let form = self.context.app.form(template.as_deref(), Some(self.workspace));
        let (label, to) = match form.field_of(field) {
            Some(control) if matches!(control.change, Change::Refused(_)) => return None,
            Some(control) if control.path == field => (
                format!("Change {}…", control.label),
                format!("{at}/edit#f-{field}"),
            ),
            _ => {
                let query = to_string([("field", field)]).unwrap_or_default();
                (format!("Change {field}…"), format!("{at}/yaml?{query}#yaml"))
            }
        };
        Some(self.open(step, &label, &to))
    }

    fn copy(&self) -> String {
        format!(
            "/new?from={}/{}",
            self.workspace.namespace().unwrap_or_default(),
            self.workspace.name_any()
        )
    }

    /// A link, or the command in its place where nothing can be changed here.
    fn open(&self, step: &Step, label: &str, to: &str) -> Action {
        if matches!(step.action, Doing::Logs { .. }) {
            return link(label, to);
        }
        let to = to.to_owned();
        Action {
            label: label.to_owned(),
            way: self.context.way(Way::Link { to }, step.command.clone()),
            ..Action::default()
        }
    }

    /// The button that stops another workspace, after its question.
    fn stop(&self, other: &Workspace) -> Action {
        Action {
            label: format!("Stop {}", other.name_any()),
            of: String::new(),
            ..button(self.context, other, consequence::Action::Stop)
        }
    }
}
