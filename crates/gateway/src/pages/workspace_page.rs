//! workspace without a route -> its page: state, progress, blocker, next step (pure).

use api::condition::reason;
use api::workspace::Phase;
use axum::response::Response;
use explain::Change;
use explain::progress::STEPS;
use http::StatusCode;
use rules::access::Audience;
use serde_json::{Map, Value};

use super::message::{Action, Message, NOT_READY, Part, Step, Tone};
use super::start_steps::{ANSWERS, blocker, percent, steps_done};
use crate::index::{Domain, Target};

/// Seconds after which the page of a workspace that starts or stops loads itself anew. Pages of other states do not: their readers
/// are not disturbed.
const RELOAD: u32 = 3;

/// Text for users who may connect and not start.
pub(crate) const ONLY_OWNERS_START: &str = "Only its owner and administrators may start it.";

/// The page in place of the workspace. The status is always 503, because the request did not reach the workspace. `now`: Unix
/// seconds.
pub fn workspace_page(domain: &Domain, target: &Target, audience: Audience, now: i64) -> Response {
    message(domain, target, audience, now).respond(StatusCode::SERVICE_UNAVAILABLE)
}

fn message(domain: &Domain, target: &Target, audience: Audience, now: i64) -> Message {
    let name = target.called();
    let base = |kind, title: String, text: &str, tone| Message {
        kind,
        tone,
        account: Some(domain.auth_origin()),
        retry: Some(1),
        more: more(target, audience),
        ..Message::new(NOT_READY, title, text)
    };
    let portal = in_portal(domain, target, audience);
    let in_recovery = target.detail().in_recovery && audience == Audience::OwnerOrAdmin;
    let how = if in_recovery { " in recovery" } else { "" };
    match target.phase {
        Phase::Running => Message {
            parts: vec![Part::Percent(percent(target)), steps(ANSWERS, None)],
            reload: Some(1),
            ..base(
                "Starting",
                format!("{name} is ready"),
                "This page opens the workspace in a moment.",
                Tone::Wait,
            )
        },
        Phase::Starting => Message {
            parts: starting(target, audience, now),
            reload: Some(RELOAD),
            ..base(
                "Starting",
                format!("{name} is starting{how}"),
                &lead(target, audience),
                Tone::Wait,
            )
        },
        Phase::Stopping => {
            let again = "The workspace can be started again when it is stopped.";
            let files = files(target, audience).map(str::to_owned);
            Message {
                reload: Some(RELOAD),
                text: std::iter::once(again.to_owned()).chain(files).collect(),
                ..base("Stopping", format!("{name} is stopping"), "", Tone::Calm)
            }
        }
        Phase::Stopped => stopped(
            domain,
            target,
            (audience, portal),
            base("Stopped", format!("{name} is stopped"), "", Tone::Calm),
        ),
        Phase::Failed => {
            let solved = when_solved(target, audience).to_owned();
            let normally = in_recovery.then(|| start_normally(target));
            Message {
                parts: with_details(vec![blocker_part(target, audience), steps_of(target)], portal),
                text: std::iter::once(solved).chain(normally).collect(),
                ..base("Failed", format!("{name} cannot run{how}"), "", Tone::Bad)
            }
        }
        Phase::Invalid => Message {
            parts: with_details(vec![blocker_part(target, audience)], portal),
            ..base(
                "Not valid",
                format!("{name} is not valid"),
                "The workspace starts when this is corrected. Then reload this page.",
                Tone::Bad,
            )
        },
        Phase::Deleting => Message {
            ..base(
                "Deleted",
                format!("{name} is being deleted"),
                "The workspace cannot be opened, and its address will not work any more.",
                Tone::Calm,
            )
        },
    }
}

/// What becomes of its files, for users who may read the status.
fn files(target: &Target, audience: Audience) -> Option<&str> {
    let files = target.detail().files.as_str();
    (audience == Audience::OwnerOrAdmin && !files.is_empty()).then_some(files)
}

/// Further fields for programs. JupyterLab shows `files`.
fn more(target: &Target, audience: Audience) -> Map<String, Value> {
    let files = files(target, audience).map(|files| ("files".to_owned(), files.into()));
    super::phase(target.phase).into_iter().chain(files).collect()
}

/// The first sentence about a start.
fn lead(target: &Target, audience: Audience) -> String {
    match blocker(target) {
        None => "This page opens the workspace when it is ready.".to_owned(),
        Some(_) => format!("The start is blocked. {}", when_solved(target, audience)),
    }
}

/// What follows when the blocker is removed. Only owner and administrators see the reason.
fn when_solved(target: &Target, audience: Audience) -> &'static str {
    match blocker(target) {
        Some(word) if audience == Audience::OwnerOrAdmin && needs_restart(word) => {
            "After a change, stop and start the workspace."
        }
        _ if target.phase == Phase::Failed => "Reload this page when the problem is solved.",
        _ => "This page opens the workspace when the problem is solved.",
    }
}

