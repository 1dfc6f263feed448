//! `/w/<namespace>/<name>` -> one workspace, starting or running (IO: reads as the user).
//!
//! | file | holds |
//! |---|---|
//! | `facts.rs` | its values, its disk, what it uses, who may connect |
//! | `view.rs` | the page and its parts |

mod facts;
pub(super) mod view;

use api::Workspace;
use api::condition::{AVAILABLE, holds};
use api::names::RESTARTED_AT;
use api::workspace::Phase;
use axum::response::Response;
use explain::consequence;
use explain::progress;
use explain::{Evidence, Read};
use futures::future::try_join_all;
use futures::join;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, ResourceQuota};
use kube::ResourceExt;
use kube::api::ListParams;
use rules::access::{Policy, Requester};
use rules::files::{Disks, Moment};
use rules::{expiry, stops};

use self::view::{Head, Pending, Workspace as View};
use super::answers::{Done, link, note};
use super::editor;
use super::explanation::{self, Remedies};
use super::extract::{Path, Query};
use super::keep;
use super::may::{May, MayBeside, UNKNOWN};
use super::summary::{self, path};
use super::words::{moment, short_of};
use crate::app::Context;
use crate::cluster::Failure;
use crate::views::{Action, Nav, Tone, Way};
use crate::visible::{AccessLevel, VisibleWorkspace};

/// A start that takes longer is explained, beside its steps.
const USUAL_START: SignedDuration = SignedDuration::from_secs(60);
/// How long a page says that a restart was requested.
const RECENT: SignedDuration = SignedDuration::from_secs(60);
/// How many Events of one object are read. Kubernetes merges those that repeat themselves.
const MOST_EVENTS: u32 = 500;

/// Answers `GET /w/<namespace>/<name>`.
pub(crate) async fn page(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Query(Done { done }): Query<Done>,
) -> Response {
    let seen = context.visible_workspace(&namespace, &name).await;
    let Some(seen) = seen else {
        return context.not_found();
    };
    let mut view = view(&context, &seen).await;
    view.layout
        .notes
        .extend(after(&done, &seen, context.now).map(|text| note(Tone::Good, text)));
    // Not of another user: anybody can make a link to this page.
    let is_own = seen.level == AccessLevel::Owner;
    if done == "new" && is_own && progress::phase(&seen.workspace) == Phase::Starting {
        view.stay = path(&seen.workspace);
    }
    context.page(&view)
}

/// What was just done, if the workspace shows it: anybody can make a link to this page.
fn after(done: &str, seen: &VisibleWorkspace, now: Timestamp) -> Option<String> {
    let workspace = &*seen.workspace;
    let is_guest = seen.is_guest();
    let restarted = workspace
        .annotations()
        .get(RESTARTED_AT)
        .and_then(|time| time.parse().ok());
    let is_recent = |time: Timestamp| now.duration_since(time) < RECENT;
    let created = workspace.creation_timestamp().map(|time| time.0);
    let text = match (done, progress::phase(workspace)) {
        // Where one click was sent twice, the second made nothing.
        ("new", phase) if phase != Phase::Starting && created.is_some_and(is_recent) => {
            "The workspace was created a moment ago."
        }
        ("start", Phase::Starting) => "The workspace is being started.",
        ("stop", Phase::Stopping) if is_guest => "The workspace is being stopped.",
        ("stop", Phase::Stopping) => {
            let files = Disks::from_workspace(workspace).fate(Moment::Stop).sentence();
            return Some(format!("The workspace is being stopped. {files}"));
        }
        ("recover", Phase::Starting) => "The workspace is being started in recovery.",
        ("restart", _) if restarted.is_some_and(is_recent) => "The workspace is being restarted.",
        ("edit", _) => "The changes are stored.",
        ("owner", _) => "The workspace has its new owner.",
        _ => return None,
    };
    Some(text.to_owned())
}

/// The page.
pub(super) async fn view(context: &Context, seen: &VisibleWorkspace) -> View {
    let workspace = &*seen.workspace;
    let (namespace, name) = (workspace.namespace().unwrap_or_default(), workspace.name_any());
    let live = format!("/events?view=workspace&namespace={namespace}&name={name}");
    let mut layout = context.live_layout(workspace.spec.display_name.clone(), Nav::Workspaces, live);
    layout.above = vec![("Workspaces".to_owned(), "/".to_owned())];
    if seen.is_guest() {
        return View {
            layout,
            head: head(
                context,
                seen,
                May::ask(context, &namespace).await,
                MayBeside::default(),
            ),
            ..View::default()
        };
    }
    let (may, beside, evidence, usage) = join!(
        Box::pin(May::ask(context, &namespace)),
        Box::pin(MayBeside::ask(context, seen)),
        Box::pin(read(context, workspace)),
        facts::usage(context, workspace),
    );
    let template = context.app.index.template_of(workspace);
    let explained = explain::workspace(&Evidence {
        workspace,
        events: read_of(evidence.events.clone()),
        pods: evidence.pods,
        claim: evidence.claim,
        quotas: evidence.quotas,
        template: template.as_deref(),
        pod_events: evidence.events.as_deref().unwrap_or_default(),
        reads_logs: beside.logs,
        now: context.now,
    });
    let can = Remedies::new(context, seen, (may, beside));
    let (events, pods) = (evidence.events, evidence.found);
    let is_usual = explain::is_applying(workspace, context.now) || is_usual_start(workspace, context.now);
    View {
        layout,
        stay: String::new(),
        explanation: explanation::explanation(&explained, is_usual, &can),
        progress: explanation::progress(workspace, &pods, events.as_deref().unwrap_or_default()),
        pending: pending(context, seen, may),
        facts: Some(facts::facts(workspace, template.as_deref())),
        usage,
        access: Some(facts::access(context, seen, beside)),
        events: Some(explanation::events(events)),
        head: head(context, seen, may, beside),
    }
}

