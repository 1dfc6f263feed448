//! A workspace -> its state, size and actions in words (pure).

use api::workspace::{DesiredStatus, Phase, StopRule};
use api::{Workspace, WorkspaceTemplate};
use explain::Change;
use explain::consequence::Action as Doing;
use explain::progress::{blocker, phase};
use kube::ResourceExt as _;
use rules::form::image_name;
use rules::{options, stops};

use super::editor;
use super::may::May;
use super::words::amount;
use crate::app::Context;
use crate::index::resolved_values;
use crate::views::{Action, Icon, State, Tone, Way};
use crate::visible::VisibleWorkspace;

/// The reason and message that keep it from running, if there are any.
pub(super) fn blocked_by(workspace: &Workspace) -> Option<(&str, &str)> {
    let status = workspace.status.as_ref()?;
    let reason = status.reason.as_deref().unwrap_or_default();
    let reason = blocker(phase(workspace), reason)?;
    Some((reason, status.message.as_deref().unwrap_or_default()))
}

/// State in words and sign.
pub(super) fn state(workspace: &Workspace) -> State {
    let is_blocked = blocked_by(workspace).is_some();
    let in_recovery = workspace.is_in_recovery();
    let (tone, word) = match phase(workspace) {
        Phase::Running if in_recovery => (Tone::Warn, "In recovery"),
        Phase::Running => (Tone::Good, "Running"),
        Phase::Starting if is_blocked && in_recovery => (Tone::Warn, "Starting in recovery, blocked"),
        Phase::Starting if is_blocked => (Tone::Warn, "Starting, blocked"),
        Phase::Starting if in_recovery => (Tone::Wait, "Starting in recovery"),
        Phase::Starting => (Tone::Wait, "Starting"),
        Phase::Stopping => (Tone::Wait, "Stopping"),
        Phase::Stopped => (Tone::Calm, "Stopped"),
        Phase::Failed if in_recovery => (Tone::Bad, "Failed in recovery"),
        Phase::Failed => (Tone::Bad, "Failed"),
        Phase::Invalid => (Tone::Bad, "Not valid"),
        Phase::Deleting => (Tone::Wait, "Deleting"),
    };
    State {
        tone,
        word: word.to_owned(),
    }
}

/// Limits, or requests where there are none, in words.
pub(super) fn size(workspace: &Workspace) -> Vec<String> {
    let resources = resolved_values(workspace)
        .and_then(|resolved| resolved.resources.as_ref())
        .or(workspace.spec.resources.as_ref());
    let Some(resources) = resources else {
        return Vec::new();
    };
    let mut all = resources.requests.clone();
    all.extend(resources.limits.clone());
    let mut named: Vec<_> = all
        .iter()
        .filter(|(name, _)| *name != "ephemeral-storage")
        .collect();
    let rank = |name: &str| match name {
        "cpu" => 0,
        "memory" => 1,
        _ => 2,
    };
    named.sort_by_key(|(name, _)| rank(name));
    named
        .into_iter()
        .map(|(name, quantity)| amount(name, quantity))
        .collect()
}

/// The image of a workspace.
#[derive(Debug, Default)]
pub(super) struct Image {
    /// As its template calls it, else by name and tag.
    pub(super) name: String,
    /// Its whole reference. Empty: the name says it.
    pub(super) exact: String,
    pub(super) icon: Icon,
}

