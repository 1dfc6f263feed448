//! A workspace -> its state, size and actions in words (pure).

use std::sync::Arc;

use api::condition::reason;
use api::names::owner;
use api::workspace::{DesiredStatus, Phase};
use api::{Workspace, WorkspaceTemplate};
use kube::ResourceExt as _;
use rules::progress::blocker;

use super::templates;
use super::words::{amount, short, short_of};
use crate::app::Context;
use crate::views::{Action, Icon, Row, State, Tone, Way};
use crate::visible::{AccessLevel, Seen};

/// What the user may do with workspaces of one namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct May {
    /// The verb `patch`.
    pub(super) change: bool,
    /// The verb `delete`.
    pub(super) delete: bool,
    /// The verb `administer`: also those of others.
    pub(super) administer: bool,
}

impl May {
    /// Asks for the rights in a namespace.
    pub(super) async fn of(context: &Context, namespace: &str) -> Self {
        let ask = async |verb| context.may_in(verb, "workspaces", namespace).await;
        let (change, delete, administer) =
            tokio::join!(ask("patch"), ask("delete"), ask(api::names::ADMINISTER_VERB));
        Self {
            change,
            delete,
            administer,
        }
    }

    /// What of it holds for this workspace: the webhook lets only owners and administrators change one of `OwnerOnly`.
    pub(super) fn with(self, seen: &Seen) -> Self {
        let workspace = &seen.workspace;
        let resolved = workspace
            .status
            .as_ref()
            .and_then(|status| status.resolved.as_ref());
        let ownership = workspace
            .spec
            .ownership_type
            .or_else(|| resolved.and_then(|resolved| resolved.ownership_type))
            .unwrap_or_default();
        let is_theirs = seen.level == AccessLevel::Owner
            || self.administer
            || ownership == api::workspace::OwnershipType::Public;
        Self {
            change: self.change && is_theirs,
            delete: self.delete && is_theirs,
            administer: self.administer,
        }
    }
}

/// The user's own running workspaces of the namespace that they may stop, by name. `except`: one that is left out.
pub(super) fn own_running(
    context: &Context,
    may: May,
    namespace: &str,
    except: Option<&str>,
) -> Vec<Arc<Workspace>> {
    if !may.change {
        return Vec::new();
    }
    let mut own = context.app.index.workspaces();
    own.retain(|workspace| {
        let metadata = &workspace.metadata;
        owner(metadata) == Some(&*context.user.name)
            && metadata.namespace.as_deref() == Some(namespace)
            && metadata.deletion_timestamp.is_none()
            && workspace.spec.desired_status == DesiredStatus::Running
            && except != Some(&*workspace.name_any())
    });
    own.sort_by_key(|workspace| workspace.name_any());
    own
}

/// What the user may do with what belongs to one workspace: its shares, its output and its owner.
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MayBeside {
    /// Make shares.
    pub(super) share: bool,
    /// Change the ends of shares.
    pub(super) prolong: bool,
    /// End shares.
    pub(super) end: MayEnd,
    /// Read the output.
    pub(super) logs: bool,
    /// The verb `assign-owner`.
    pub(super) assign: bool,
}

/// Which shares of a workspace the user may end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum MayEnd {
    /// None.
    #[default]
    None,
    /// Those that they made.
    Own,
    /// All.
    All,
}

impl MayBeside {
    /// Asks for the rights. The webhook lets only the owner and holders of the verb `share` write shares; creators may end their own.
    pub(super) async fn of(context: &Context, seen: &Seen) -> Self {
        let workspace = &seen.workspace;
        let namespace = workspace.namespace().unwrap_or_default();
        let ask = async |verb, resource, name: &str| context.may(verb, resource, &namespace, name).await;
        let name = workspace.name_any();
        let shares_for_others = async {
            seen.level == AccessLevel::Owner || ask(api::names::SHARE_VERB, "workspaces", &name).await
        };
        let (create, patch, delete, logs, assign, is_theirs) = tokio::join!(
            ask("create", "workspaceshares", ""),
            ask("patch", "workspaceshares", ""),
            ask("delete", "workspaceshares", ""),
            ask("get", "pods/log", ""),
            ask(api::names::ASSIGN_OWNER_VERB, "workspaces", &name),
            shares_for_others,
        );
        Self {
            share: create && is_theirs,
            prolong: patch && is_theirs,
            end: match (delete, is_theirs) {
                (true, true) => MayEnd::All,
                (true, false) => MayEnd::Own,
                (false, _) => MayEnd::None,
            },
            logs,
            assign,
        }
    }
}