/// Whether it has been starting for less than a minute: its steps say enough.
fn is_usual_start(workspace: &Workspace, now: Timestamp) -> bool {
    let status = workspace.status.as_ref();
    let since = status.and_then(|status| status.starting_since.as_ref());
    progress::phase(workspace) == Phase::Starting
        && since.is_some_and(|since| now.duration_since(since.0) < USUAL_START)
}

/// What was read as the user.
struct Reads {
    events: Result<Vec<Event>, String>,
    pods: Read<Vec<Pod>>,
    claim: Read<Option<PersistentVolumeClaim>>,
    quotas: Read<Vec<ResourceQuota>>,
    found: Vec<Pod>,
}

async fn read(context: &Context, workspace: &Workspace) -> Reads {
    let (namespace, name) = (
        &*workspace.namespace().unwrap_or_default(),
        &*workspace.name_any(),
    );
    if let Some(why) = context.read_only() {
        return Reads {
            events: Err(why.clone()),
            pods: Read::Unread(why.clone()),
            claim: Read::Unread(why.clone()),
            quotas: Read::Unread(why),
            found: Vec::new(),
        };
    }
    let as_user = context.as_user();
    let labelled = ListParams::default().labels(&format!("{}={name}", api::names::WORKSPACE_LABEL));
    let child = rules::names::child(name);
    let (pods, events, claim, quotas) = join!(
        as_user.list_cached::<Pod>(namespace, labelled),
        events(context, namespace, name),
        as_user.get::<PersistentVolumeClaim>(Some(namespace), &child),
        as_user.list_cached::<ResourceQuota>(namespace, ListParams::default()),
    );
    let claim = match claim {
        Err(failure) if failure.is_not_found() => Read::Known(None),
        Err(failure) => Read::Unread(failure.to_string()),
        Ok(claim) => Read::Known(Some(claim)),
    };
    let found = pods.as_ref().cloned().unwrap_or_default();
    let mut events = events.map_err(|failure| failure.to_string());
    if let Ok(events) = &mut events {
        events.retain(|event| explain::concerns(event, workspace));
    }
    Reads {
        events,
        pods: read_of(pods),
        claim,
        quotas: read_of(quotas),
        found,
    }
}

/// Events of the workspace, its pod and its disk: the API server selects them by name.
async fn events(context: &Context, namespace: &str, name: &str) -> Result<Vec<Event>, Failure> {
    let as_user = context.as_user();
    let reads = [name, &rules::names::child(name)].map(|name| {
        let selector = format!("involvedObject.name={name}");
        ListParams::default().fields(&selector).limit(MOST_EVENTS)
    });
    let reads = reads.map(async |params| as_user.list::<Event>(namespace, &params).await);
    let events = try_join_all(reads).await?;
    Ok(events.into_iter().flatten().collect())
}

fn read_of<T>(answer: Result<T, impl ToString>) -> Read<T> {
    match answer {
        Ok(found) => Read::Known(found),
        Err(failure) => Read::Unread(failure.to_string()),
    }
}