/// How a run in recovery ends.
fn start_normally(target: &Target) -> String {
    let command = Change::Start.command(&target.name, &target.namespace);
    format!("To start it normally, run: {command}")
}

/// Whether a change removes the blocker with the next start alone.
fn needs_restart(name: &str) -> bool {
    reason::find(name).is_some_and(|reason| reason.state == reason::State::Blocks(reason::Step::Process))
}

fn starting(target: &Target, audience: Audience, now: i64) -> Vec<Part> {
    let elapsed = target.detail().since.map(|since| Part::Elapsed(now - since));
    let rest = [
        blocker_part(target, audience),
        Part::Percent(percent(target)),
        steps_of(target),
    ];
    elapsed.into_iter().chain(rest).collect()
}

/// Address of the workspace's page in the portal, for users who may read and change the workspace.
pub(crate) fn in_portal(domain: &Domain, target: &Target, audience: Audience) -> Option<String> {
    let origin = domain
        .portal_origin()
        .filter(|_| audience == Audience::OwnerOrAdmin)?;
    Some(format!("{origin}/w/{}/{}", target.namespace, target.name))
}

fn with_details(mut parts: Vec<Part>, portal: Option<String>) -> Vec<Part> {
    parts.extend(portal.map(|to| Part::Actions(vec![Action::link(to, "Details")])));
    parts
}

/// Why it is stopped, and how to start it. Only users who may read the status see its texts.
fn stopped(
    domain: &Domain,
    target: &Target,
    (audience, portal): (Audience, Option<String>),
    base: Message,
) -> Message {
    let why = match &target.detail().stopped_when {
        Some(when) => format!("Stopped {when}."),
        None => "Stopped.".to_owned(),
    };
    let [message, deletion] = match audience {
        Audience::OwnerOrAdmin => [&target.message, &target.detail().deletion].map(String::clone),
        Audience::Starter | Audience::Viewer => <[String; 2]>::default(),
    };
    let auth = domain.auth_origin();
    let form = Action::Form {
        get: true,
        to: format!("{auth}/start"),
        fields: vec![("host", target.site.as_str().to_owned())],
        button: "Start".to_owned(),
        plain: false,
    };
    let (who, actions, forms_to) = match (audience, portal) {
        (Audience::Viewer, _) => (ONLY_OWNERS_START, None, None),
        // The form writes as the gateway, so the API server's audit log does not name the user. The portal writes as the user.
        (_, Some(to)) if domain.portal_acts_in(&target.namespace) => {
            ("", Some(vec![Action::link(to, "Start in the portal")]), None)
        }
        (_, to) => {
            let details = to.map(|to| Action::link(to, "Details"));
            (
                "",
                Some(std::iter::once(form).chain(details).collect()),
                Some(auth),
            )
        }
    };
    Message {
        text: vec![why, message, deletion, who.to_owned()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect(),
        parts: actions.map(Part::Actions).into_iter().collect(),
        forms_to,
        ..base
    }
}

/// The blocker; empty if there is none.
fn blocker_part(target: &Target, audience: Audience) -> Part {
    let blocker = blocker(target);
    let (cause, message, remedy) = match (blocker, audience) {
        // A new pod starts. Guests see that alone.
        (None, _) | (Some(reason::EVICTED), Audience::Starter | Audience::Viewer) => {
            <(String, String, String)>::default()
        }
        (Some(_), Audience::Starter | Audience::Viewer) => (
            "The start is blocked.".to_owned(),
            String::new(),
            "The owner sees the reason and what to do on this page.".to_owned(),
        ),
        (Some(word), Audience::OwnerOrAdmin) => {
            let remedy = reason::find(word).map_or("", |reason| reason.remedy);
            (format!("{word}:"), target.message.clone(), remedy.to_owned())
        }
    };
    Part::Cause {
        cause,
        message,
        remedy,
    }
}

fn steps_of(target: &Target) -> Part {
    let (done, stuck) = steps_done(target);
    steps(done, stuck)
}

/// `done` steps are complete. Before the application runs, the step in progress is unknown: it may be any of the rest.
fn steps(done: usize, stuck: Option<usize>) -> Part {
    let step = |at: usize| match at {
        _ if Some(at) == stuck => Step::Stuck,
        _ if at < done => Step::Done,
        _ if at == done && stuck.is_none() => Step::Now,
        _ => Step::Next,
    };
    Part::Steps(
        STEPS
            .iter()
            .enumerate()
            .map(|(at, what)| (*what, step(at)))
            .collect(),
    )
}

#[cfg(test)]
#[path = "workspace_page_tests.rs"]
mod tests;
