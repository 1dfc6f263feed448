//! One workspace (pure).

use super::views::*;

use super::basics::*;
use super::{Foreign, Page};

pub(super) fn explanation(f: Foreign<'_>) -> Explanation {
    Explanation {
        findings: vec![Finding {
            tone: Tone::Bad,
            what: f("The image `registry.example.com/x:1` cannot be pulled."),
            reason: s("ImagePullFailed"),
            since: Some(noon()),
            causes: vec![Cause {
                object: f("Pod workspace-thesis"),
                field: f("status.containerStatuses[0].state.waiting.message"),
                value: f("rpc error: code = NotFound desc = not found"),
                time: Some(noon()),
            }],
            remedies: vec![
                Remedy {
                    who: s("You"),
                    what: f("Choose another image."),
                    actions: vec![first(link("Edit", "/w/team/thesis/edit"))],
                    ..Remedy::default()
                },
                Remedy {
                    who: s("An administrator"),
                    what: s("Give the namespace access to the registry."),
                    send: f("Please give namespace team access to registry.example.com."),
                    actions: Vec::new(),
                },
            ],
        }],
        unread: vec![f("quotas: you may not list them")],
    }
}

pub(super) fn progress() -> Progress {
    let step = |what: &str, state, since: Option<Moment>| Step {
        what: s(what),
        state,
        since,
    };
    Progress {
        steps: vec![
            step("Scheduling", StepState::Done, None),
            step("Attaching disk", StepState::Done, None),
            step("Pulling image", StepState::Now, Some(noon())),
            step("Starting the application", StepState::Stuck, None),
            step("Waiting for the application", StepState::Next, None),
        ],
        percent: 40,
        since: Some(noon()),
    }
}

pub(super) fn head(f: Foreign<'_>) -> Head {
    Head {
        state: state(Tone::Good, "Running"),
        applying: true,
        sentence: f("Used by alice a minute ago."),
        waiting: s(""),
        object: f("team/thesis"),
        owner: f("alice@example.com"),
        icon: Icon::Jupyterlab,
        since: Some(noon()),
        stops: Some(evening()),
        stops_because: "idle",
        used: Some(noon()),
        shared: None,
        url: f("https://thesis.example.com/"),
        editor: Some(Editor {
            login: f("kubectl workspace login https://auth.example.com"),
            by_address: f("kubectl workspace ssh https://thesis.example.com/"),
        }),
        actions: vec![
            first(link("Open", "https://thesis.example.com/")),
            link(
                "Open in VS Code",
                "vscode://vscode-remote/ssh-remote+thesis.team.workspace/home/jovyan",
            ),
            dialog("Stop…", "/w/team/thesis/stop"),
        ],
        more: vec![
            link("Edit", "/w/team/thesis/edit"),
            link("Logs", "/w/team/thesis/logs"),
            Action {
                danger: true,
                ..dialog("Delete…", "/w/team/thesis/delete")
            },
        ],
    }
}

pub(super) fn facts(f: Foreign<'_>) -> Facts {
    let value = |label: &str, effective: &str, chosen: &str, from: &str| Value {
        label: s(label),
        effective: f(effective),
        chosen: if chosen.is_empty() { s("") } else { f(chosen) },
        from: f(from),
    };
    Facts {
        values: vec![
            value(
                "Image",
                "registry.example.com/notebooks/scipy-with-a-long-name:2026.11.22",
                "",
                "Template jupyterlab",
            ),
            value("Memory", "4 GiB", "4 GiB", "Workspace"),
            value("Idle shutdown", "60 minutes", "", "Default"),
        ],
        disk: vec![
            Fact {
                label: s("Size"),
                text: f("10 GiB"),
            },
            Fact {
                label: s("When deleted"),
                text: s("The disk is deleted, too"),
            },
        ],
    }
}

