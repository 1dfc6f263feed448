//! Shares, logs, templates, account, messages (pure).

use super::views::*;

use super::basics::*;
use super::{Foreign, Page};

pub(super) fn shares(f: Foreign<'_>) -> Shares {
    let share = |with: &str, state, why: String| Share {
        name: f("thesis-bob"),
        kind: s("User"),
        with: f(with),
        state,
        why,
        until: Some(evening()),
        reason: f("Review of chapter 2"),
        actions: vec![post(f, "Prolong by a day", "/p"), dialog("End…", "/e")],
    };
    Shares {
        layout: within(f, &f("Share Thesis")),
        list: ShareList {
            shares: vec![
                share("oidc:bob@example.com", state(Tone::Good, "Active"), s("")),
                share(
                    "oidc:carol@example.com",
                    state(Tone::Warn, "Not active"),
                    f("It has ended."),
                ),
            ],
        },
        form: Some(Form {
            sections: vec![Section {
                title: s(""),
                fields: vec![
                    Field {
                        name: s("kind"),
                        label: s("With"),
                        input: Input::Choice {
                            value: s("User"),
                            choices: vec![Choice {
                                value: s("User"),
                                label: s("a user"),
                            }],
                        },
                        ..Field::default()
                    },
                    Field {
                        name: s("name"),
                        label: s("Exact name"),
                        required: true,
                        ..Field::default()
                    },
                ],
            }],
            buttons: vec![(s(""), s(""), s("Share"))],
            to: s("/w/team/thesis/share"),
            ..Form::default()
        }),
        note: Some(note(Tone::Warn, s("In mode Path shares do not count."))),
        link: f("https://thesis.example.com/"),
    }
}

pub(super) fn logs(f: Foreign<'_>) -> Logs {
    Logs {
        layout: within(f, "Logs"),
        containers: vec![Container {
            name: f("workspace"),
            label: f("workspace (running)"),
        }],
        container: s("workspace"),
        previous: false,
        has_previous: true,
        lines: (1..60)
            .map(|n| {
                f(&format!(
                    "[I 2026-11-22 12:00:{n:02} ServerApp] 200 GET /api/status (alice@127.0.0.1) {n}.31ms"
                ))
            })
            .collect(),
        cut: s("Earlier lines are left out."),
        last: f("2026-11-22T16:02:00Z~1"),
        stream: s("/w/team/thesis/logs/stream"),
        download: s("/w/team/thesis/logs.txt"),
        reload: s("/w/team/thesis/logs"),
        absent: None,
    }
}

pub(super) fn template(f: Foreign<'_>) -> Template {
    Template {
        layout: Layout {
            above: vec![(s("Templates"), s("/templates"))],
            ..layout(f, &f("JupyterLab"), Nav::Templates)
        },
        icon: Icon::Jupyterlab,
        text: f("For data analysis with Python."),
        name: f("jupyterlab"),
        deprecated: f("Use `jupyterlab-2`."),
        images: vec![Card {
            value: s("x"),
            icon: Icon::Python,
            title: f("Science"),
            text: f("Python 3.13"),
            exact: f("registry.example.com/scipy:1"),
        }],
        bounds: vec![
            Bounds {
                label: s("Memory"),
                allowed: f("1 to 8 GiB"),
                default: f("2 GiB"),
            },
            Bounds {
                label: s("GPUs"),
                allowed: s("0 to 1"),
                default: s(""),
            },
        ],
        facts: vec![Fact {
            label: s("Used by"),
            text: s("12 workspaces"),
        }],
        actions: vec![first(link("New workspace", "/new?template=jupyterlab"))],
    }
}

pub(super) fn account(f: Foreign<'_>) -> Account {
    Account {
        layout: layout(f, "Account", Nav::Account),
        name: f("oidc:alice@example.com"),
        groups: vec![f("oidc:researchers"), f("oidc:team-a")],
        session_end: Some(evening()),
        commands: vec![Command {
            what: s("List your workspaces:"),
            command: f("kubectl get workspaces -n team"),
        }],
        namespaces: vec![(f("team"), s("/namespaces/team"))],
        sign_out: Some(post(f, "Sign out", "/sign-out")),
        note: None,
    }
}

pub(super) fn message(f: Foreign<'_>) -> Message {
    Message {
        typed: f("spec.displayName: Thesis"),
        layout: Layout {
            age: None,
            ..layout(f, "This cannot be done", Nav::None)
        },
        tone: Tone::Bad,
        kind: s("Forbidden"),
        why: vec![f("You may not stop workspaces in `team`.")],
        server: f("workspaces.workspaces.jupyter.org \"thesis\" is forbidden"),
        now: vec![s("Ask an administrator of the namespace.")],
        actions: vec![first(link("Back", "/"))],
    }
}

/// These pages in their states.
pub(super) fn pages(f: Foreign<'_>) -> Vec<Page> {
    vec![
        ("share", html(&shares(f))),
        (
            "share-none",
            html(&Shares {
                list: ShareList::default(),
                form: None,
                note: None,
                link: s(""),
                ..shares(f)
            }),
        ),
        ("logs", html(&logs(f))),
        (
            "logs-absent",
            html(&Logs {
                absent: Some(note(
                    Tone::Warn,
                    f("You may not read logs here. Ask for `userNamespaces[].logs`."),
                )),
                ..logs(f)
            }),
        ),
        (
            "templates",
            html(&Templates {
                layout: layout(f, "Templates", Nav::Templates),
                offers: offers(f),
                empty: None,
            }),
        ),
        (
            "templates-none",
            html(&Templates {
                layout: layout(f, "Templates", Nav::Templates),
                offers: vec![],
                empty: Some(empty(f)),
            }),
        ),
        ("template", html(&template(f))),
        ("account", html(&account(f))),
        ("message", html(&message(f))),
        (
            "message-signed-out",
            html(&Message {
                layout: Layout {
                    user: s(""),
                    request: s(""),
                    ..message(f).layout
                },
                ..message(f)
            }),
        ),
    ]
}
