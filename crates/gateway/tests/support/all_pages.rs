//! Every page of the gateway, with its subject.

use std::sync::Arc;

use api::workspace::{AccessType, Phase};
use axum::response::Response;
use gateway::index::{Domain, StatusDetail, Target};
use gateway::pages::{self, Account, Another, Offer, Shelf};
use http::StatusCode;
use rules::access::Audience;

use super::fixture;

pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn domain() -> Domain {
    Domain::new("ws.example", 8443)
}

pub(crate) fn target(phase: Phase, reason: &str, message: &str) -> Target {
    Target {
        name: "seismic-lab".into(),
        phase,
        message: message.into(),
        status_detail: Some(Arc::new(StatusDetail {
            reason: reason.into(),
            since: Some(NOW - 12),
            ..StatusDetail::default()
        })),
        ..fixture::target("seismic-lab-abc.ws.example", "alice", AccessType::OwnerOnly)
    }
}

fn account(user_name: &str) -> Account<'_> {
    Account {
        user_name,
        provider: Some("University"),
        leads_to: "https://identity.example",
    }
}

const NOTHING: Shelf<'static> = Shelf {
    groups: Vec::new(),
    left_out: 0,
    without_public: true,
};

/// The first page of a user who has a workspace of each kind, and more than are listed.
pub(crate) fn signed_in(user_name: &str) -> Response {
    let named = |name: &str, phase| Target {
        name: name.into(),
        ..target(phase, "", "")
    };
    let own = [
        named(
            "a-name-that-is-as-long-as-they-get-on-any-page-of-this-site",
            Phase::Running,
        ),
        Target {
            display_name: Some("Waves & <quakes>".into()),
            ..named("seismic-lab", Phase::Stopped)
        },
        named("teaching", Phase::Failed),
    ];
    let theirs = [named("results", Phase::Starting)];
    let groups = [
        ("Your workspaces", own.iter().collect()),
        ("Shared with you", theirs.iter().collect()),
    ];
    let shelf = Shelf {
        groups: groups.into(),
        left_out: 12,
        without_public: true,
    };
    pages::signed_in(&domain(), account(user_name), Some(&shelf))
}

pub(crate) fn with(target: Target, change: impl FnOnce(&mut StatusDetail)) -> Target {
    let mut status_detail = target.status_detail.as_deref().cloned().unwrap_or_default();
    change(&mut status_detail);
    Target {
        status_detail: Some(Arc::new(status_detail)),
        ..target
    }
}

pub(crate) const NO_IMAGE: &str =
    "The image \"registry.example/lab:v9\" cannot be pulled: not found. Correct name and tag.";

/// All of them, by name.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(crate) fn all() -> Vec<(&'static str, Response)> {
    let domain = domain();
    let state = |target: Target, audience| pages::workspace_page(&domain, &target, audience, NOW);
    let keeper = |target| state(target, Audience::OwnerOrAdmin);
    let failed = || target(Phase::Starting, "ImagePullFailed", NO_IMAGE);
    let stopped = || target(Phase::Stopped, "Stopped", "No pod is left; the disk is kept.");
    vec![
        (
            "starting",
            keeper(target(
                Phase::Starting,
                "Starting",
                "Waiting for the pod to be ready.",
            )),
        ),
        (
            "starting-late",
            keeper(with(target(Phase::Starting, "Starting", ""), |status_detail| {
                status_detail.since = Some(NOW - 200);
                status_detail.started = true;
            })),
        ),
        ("starting-stuck", keeper(failed())),
        ("starting-stuck-guest", state(failed(), Audience::Viewer)),
        (
            "unschedulable",
            keeper(target(
                Phase::Failed,
                "Unschedulable",
                "0/3 nodes are available: 3 Insufficient cpu.",
            )),
        ),
        ("ready", keeper(target(Phase::Running, "", ""))),
        ("stopping", keeper(target(Phase::Stopping, "", ""))),
        ("stopped", keeper(stopped())),
        (
            "stopped-idle",
            keeper(with(stopped(), |status_detail| {
                status_detail.stopped_when = Some("after 60 min without use".to_owned());
            })),
        ),
        (
            "invalid",
            keeper(target(
                Phase::Invalid,
                "TemplateNotFound",
                "The WorkspaceTemplate \"large\" does not exist.",
            )),
        ),
        ("deleting", keeper(target(Phase::Deleting, "", ""))),
        ("start", pages::start_form(&domain, &stopped(), "alice")),
        ("denied", pages::denied(&domain)),
        ("unavailable", pages::Failure::Unavailable.answer()),
        (
            "denied-to",
            pages::denied_to(&domain, account("alice@example.org"), Another::Choosing("x")),
        ),
        (
            "denied-to-one-account",
            pages::denied_to(
                &domain,
                account("alice@example.org"),
                Another::SigningOut(Some("x")),
            ),
        ),
        (
            "denied-to-one-account-long-link",
            pages::denied_to(&domain, account("alice@example.org"), Another::SigningOut(None)),
        ),
        (
            "link-too-long",
            pages::link_too_long(
                "https://lab.ws.example/",
                format!("https://lab.ws.example/lab?x={}", "\"a&".repeat(1_000)),
            ),
        ),
        (
            "link-too-long-to-show",
            pages::link_too_long(
                "https://lab.ws.example/",
                format!("https://lab.ws.example/lab?x={}", "&".repeat(9_000)),
            ),
        ),
        ("on-to-another", pages::on_to_another("/enter?t=x&as=another")),
        ("no-provider", pages::unreachable("Keycloak", None)),
        (
            "no-provider-again",
            pages::unreachable("Keycloak", Some("/enter?t=x")),
        ),
        ("signed-in", signed_in("alice@example.org")),
        (
            "signed-in-unknown",
            pages::signed_in(&domain, account("alice@example.org"), None),
        ),
        (
            "signed-in-nothing",
            pages::signed_in(&domain, account("alice@example.org"), Some(&NOTHING)),
        ),
        (
            "signed-out",
            pages::signed_out(&[Offer {
                title: "Sign in",
                link: Some("/sign-in".into()),
            }]),
        ),
        (
            "choice",
            pages::choice(&[
                Offer {
                    title: "University",
                    link: Some("/enter?t=x&with=one".into()),
                },
                Offer {
                    title: "Partners",
                    link: None,
                },
            ]),
        ),
        (
            "program",
            pages::program_form(
                &domain,
                pages::Program {
                    name: "kubectl workspace on a laptop",
                    origin: Some("http://127.0.0.1:4000".into()),
                    fields: vec![("port", "4000".into())],
                },
                "alice",
                NOW + 3600,
            ),
        ),
        ("program-code", pages::program_code(&domain, &"c".repeat(430))),
        (
            "not-admitted",
            pages::not_admitted("alice@example.org", "University", "/enter?t=x&again"),
        ),
        (
            "cookies-blocked",
            pages::message_with_link(
                StatusCode::BAD_REQUEST,
                "Cookies are blocked",
                "Your browser does not keep this site's cookies.",
                "https://lab.ws.example/".into(),
                "Try again",
            ),
        ),
        (
            "problem",
            pages::problem(
                StatusCode::FORBIDDEN,
                "CrossOrigin",
                "The request comes from a page of another origin.",
            ),
        ),
    ]
    .into_iter()
    .chain(
        [
            400, 401, 403, 404, 405, 413, 418, 421, 429, 431, 500, 502, 503, 504,
        ]
        .map(|code| {
            let mut blank = Response::default();
            *blank.status_mut() = StatusCode::from_u16(code).unwrap();
            ("blank", blank)
        }),
    )
    .collect()
}
