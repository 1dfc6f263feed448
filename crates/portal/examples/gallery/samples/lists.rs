//! Lists of workspaces (pure).

use super::views::*;

use super::basics::*;
use super::{Foreign, Page};

pub(super) fn row(f: Foreign<'_>, uid: &str, display: &str, state: State) -> Row {
    Row {
        uid: s(uid),
        namespace: f("team"),
        name: f("thesis"),
        display: f(display),
        to: s("/w/team/thesis"),
        state,
        icon: Icon::Jupyterlab,
        image: f("JupyterLab with PyTorch"),
        exact: f("registry.example.com/notebooks/pytorch:2026"),
        size: vec![s("2 CPU"), s("4 GiB"), s("1 GPU")],
        more: vec![
            link("Edit", "/w/team/thesis/edit"),
            link("Share", "/w/team/thesis/share"),
            Action {
                danger: true,
                ..dialog("Delete…", "/w/team/thesis/delete")
            },
        ],
        select: Some(s("team/thesis")),
        ..Row::default()
    }
}

pub(super) fn rows(f: Foreign<'_>) -> Rows {
    let running = Row {
        since: Some(short("2026-11-22T09:00:00Z", "22 Nov, 09:00 UTC")),
        stops: Some(short("2026-11-22T20:00:00Z", "22 Nov, 20:00 UTC")),
        stops_because: "maximum age",
        action: Some(first(link("Open", "https://thesis.example.com/"))),
        ..row(f, "u1", "Thesis", state(Tone::Good, "Running"))
    };
    let failed = Row {
        reason: f(
            "Back-off pulling image `registry.example.com/research/notebooks/scipy:2026`: \
             ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image: not found",
        ),
        owner: f("bob@example.com"),
        action: Some(first(link("See why", "/w/team/b"))),
        select: Some(s("")),
        ..row(
            f,
            "u2",
            "Numerical weather prediction, second attempt with the large model",
            state(Tone::Bad, "Failed"),
        )
    };
    let stopped = Row {
        action: Some(post(f, "Start", "/w/team/c/start")),
        icon: Icon::Code,
        ..row(f, "u3", "Course 7", state(Tone::Calm, "Stopped"))
    };
    let starting = Row {
        action: Some(link("See progress", "/w/team/d")),
        icon: Icon::R,
        ..row(f, "u4", "Statistics", state(Tone::Wait, "Starting"))
    };
    let guest = Row {
        owner: f("carol@example.com"),
        shared: Some(short("2026-11-23T12:00:00Z", "23 Nov, 12:00 UTC")),
        action: Some(link("Open", "https://x.example.com/")),
        more: vec![],
        select: Some(s("")),
        ..row(f, "u5", "Shared experiment", state(Tone::Good, "Running"))
    };
    Rows {
        caption: s("Your workspaces"),
        empty: None,
        columns: [
            Column {
                to: s("/?sort=-name"),
                sort: Sort::Ascending,
            },
            Column {
                to: s("/?sort=state"),
                sort: Sort::None,
            },
            Column::default(),
            Column {
                to: s("/?sort=since"),
                sort: Sort::None,
            },
        ],
        rows: vec![running, failed, stopped, starting, guest],
        single: false,
        select: true,
        pages: Pages {
            first: 1,
            last: 50,
            total: 120,
            previous: s(""),
            next: s("/?page=2"),
        },
        waiting: s("Rights in 3 more namespaces are asked for."),
    }
}

pub(super) fn counts() -> Counts {
    let count = |label: &str, count, current| Count {
        label: s(label),
        count,
        to: s("/?state=x"),
        current,
    };
    Counts {
        counts: vec![
            count("All", 120, true),
            count("Running", 7, false),
            count("Needs attention", 1, false),
        ],
    }
}

pub(super) fn bulk() -> Bulk {
    Bulk {
        hidden: vec![(s("from"), s("/"))],
    }
}

pub(super) fn list(f: Foreign<'_>) -> List {
    let select = |name: &str, label: &str| Select {
        name: s(name),
        label: s(label),
        options: vec![(s(""), s("Any")), (f("a"), f("First"))],
        value: s(""),
    };
    List {
        layout: Layout {
            live: s("/events?view=list"),
            notice: f("Maintenance on Friday from 18:00."),
            notes: vec![note(Tone::Good, f("Thesis is starting."))],
            ..layout(f, "Workspaces", Nav::Workspaces)
        },
        search: f("the"),
        filters: vec![
            select("owner", "Whose"),
            select("namespace", "Namespace"),
            select("state", "State"),
            select("template", "Template"),
        ],
        keep: vec![(s("sort"), f("name"))],
        clear: s("/"),
        counts: counts(),
        rows: rows(f),
        bulk: Some(bulk()),
    }
}

/// These pages in their states.
pub(super) fn pages(f: Foreign<'_>) -> Vec<Page> {
    let single = Row {
        action: Some(first(link("Open", "https://x.example.com/"))),
        since: Some(noon()),
        select: None,
        ..row(f, "u1", "Thesis", state(Tone::Good, "Running"))
    };
    vec![
        ("list", html(&list(f))),
        (
            "list-single",
            html(&List {
                rows: Rows {
                    single: true,
                    select: false,
                    rows: vec![single],
                    pages: Pages::default(),
                    waiting: s(""),
                    ..rows(f)
                },
                filters: vec![],
                bulk: None,
                ..list(f)
            }),
        ),
        (
            "list-empty",
            html(&List {
                rows: Rows {
                    empty: Some(empty(f)),
                    ..rows(f)
                },
                filters: vec![],
                bulk: None,
                ..list(f)
            }),
        ),
        (
            "list-nothing-found",
            html(&List {
                rows: Rows {
                    empty: Some(Empty {
                        title: s("Nothing found"),
                        text: vec![f("No workspace matches `the`.")],
                        actions: vec![link("Clear filters", "/")],
                        copy: s(""),
                    }),
                    ..rows(f)
                },
                bulk: None,
                ..list(f)
            }),
        ),
        (
            "list-stale",
            html(&List {
                layout: Layout {
                    stale: Stale {
                        why: s("The API server does not answer."),
                        now: s("Changes may fail."),
                    },
                    ..list(f).layout
                },
                ..list(f)
            }),
        ),
        (
            "namespace",
            html(&Namespace {
                layout: layout(f, &f("Namespace team"), Nav::None),
                quotas: Some(quotas(f)),
                counts: counts(),
                rows: rows(f),
                bulk: Some(bulk()),
                actions: Actions {
                    actions: vec![dialog("Stop all 7…", "/stop?namespace=team")],
                },
            }),
        ),
        (
            "bulk",
            html(&BulkProgress {
                layout: layout(f, "Stopping 40 workspaces", Nav::None),
                result: BulkResults {
                    done: 12,
                    total: 40,
                    sentence: s("12 of 40 are stopped, 1 failed."),
                    results: vec![
                        BulkResult {
                            name: f("team/a"),
                            to: s("/w/team/a"),
                            state: state(Tone::Bad, "Failed"),
                            reason: f("admission webhook denied the request"),
                        },
                        BulkResult {
                            name: f("team/b"),
                            to: s("/w/team/b"),
                            state: state(Tone::Good, "Stopped"),
                            reason: s(""),
                        },
                    ],
                    end: Some(post(f, "End here", "/namespaces/team/stop/end")),
                },
                back: link("Back", "/namespaces/team"),
            }),
        ),
    ]
}