pub(super) fn usage() -> Usage {
    let meter = |label: &str, used: &str, percent| Meter {
        label: s(label),
        used: s(used),
        request: s("1 core"),
        limit: s("2 cores"),
        percent,
    };
    Usage {
        meters: vec![
            meter("CPU", "0.4 cores", Some(20)),
            meter("Memory", "3.8 GiB", Some(95)),
            meter("GPU", "1", None),
        ],
        measured: Some(noon()),
        absent: s(""),
    }
}

pub(super) fn access(f: Foreign<'_>) -> Access {
    let rule = |who: &str, rule: &str, inactive: String| AccessRule {
        who: f(who),
        rule: s(rule),
        until: Some(evening()),
        inactive,
        action: None,
    };
    Access {
        rules: vec![
            rule("alice@example.com", "Owner", s("")),
            rule("bob@example.com", "Share", f("its end has passed")),
        ],
        share: s("/w/team/thesis/share"),
        note: Some(note(Tone::Warn, s("In mode Path shares do not count."))),
    }
}

pub(super) fn events(f: Foreign<'_>) -> Events {
    let event = |tone, sentence: &str, count| Event {
        tone,
        sentence: s(sentence),
        reason: f("BackOff"),
        message: f("Back-off pulling image"),
        object: f("Pod x"),
        last: short("2026-11-22T12:00:00Z", "12:00 UTC"),
        count,
    };
    Events {
        events: vec![
            event(Tone::Warn, "The image cannot be pulled.", 12),
            event(Tone::Calm, "", 1),
        ],
        absent: s(""),
    }
}

pub(super) fn workspace(f: Foreign<'_>) -> Workspace {
    Workspace {
        layout: Layout {
            above: vec![(s("Workspaces"), s("/"))],
            live: s("/events?view=workspace"),
            ..layout(f, &f("Thesis"), Nav::Workspaces)
        },
        stay: s(""),
        head: head(f),
        explanation: Explanation::default(),
        progress: Progress::default(),
        pending: Pending {
            fields: vec![f("spec.image"), f("spec.resources.limits.memory")],
            action: Some(post(f, "Restart to apply", "/w/team/thesis/restart")),
        },
        facts: Some(facts(f)),
        usage: Some(usage()),
        access: Some(access(f)),
        events: Some(events(f)),
    }
}

/// These pages in their states.
pub(super) fn pages(f: Foreign<'_>) -> Vec<Page> {
    vec![
        ("workspace", html(&workspace(f))),
        (
            "workspace-failed",
            html(&Workspace {
                head: Head {
                    state: state(Tone::Bad, "Failed"),
                    ..head(f)
                },
                explanation: explanation(f),
                usage: Some(Usage {
                    absent: s("The cluster has no metrics API."),
                    ..Usage::default()
                }),
                events: Some(Events {
                    absent: f("You may not list events here."),
                    events: vec![],
                }),
                ..workspace(f)
            }),
        ),
        (
            "workspace-starting",
            html(&Workspace {
                head: Head {
                    state: state(Tone::Wait, "Starting"),
                    ..head(f)
                },
                stay: s("/w/team/thesis"),
                progress: progress(),
                pending: Pending::default(),
                ..workspace(f)
            }),
        ),
        (
            "workspace-guest",
            html(&Workspace {
                head: Head {
                    shared: Some(evening()),
                    more: vec![],
                    actions: vec![first(link("Open", "https://x.example.com/"))],
                    ..head(f)
                },
                pending: Pending::default(),
                facts: None,
                usage: None,
                access: None,
                events: None,
                ..workspace(f)
            }),
        ),
        (
            "workspace-read-only",
            html(&Workspace {
                layout: Layout {
                    read_only: s(READ_ONLY),
                    ..workspace(f).layout
                },
                pending: Pending {
                    action: Some(command(f, "Restart")),
                    ..workspace(f).pending
                },
                head: Head {
                    actions: vec![command(f, "Start")],
                    more: vec![command(f, "Delete")],
                    ..head(f)
                },
                ..workspace(f)
            }),
        ),
    ]
}