/// State, and what can be done.
fn head(context: &Context, seen: &VisibleWorkspace, may: May, beside: MayBeside) -> Head {
    let workspace = &*seen.workspace;
    let status = workspace.status.as_ref();
    let at = path(workspace);
    let mut actions = summary::actions(context, seen, may);
    let mut more = Vec::new();
    let is_guest = seen.is_guest();
    if !is_guest {
        let may = may.with(seen);
        if may.change {
            more.push(link("Change…", &format!("{at}/edit")));
            more.extend(keep::button(context, workspace));
        }
        if beside.share {
            more.push(link("Share…", &format!("{at}/share")));
        }
        if beside.logs {
            more.push(link("Logs", &format!("{at}/logs")));
        }
        more.push(link("YAML", &format!("{at}/yaml")));
        if beside.create {
            let namespace = workspace.namespace().unwrap_or_default();
            let from = format!("/new?from={namespace}/{}", workspace.name_any());
            more.push(link("Copy…", &from));
        }
        // As the webhook has it: the owner, or who may administer it.
        let is_theirs = seen.level == AccessLevel::Owner || may.administer;
        if may.change && beside.assign && is_theirs {
            more.push(link("Hand over…", &format!("{at}/owner")));
        }
    }
    let url = status.and_then(|status| status.url.clone()).unwrap_or_default();
    if is_guest && starts_at_its_address(context, seen) {
        actions.push(Action {
            label: "Open and start".to_owned(),
            way: Way::Link { to: url.clone() },
            primary: true,
            ..Action::default()
        });
    }
    let (delete, rest): (Vec<_>, Vec<_>) = actions.drain(..).partition(|action: &Action| action.danger);
    more.extend(delete);
    let template = context.app.index.template_of(workspace);
    let icon = summary::image(workspace, template.as_deref()).icon;
    let base = Head {
        state: summary::state(workspace),
        sentence: sentence(context, seen, may),
        waiting: if may.is_unknown || beside.is_unknown {
            UNKNOWN.to_owned()
        } else {
            String::new()
        },
        applying: explain::is_applying(workspace, context.now),
        object: format!(
            "{}/{}",
            workspace.namespace().unwrap_or_default(),
            workspace.name_any()
        ),
        owner: api::names::owner(&workspace.metadata)
            .unwrap_or_default()
            .to_owned(),
        url,
        editor: editor::setup(context, seen),
        actions: rest,
        more,
        ..Head::default()
    };
    if let AccessLevel::Guest { until } = seen.level {
        return Head {
            shared: until.map(moment),
            ..base
        };
    }
    let idle = status.and_then(|status| status.idle.as_ref());
    Head {
        icon,
        since: short_of(status.and_then(|status| status.started_at.as_ref())),
        stops: short_of(status.and_then(|status| status.stops_at.as_ref())),
        stops_because: summary::stop_rule(workspace),
        deletion: status
            .and_then(|status| expiry::notice(&workspace.name_any(), status))
            .unwrap_or_default(),
        used: short_of(idle.and_then(|idle| idle.last_activity.as_ref())),
        ..base
    }
}

/// Whether the user may start the stopped workspace on the page that its address shows.
fn starts_at_its_address(context: &Context, seen: &VisibleWorkspace) -> bool {
    let workspace = &*seen.workspace;
    let manager = context.app.index.manager_of(workspace);
    let policy = manager.as_deref().map(Policy::from_manager).unwrap_or_default();
    let requester = Requester {
        user: &context.user.name,
        groups: &context.user.groups,
    };
    let owner = api::names::owner(&workspace.metadata).unwrap_or_default();
    let has_address = workspace
        .status
        .as_ref()
        .is_some_and(|status| status.url.is_some());
    has_address
        && progress::phase(workspace) == Phase::Stopped
        && policy.audience(requester, owner).may_start()
}

/// One sentence about a workspace that is stopped, or cannot be opened from here.
fn sentence(context: &Context, seen: &VisibleWorkspace, may: May) -> String {
    let workspace = &*seen.workspace;
    let status = workspace.status.clone().unwrap_or_default();
    let is_guest = seen.is_guest();
    let files = || Disks::from_workspace(workspace).fate(Moment::Stopped).sentence();
    match progress::phase(workspace) {
        Phase::Stopped if is_guest && may.with(seen).change => String::new(),
        Phase::Stopped if is_guest && starts_at_its_address(context, seen) => {
            "You may start it at its address.".to_owned()
        }
        Phase::Stopped if is_guest => "Only its owner and administrators may start it.".to_owned(),
        Phase::Stopped => match &status.stopped_because {
            Some(because) => {
                let when = stops::stopped(because, status.resolved.as_ref());
                format!("Stopped {when}. {}", files())
            }
            None if workspace.spec.recovery_mode => format!("It was in recovery. {}", files()),
            None => files(),
        },
        Phase::Running if status.url.is_none() && holds(&status.conditions, AVAILABLE) => {
            "It has no address of its own: open it from the application that routes to it, such as JupyterHub.".to_owned()
        }
        Phase::Deleting if is_guest => "It is being deleted.".to_owned(),
        Phase::Running | Phase::Starting | Phase::Failed if !is_guest && workspace.is_in_recovery() => {
            "It is in recovery: the home is empty, and your files are in its folder `disk`. Repair them, then start it normally.".to_owned()
        }
        _ => String::new(),
    }
}

fn pending(context: &Context, seen: &VisibleWorkspace, may: May) -> Pending {
    let workspace = &*seen.workspace;
    let fields = summary::pending(workspace);
    let can = may.with(seen).change && !fields.is_empty();
    let action = can.then(|| summary::button(context, workspace, consequence::Action::Restart));
    Pending { fields, action }
}