/// The phase of a workspace, with what its spec wants meanwhile.
pub(super) fn phase(workspace: &Workspace) -> Phase {
    let status = workspace.status.as_ref();
    let is_judged = status.and_then(|status| status.observed_generation) == workspace.metadata.generation;
    let is_stopped = workspace.spec.desired_status == DesiredStatus::Stopped;
    match status.and_then(|status| status.phase) {
        _ if workspace.metadata.deletion_timestamp.is_some() => Phase::Deleting,
        Some(Phase::Running | Phase::Starting) | None if is_stopped => Phase::Stopping,
        Some(Phase::Stopped) if !is_stopped && !is_judged => Phase::Starting,
        Some(phase) => phase,
        None => Phase::Starting,
    }
}

/// The reason and message that keep it from running, if there are any.
pub(super) fn trouble(workspace: &Workspace) -> Option<(&str, &str)> {
    let status = workspace.status.as_ref()?;
    let reason = status.reason.as_deref().unwrap_or_default();
    let reason = blocker(phase(workspace), reason)?;
    Some((reason, status.message.as_deref().unwrap_or_default()))
}

/// State in words and sign.
pub(super) fn state(workspace: &Workspace) -> State {
    let is_blocked = trouble(workspace).is_some();
    let (tone, word) = match phase(workspace) {
        Phase::Running => (Tone::Good, "Running"),
        Phase::Starting if is_blocked => (Tone::Warn, "Starting, blocked"),
        Phase::Starting => (Tone::Wait, "Starting"),
        Phase::Stopping => (Tone::Wait, "Stopping"),
        Phase::Stopped => (Tone::Calm, "Stopped"),
        Phase::Failed => (Tone::Bad, "Failed"),
        Phase::Invalid => (Tone::Bad, "Not valid"),
        Phase::Deleting => (Tone::Wait, "Deleting"),
    };
    State {
        tone,
        word: word.to_owned(),
    }
}

/// What to do about a reason, in the contract's words.
pub(super) fn remedy(name: &str) -> &'static str {
    reason::ALL
        .iter()
        .find(|reason| reason.name == name)
        .map_or("", |reason| reason.remedy)
}