/// The image of the workspace.
pub(super) fn image(workspace: &Workspace, template: Option<&WorkspaceTemplate>) -> Image {
    let chosen = workspace.spec.image.as_deref();
    let by_choice = template.and_then(|template| image_by_choice(workspace, template));
    let default = template.map(|template| template.spec.default_image.as_str());
    let effective = resolved_values(workspace).and_then(|resolved| resolved.image.as_deref());
    let presentation = template.and_then(|template| template.spec.presentation.as_ref());
    let Some(image) = chosen.or(by_choice).or(default).or(effective) else {
        return Image::default();
    };
    let presented = presentation.and_then(|it| it.images.iter().find(|presented| presented.image == image));
    let icon = presented
        .and_then(|presented| presented.icon)
        .or_else(|| presentation.and_then(|it| it.icon));
    let name = presented.map_or_else(|| image_name(image), |presented| presented.display_name.as_str());
    Image {
        name: name.to_owned(),
        exact: if name == image { "" } else { image }.to_owned(),
        icon: icon.map_or(Icon::Generic, Icon::from),
    }
}

/// The image that the choices of a workspace set; of several the last.
fn image_by_choice<'a>(workspace: &Workspace, template: &'a WorkspaceTemplate) -> Option<&'a str> {
    let chosen = options::resolve(&template.spec, &workspace.spec.options).chosen;
    let mut images = chosen.iter().rev();
    images.find_map(|it| it.choice.set.as_ref()?.image.as_deref())
}

/// Fields whose new value takes effect at the next start.
pub(super) fn pending(workspace: &Workspace) -> Vec<String> {
    let status = workspace.status.as_ref();
    status
        .map(|status| status.pending_update.clone())
        .unwrap_or_default()
}

/// Path of the page of a workspace.
pub(super) fn path(workspace: &Workspace) -> String {
    format!(
        "/w/{}/{}",
        workspace.namespace().unwrap_or_default(),
        workspace.name_any()
    )
}

/// Pages above those that are beside a workspace's own.
pub(super) fn above(workspace: &Workspace) -> Vec<(String, String)> {
    vec![
        ("Workspaces".to_owned(), "/".to_owned()),
        (workspace.spec.display_name.clone(), path(workspace)),
    ]
}

/// An action in addresses and commands, and on its button.
pub(super) fn words(action: Doing) -> (&'static str, &'static str) {
    match action {
        Doing::Start => ("start", "Start"),
        Doing::Recover => ("recover", "Start in recovery"),
        Doing::Stop => ("stop", "Stop"),
        Doing::Restart => ("restart", "Restart"),
        Doing::Delete => ("delete", "Delete"),
    }
}

/// What the button of an action says for this workspace.
pub(super) fn label(workspace: &Workspace, action: Doing) -> &'static str {
    match action {
        Doing::Start if workspace.concerns_recovery() => "Start normally",
        _ => words(action).1,
    }
}

/// The button of an action, or the command in its place where nothing can be changed here. Only a start that ends nothing is not asked
/// about.
pub(super) fn button(context: &Context, workspace: &Workspace, action: Doing) -> Action {
    let (verb, label) = (words(action).0, label(workspace, action));
    let to = format!("{}/{verb}", path(workspace));
    let uid = workspace.metadata.uid.clone().unwrap_or_default();
    let way = match context.read_only_in(&workspace.namespace().unwrap_or_default()) {
        Some(_) => Way::Command {
            command: command(workspace, action),
        },
        None if action.moment(workspace).is_none() => Way::Post {
            to,
            hidden: vec![("uid".to_owned(), uid)],
        },
        None => Way::Dialog { to },
    };
    Action {
        label: label.to_owned(),
        of: workspace.name_any(),
        way,
        danger: action == Doing::Delete,
        ..Action::default()
    }
}

/// The command that does it.
pub(super) fn command(workspace: &Workspace, action: Doing) -> String {
    let change = match action {
        Doing::Start => Change::Start,
        Doing::Recover => Change::Recover,
        Doing::Stop => Change::Stop,
        Doing::Restart => Change::Restart,
        Doing::Delete => Change::Delete,
    };
    change.command(&workspace.name_any(), &workspace.namespace().unwrap_or_default())
}

