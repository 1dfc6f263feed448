//! User and action, and the meaning of the portal's and kubectl's answers (pure).

use api::names::RESTARTED_AT;
use api::workspace::DesiredStatus;
use api::{Workspace, WorkspaceShare};
use e2e::portal::attested::Answer;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::kubectl::Refusal;
use super::places::NO_NODE;
use super::stored::Stored;
use super::users::{Kind, Member};
use super::{Action, Outcome};

/// Who gets what is handed over.
pub(super) const NEW_OWNER: &str = "dave";
/// Title of the page for what does not exist.
const HIDDEN: &str = "There is nothing here for you";
/// The answer to a stop of many where the user sees none that runs.
const NONE_RUNS: &str = "None of the chosen workspaces runs.";

/// Who acts on what.
pub(super) struct Target<'a> {
    pub(super) member: &'a Member,
    pub(super) namespace: &'a str,
    pub(super) name: String,
    /// The workspace as it is before.
    pub(super) workspace: Workspace,
    /// A share of it, to be prolonged and ended.
    pub(super) share: WorkspaceShare,
    /// A workspace to be made.
    pub(super) another: Workspace,
}

impl Target<'_> {
    /// A value that only this user writes.
    pub(super) fn mark(&self) -> &str {
        &self.member.user.name
    }

    /// With whom only this user shares.
    pub(super) fn friend(&self) -> String {
        format!("friend.of.{}", self.mark())
    }

    /// The last day of a prolonged share: another one for each kind of users.
    pub(super) fn day(&self) -> String {
        format!("2031-01-{:02}", self.number())
    }

    /// The day at whose begin such a share ends.
    pub(super) fn day_after(&self) -> String {
        format!("2031-01-{:02}", self.number() + 1)
    }

    fn number(&self) -> usize {
        let at = Kind::ALL.iter().position(|kind| *kind == self.member.kind);
        1 + at.unwrap_or_default()
    }

    /// Path of its page.
    pub(super) fn path(&self) -> String {
        format!("/w/{}/{}", self.namespace, self.name)
    }
}

/// What the answer of the portal means; `None`: nothing that fits kubectl's.
pub(super) fn outcome(action: Action, refusal: Option<&Refusal>, answer: &Answer) -> Option<Outcome> {
    let found = by_portal(action, refusal, answer)?;
    ((found == Outcome::Done) == refusal.is_none()).then_some(found)
}

fn by_portal(action: Action, refusal: Option<&Refusal>, answer: &Answer) -> Option<Outcome> {
    let view = &answer.view;
    let seen = if refusal.is_none() {
        Outcome::Done
    } else {
        Outcome::AsOwner
    };
    let is_said = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        refusal.is_some_and(|refusal| refusal.words.iter().all(|words| text.contains(words.as_str())))
    };
    match (action, answer.status) {
        (_, 404) if view["layout"]["title"] == HIDDEN => Some(Outcome::Hidden),
        (Action::Page, 200) if view["facts"].is_null() => {
            view["events"].is_null().then_some(Outcome::AsGuest)
        }
        (Action::Page, 200) => Some(seen),
        (Action::Text, 200) => view["text"].as_str()?.contains(NO_NODE).then_some(seen),
        (Action::Logs, 200) if view["absent"].is_null() => Some(Outcome::Done),
        (Action::Logs, 200) => is_said(&view["absent"]["text"]).then_some(Outcome::Refused),
        (Action::StopMany, 400) if view["why"] == json!([NONE_RUNS]) => Some(Outcome::Hidden),
        (Action::StopMany, 200) => match &**view["result"]["results"].as_array()? {
            [one] if one["reason"] == "" => Some(Outcome::Done),
            [one] => is_said(&one["reason"]).then_some(Outcome::Refused),
            _ => None,
        },
        (Action::Page | Action::Text | Action::Logs | Action::StopMany, _) => None,
        (_, 303) => Some(Outcome::Done),
        (_, status) => {
            let refusal = refusal.filter(|refusal| refusal.code == status)?;
            let is_said = refusal.words.iter().all(|words| answer.says(words));
            is_said.then_some(Outcome::Refused)
        }
    }
}

/// Whether the page shows the events, or why kubectl does not list them either (`refusal`).
pub(super) fn has_events(answer: &Answer, refusal: Option<&str>) -> bool {
    let absent = answer.view["events"]["absent"].as_str().unwrap_or_default();
    refusal.map_or(absent.is_empty(), |words| absent.contains(words))
}

/// Whether the change is stored; `None`: what it is about is gone. `another`: the workspace to be made.
pub(super) fn is_done(
    target: &Target<'_>,
    action: Action,
    after: &Stored,
    another: Option<&Workspace>,
) -> Option<bool> {
    if action == Action::Delete {
        let is_leaving = |workspace: &Workspace| workspace.metadata.deletion_timestamp.is_some();
        return Some(after.workspace.as_ref().is_none_or(is_leaving));
    }
    let now = after.workspace.as_ref()?;
    let mark = target.mark();
    let share = target.share.name_any();
    Some(match action {
        Action::Page | Action::Text | Action::Logs | Action::Delete => true,
        Action::Stop | Action::StopMany => now.spec.desired_status == DesiredStatus::Stopped,
        Action::Start => now.spec.desired_status == DesiredStatus::Running,
        Action::Restart => {
            let at = |workspace: &Workspace| workspace.annotations().get(RESTARTED_AT).cloned();
            at(now).is_some() && at(now) != at(&target.workspace)
        }
        Action::Form => now.spec.display_name == mark,
        Action::Yaml => now
            .spec
            .node_selector
            .get(NO_NODE)
            .is_some_and(|node| node == mark),
        Action::Create => api::names::owner(&another?.metadata) == Some(mark),
        Action::Share => {
            let mut shares = after.shares.values();
            shares.any(|share| share.spec.subjects[0].name == target.friend())
        }
        Action::Prolong => {
            let end = after.shares.get(&share)?.spec.expires_at.as_ref()?;
            end.0.to_string().starts_with(&target.day_after())
        }
        Action::EndShare => !after.shares.contains_key(&share),
        Action::HandOver => api::names::owner(&now.metadata) == Some(NEW_OWNER),
    })
}