/// Limits, or requests where there are none, in words.
pub(super) fn size(workspace: &Workspace) -> Vec<String> {
    let resolved = workspace
        .status
        .as_ref()
        .and_then(|status| status.resolved.as_ref());
    let resources = resolved
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

/// The image by the name that its template gives it, and its sign.
pub(super) fn image(workspace: &Workspace, template: Option<&WorkspaceTemplate>) -> (String, Icon) {
    let resolved = workspace
        .status
        .as_ref()
        .and_then(|status| status.resolved.as_ref());
    let chosen = workspace.spec.image.as_deref();
    let default = template.map(|template| template.spec.default_image.as_str());
    let effective = resolved.and_then(|resolved| resolved.image.as_deref());
    let presentation = template.and_then(|template| template.spec.presentation.as_ref());
    let Some(image) = chosen.or(default).or(effective) else {
        return (String::new(), Icon::Generic);
    };
    let presented = presentation.and_then(|it| it.images.iter().find(|presented| presented.image == image));
    let icon = presented
        .and_then(|presented| presented.icon)
        .or_else(|| presentation.and_then(|it| it.icon));
    let name = presented.map(|presented| presented.display_name.clone());
    (
        name.unwrap_or_else(|| image.to_owned()),
        icon.map_or(Icon::Generic, templates::of),
    )
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

/// A button, or the command in its place where nothing can be changed here.
pub(super) fn button(context: &Context, workspace: &Workspace, verb: &'static str, way: Way) -> Action {
    let label = match verb {
        "start" => "Start",
        "stop" => "Stop",
        "restart" => "Restart",
        _ => "Delete",
    };
    let way = match context.read_only() {
        None => way,
        Some(_) => Way::Command {
            command: command(workspace, verb),
        },
    };
    Action {
        label: label.to_owned(),
        of: workspace.name_any(),
        way,
        danger: verb == "delete",
        ..Action::default()
    }
}

/// The command that does it.
pub(super) fn command(workspace: &Workspace, verb: &str) -> String {
    format!(
        "kubectl workspace {verb} {} -n {}",
        workspace.name_any(),
        workspace.namespace().unwrap_or_default()
    )
}

/// What the user can do with it, what fits now first.
pub(super) fn actions(context: &Context, seen: &Seen, may: May) -> Vec<Action> {
    let workspace = &*seen.workspace;
    let may = may.with(seen);
    let at = |action: &str| format!("{}/{action}", path(workspace));
    let hidden = vec![(
        "uid".to_owned(),
        workspace.metadata.uid.clone().unwrap_or_default(),
    )];
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
    if may.change && phase != Phase::Deleting {
        if is_wanted {
            actions.push(button(context, workspace, "stop", Way::Dialog { to: at("stop") }));
            actions.push(button(
                context,
                workspace,
                "restart",
                Way::Dialog { to: at("restart") },
            ));
        } else {
            let way = Way::Post {
                to: at("start"),
                hidden,
            };
            actions.push(Action {
                primary: true,
                ..button(context, workspace, "start", way)
            });
        }
    }
    if may.delete && phase != Phase::Deleting {
        actions.push(button(
            context,
            workspace,
            "delete",
            Way::Dialog { to: at("delete") },
        ));
    }
    actions
}

/// The row of a workspace. Guests see state, owner, link, and the end of their share.
pub(super) fn row(context: &Context, seen: &Seen, may: May) -> Row {
    let workspace = &*seen.workspace;
    let status = workspace.status.as_ref();
    let is_guest = matches!(seen.level, AccessLevel::Guest { .. });
    let template = workspace
        .spec
        .template_ref
        .as_deref()
        .and_then(|name| context.app.index.template(name));
    let (image, icon) = image(workspace, template.as_deref());
    let (reason, cure) = match trouble(workspace).filter(|_| !is_guest) {
        Some((reason, message)) => {
            let what = if message.is_empty() { reason } else { message };
            (what.to_owned(), remedy(reason).to_owned())
        }
        None => Default::default(),
    };
    let mut more = actions(context, seen, may);
    let first = more.iter().position(|action| action.primary).unwrap_or(0);
    let action = if !reason.is_empty() {
        Some(Action {
            label: "See why".to_owned(),
            of: workspace.name_any(),
            way: Way::Link { to: path(workspace) },
            ..Action::default()
        })
    } else if more.is_empty() {
        None
    } else {
        Some(more.remove(first))
    };
    let owner = match seen.level {
        AccessLevel::Owner => "",
        _ => owner(&workspace.metadata).unwrap_or_default(),
    };
    let can_stop = may.with(seen).change && workspace.spec.desired_status == DesiredStatus::Running;
    let full = Row {
        uid: workspace.metadata.uid.clone().unwrap_or_default(),
        namespace: workspace.namespace().unwrap_or_default(),
        name: workspace.name_any(),
        display: workspace.spec.display_name.clone(),
        to: path(workspace),
        owner: owner.to_owned(),
        state: state(workspace),
        action,
        more,
        ..Row::default()
    };
    if let AccessLevel::Guest { until } = seen.level {
        return Row {
            shared: until.map(short),
            select: Some(String::new()),
            ..full
        };
    }
    Row {
        reason,
        cure,
        icon,
        image,
        size: size(workspace),
        since: short_of(status.and_then(|status| status.started_at.as_ref())),
        stops: short_of(status.and_then(|status| status.stops_at.as_ref())),
        select: Some(if can_stop {
            format!("{}/{}", full.namespace, full.name)
        } else {
            String::new()
        }),
        ..full
    }
}