/// Whether it is stopped or cannot run, and may start in recovery.
pub(super) fn may_recover(context: &Context, workspace: &Workspace) -> bool {
    let index = &context.app.index;
    let is_down = matches!(phase(workspace), Phase::Failed | Phase::Stopped)
        || (phase(workspace) == Phase::Starting && blocked_by(workspace).is_some());
    // It may run until it next writes a file.
    let is_full = workspace.status.as_ref().and_then(|status| status.disk.as_ref());
    let is_full = is_full.is_some_and(|disk| disk.full);
    (is_down || is_full)
        && !workspace.concerns_recovery()
        && resolved_values(workspace).is_some_and(|resolved| {
            let (template, manager) = (index.template_of(workspace), index.manager_of(workspace));
            rules::may_recover(resolved, template.as_deref(), manager.as_deref())
        })
}

/// What the user can do with it, what fits now first.
pub(super) fn actions(context: &Context, seen: &VisibleWorkspace, may: May) -> Vec<Action> {
    let workspace = &*seen.workspace;
    let may = may.with(seen);
    let button = |action| button(context, workspace, action);
    let is_wanted = workspace.spec.desired_status == DesiredStatus::Running;
    let phase = phase(workspace);
    let mut actions = Vec::new();
    let url = workspace.status.as_ref().and_then(|status| status.url.clone());
    let is_open = seen.may_connect && matches!(phase, Phase::Running | Phase::Starting);
    if let Some(to) = url.filter(|_| is_open) {
        actions.push(Action {
            label: "Open".to_owned(),
            of: workspace.name_any(),
            way: Way::Link { to },
            primary: phase == Phase::Running,
            ..Action::default()
        });
    }
    if let Some(to) = editor::link(context, seen) {
        actions.push(Action {
            label: "Open in VS Code".to_owned(),
            of: workspace.name_any(),
            way: Way::Link { to },
            ..Action::default()
        });
    }
    if may.change && phase != Phase::Deleting {
        if is_wanted {
            let normally = workspace.concerns_recovery().then_some(Doing::Start);
            actions.extend(
                normally
                    .into_iter()
                    .chain([Doing::Stop, Doing::Restart])
                    .map(button),
            );
        } else {
            actions.push(Action {
                primary: true,
                ..button(Doing::Start)
            });
        }
        if may_recover(context, workspace) {
            actions.push(button(Doing::Recover));
        }
    }
    if may.delete && phase != Phase::Deleting {
        actions.push(button(Doing::Delete));
    }
    actions
}

/// The rule that stops a workspace next. Empty: none.
pub(super) fn stop_rule(workspace: &Workspace) -> &'static str {
    let Some(status) = &workspace.status else {
        return "";
    };
    let kept = status.kept.as_ref().map(|kept| &kept.until);
    if status.stops_because == Some(StopRule::Idle) && kept.is_some() && kept == status.stops_at.as_ref() {
        return "kept until then";
    }
    status.stops_because.map_or("", stops::short)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::objects;

    use super::*;

    #[test]
    fn the_image_is_the_own_one_else_that_of_the_choices_else_the_template_s() {
        let mut template = objects::template("t");
        template.spec.options = serde_json::from_value(json!([{"name": "gpu", "choices": [
            {"name": "none", "default": true}, {"name": "a100", "set": {"image": "r/cuda:1"}},
        ]}]))
        .unwrap();
        template.spec.presentation = serde_json::from_value(json!({"images": [
            {"image": "r/cuda:1", "displayName": "CUDA", "icon": "gpu"},
        ]}))
        .unwrap();
        let mut lab = objects::workspace("lab");
        lab.spec.image = None;
        let shown = |lab: &Workspace| image(lab, Some(&template)).name;
        assert_eq!(shown(&lab), image_name(&template.spec.default_image));
        lab.spec.options.insert("gpu".to_owned(), "a100".to_owned());
        assert_eq!(shown(&lab), "CUDA");
        lab.spec.image = Some("r/own:1".to_owned());
        assert_eq!(shown(&lab), image_name("r/own:1"));
    }
}
