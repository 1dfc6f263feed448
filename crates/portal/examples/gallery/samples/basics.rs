//! Small parts of samples (pure).

use super::views::*;

use super::Foreign;

/// Why nothing can be changed.
pub(super) const READ_ONLY: &str =
    "The API server knows no constrained impersonation. Each action shows its command.";

pub(super) fn s(text: &str) -> String {
    text.to_owned()
}

pub(super) fn at(exact: &str, text: &str) -> Moment {
    Moment {
        exact: s(exact),
        text: s(text),
        short: false,
    }
}

pub(super) fn short(exact: &str, text: &str) -> Moment {
    Moment {
        short: true,
        ..at(exact, text)
    }
}

pub(super) fn noon() -> Moment {
    at("2026-11-22T12:00:00Z", "22 Nov 2026, 12:00 UTC")
}

pub(super) fn evening() -> Moment {
    at("2026-11-22T20:00:00Z", "22 Nov 2026, 20:00 UTC")
}

pub(super) fn layout(f: Foreign<'_>, title: &str, nav: Nav) -> Layout {
    Layout {
        title: s(title),
        product: f("Jupyter"),
        user: f("alice@example.com"),
        nav,
        help: Some((s("https://example.com/help"), f("Help"))),
        age: Some(Age {
            moment: noon(),
            reload: s("/"),
        }),
        request: s("01J9Z7M5V2"),
        ..Layout::default()
    }
}

pub(super) fn within(f: Foreign<'_>, title: &str) -> Layout {
    Layout {
        above: vec![(s("Workspaces"), s("/")), (f("Thesis"), s("/w/team/thesis"))],
        ..layout(f, title, Nav::Workspaces)
    }
}

pub(super) fn state(tone: Tone, word: &str) -> State {
    State { tone, word: s(word) }
}

pub(super) fn link(label: &str, to: &str) -> Action {
    Action {
        label: s(label),
        way: Way::Link { to: s(to) },
        ..Action::default()
    }
}

pub(super) fn first(action: Action) -> Action {
    Action {
        primary: true,
        ..action
    }
}

pub(super) fn dialog(label: &str, to: &str) -> Action {
    Action {
        label: s(label),
        way: Way::Dialog { to: s(to) },
        ..Action::default()
    }
}

pub(super) fn post(f: Foreign<'_>, label: &str, to: &str) -> Action {
    let hidden = vec![(s("resourceVersion"), s("4711")), (s("name"), f("thesis"))];
    Action {
        label: s(label),
        of: f("Thesis"),
        way: Way::Post { to: s(to), hidden },
        ..Action::default()
    }
}

pub(super) fn command(f: Foreign<'_>, label: &str) -> Action {
    Action {
        label: s(label),
        way: Way::Command {
            command: f("kubectl workspace start thesis -n team"),
        },
        ..Action::default()
    }
}

pub(super) fn note(tone: Tone, text: String) -> Note {
    Note { tone, text }
}

pub(super) fn html(page: &impl askama::Template) -> String {
    page.render().unwrap_or_else(|error| error.to_string())
}

pub(super) fn quotas(f: Foreign<'_>) -> Quotas {
    let line = |resource: &str, tone| QuotaLine {
        quota: f("team"),
        resource: f(resource),
        used: s("12Gi"),
        hard: s("16Gi"),
        percent: Some(75),
        tone,
    };
    Quotas {
        namespace: f("team"),
        lines: vec![
            line("requests.memory", Tone::Calm),
            line("requests.nvidia.com/gpu", Tone::Warn),
        ],
        absent: s(""),
    }
}

pub(super) fn offers(f: Foreign<'_>) -> Vec<Offer> {
    let offer = |title: &str, icon, deprecated: String| Offer {
        to: s("/new?template=x"),
        icon,
        title: f(title),
        text: f("For data analysis with Python."),
        name: f("jupyterlab"),
        deprecated,
        actions: vec![],
    };
    vec![
        offer("JupyterLab", Icon::Jupyterlab, s("")),
        offer("Editor", Icon::Code, s("")),
        offer("JupyterLab with GPU", Icon::Gpu, s("")),
        offer(
            "Old",
            Icon::Generic,
            f("Deprecated: too old. Use `jupyterlab` instead."),
        ),
    ]
}

pub(super) fn empty(f: Foreign<'_>) -> Empty {
    Empty {
        title: s("You may not create workspaces yet"),
        text: vec![s(
            "Ask an administrator for the right to create workspaces in a namespace. Send this name:",
        )],
        copy: f("oidc:alice@example.com"),
        actions: vec![link("Who am I", "/account")],
    }
}
