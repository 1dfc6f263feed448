//! Explanation, pod and Events -> what happened, in words, and buttons that correct it (pure).
//!
//! | file | holds |
//! |---|---|
//! | `sentences.rs` | reason of an Event -> a sentence |
//! | `view.rs` | findings, remedies, steps of a start, events |

mod sentences;
pub(super) mod view;

use std::collections::BTreeMap;

use api::Workspace;
use api::condition::reason::{self, State};
use api::workspace::{DesiredStatus, Phase};
use explain::progress::{self, STEPS, phase};
use explain::{Change as Doing, Step, Who, consequence};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use rules::form::Change;
use serde_urlencoded::to_string;

use self::sentences::{is_usual, sentence};
use self::view::{
    Cause, Event as EventView, Events, Explanation, Finding, Progress, Remedy, Step as StepView, StepState,
};
use super::answers::link;
use super::may::{May, MayBeside, own_running};
use super::summary::{blocked_by, button, may_recover, path};
use super::words::{moment, parse_moment, short};
use crate::app::Context;
use crate::views::{Action, Tone, Way};
use crate::visible::VisibleWorkspace;

/// Most events that are shown.
const MAX: usize = 50;

/// Why the workspace is not as wanted, in the words of `kubectl workspace explain`. Empty where nothing is wrong: state, stop and
/// pending changes have parts of their own. `is_usual`: what is under way has not taken long, so only problems are shown.
pub(super) fn explanation(
    explained: &explain::Explanation,
    is_usual: bool,
    can: &Remedies<'_>,
) -> Explanation {
    let is_problem = |finding: &explain::Finding| {
        let name = finding.reason.as_deref();
        name.is_some_and(|name| reason::find(name).is_none_or(|reason| reason.state != State::Fine))
    };
    let is_first = |at: usize| at == 0 && !explained.as_wanted && !is_usual;
    let findings = explained.findings.iter().enumerate();
    let findings: Vec<_> = findings
        .filter(|(at, finding)| is_first(*at) || is_problem(finding))
        .map(|(_, finding)| finding)
        .collect();
    let finding = |finding: &&explain::Finding| {
        let needs_help = finding
            .remedies
            .iter()
            .any(|remedy| remedy.who == Who::Administrator);
        Finding {
            tone: match (is_problem(finding), explained.as_wanted, needs_help) {
                (true, true, _) | (false, _, true) => Tone::Warn,
                (true, false, _) => Tone::Bad,
                (false, _, false) => Tone::Wait,
            },
            what: finding.what.clone(),
            reason: finding.reason.clone().unwrap_or_default(),
            since: finding
                .because
                .first()
                .and_then(|cause| parse_moment(cause.time.as_deref()?)),
            causes: finding.because.iter().map(cause).collect(),
            remedies: finding
                .remedies
                .iter()
                .map(|remedy| can.remedy(finding, remedy))
                .collect(),
        }
    };
    let unread = explained.unread.iter().filter(|_| !findings.is_empty());
    Explanation {
        unread: unread
            .map(|unread| format!("{}: {}", unread.what, unread.why))
            .collect(),
        findings: findings.iter().map(finding).collect(),
    }
}

fn cause(cause: &explain::Cause) -> Cause {
    Cause {
        object: cause.object.clone(),
        field: cause.field.clone(),
        value: cause.value.clone(),
        time: cause.time.as_deref().and_then(parse_moment),
    }
}

/// Steps of a start, from its own pod. Empty while it does not start.
pub(super) fn progress(workspace: &Workspace, pods: &[Pod], events: &[Event]) -> Progress {
    let phase = phase(workspace);
    let is_blocked = blocked_by(workspace).is_some();
    if phase != Phase::Starting && !(phase == Phase::Failed && is_blocked) {
        return Progress::default();
    }
    let known = progress::by_pod(workspace, progress::current_pod(workspace, pods), events);
    let step = |(at, what): (usize, &&str)| StepView {
        what: (*what).to_owned(),
        state: match at {
            _ if Some(at) == known.stuck => StepState::Stuck,
            _ if at < known.done => StepState::Done,
            _ if at == known.done && known.stuck.is_none() => StepState::Now,
            _ => StepState::Next,
        },
        since: known
            .since
            .filter(|_| at == known.done && known.stuck.is_none_or(|stuck| stuck == at))
            .map(moment),
    };
    let since = workspace
        .status
        .as_ref()
        .and_then(|status| status.starting_since.as_ref());
    Progress {
        steps: STEPS.iter().enumerate().map(step).collect(),
        percent: known.percent(),
        since: since.map(|time| moment(time.0)),
    }
}

/// Events, grouped, the newest first.
pub(super) fn events(read: Result<Vec<Event>, String>) -> Events {
    let events = match read {
        Ok(events) => events,
        Err(why) => {
            return Events {
                absent: format!("Events cannot be read: {why}"),
                ..Events::default()
            };
        }
    };
    let mut groups: BTreeMap<(String, String, String), (Timestamp, u32, bool)> = BTreeMap::new();
    for event in events {
        let object = &event.involved_object;
        let of = format!(
            "{} {}",
            object.kind.as_deref().unwrap_or_default(),
            object.name.as_deref().unwrap_or_default()
        );
        let key = (
            of,
            event.reason.clone().unwrap_or_default(),
            event.message.clone().unwrap_or_default(),
        );
        let count = event
            .series
            .as_ref()
            .and_then(|series| series.count)
            .or(event.count)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1);
        let is_warning = event.type_.as_deref() == Some("Warning");
        let group = groups
            .entry(key)
            .or_insert((Timestamp::UNIX_EPOCH, 0, is_warning));
        group.0 = group.0.max(explain::time_of(&event).unwrap_or_default());
        group.1 = group.1.saturating_add(count);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (last, ..))| std::cmp::Reverse(*last));
    let groups = groups.into_iter().take(MAX);
    Events {
        events: groups
            .map(
                |((object, reason, message), (last, count, is_warning))| EventView {
                    tone: if is_warning && !is_usual(&reason, &message) {
                        Tone::Warn
                    } else {
                        Tone::Calm
                    },
                    sentence: sentence(&reason, &message).to_owned(),
                    reason,
                    message,
                    object,
                    last: short(last),
                    count,
                },
            )
            .collect(),
        absent: String::new(),
    }
}

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
            Doing::Start => {
                let differs = !wants_run || self.workspace.concerns_recovery();
                change(self.may.change && differs, consequence::Action::Start)
            }
            Doing::Recover => {
                let can = self.may.change && may_recover(self.context, self.workspace);
                change(can, consequence::Action::Recover)
            }
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
        let options = &self.workspace.spec.options;
        let form = self
            .context
            .app
            .form(template.as_deref(), Some(self.workspace), options);
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
