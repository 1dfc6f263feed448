//! Forms, questions, YAML (pure).

use super::views::*;

use super::basics::*;
use super::{Foreign, Page};

pub(super) fn fields(f: Foreign<'_>) -> Vec<Section> {
    let field = |name: &str, label: &str, input| Field {
        name: s(name),
        label: f(label),
        input,
        ..Field::default()
    };
    let card = |value: &str, title: &str, icon| Card {
        value: f(value),
        icon,
        title: f(title),
        text: f("Python 3.13, SciPy, PyTorch"),
        exact: f(value),
    };
    vec![
        Section {
            title: s(""),
            fields: vec![
                Field {
                    help: s("Shown in lists."),
                    hint: s("at most 100 characters"),
                    required: true,
                    ..field(
                        "spec.displayName",
                        "Display name",
                        Input::Text {
                            value: f("Thesis"),
                            suggestions: vec![],
                        },
                    )
                },
                Field {
                    errors: vec![f("metadata.name: `Thesis` must be lower case: write thesis")],
                    ..field(
                        "metadata.name",
                        "Name",
                        Input::Text {
                            value: f("Thesis"),
                            suggestions: vec![f("thesis-2")],
                        },
                    )
                },
            ],
        },
        Section {
            title: s("Image"),
            fields: vec![Field {
                takes_effect: s("at the next start"),
                errors: vec![f("spec.image: is not admitted")],
                ..field(
                    "spec.image",
                    "Image",
                    Input::Cards {
                        value: f("scipy:1"),
                        cards: vec![
                            card("scipy:1", "Science", Icon::Python),
                            card("r:1", "R", Icon::R),
                            card("code:1", "Editor", Icon::Code),
                        ],
                        other: Some((s("Other image"), f(""))),
                    },
                )
            }],
        },
        Section {
            title: s("Size"),
            fields: vec![
                Field {
                    hint: s("1Gi to 8Gi, default 2Gi"),
                    placeholder: f("2Gi"),
                    ..field(
                        "spec.resources.limits.memory",
                        "Memory",
                        Input::Number {
                            value: s("4Gi"),
                            slider: Some(Slider {
                                values: ["1Gi", "2Gi", "4Gi", "8Gi"].map(s).to_vec(),
                                at: 2,
                            }),
                        },
                    )
                },
                field(
                    "spec.resources.limits[nvidia.com/gpu]",
                    "GPUs",
                    Input::Choice {
                        value: s("1"),
                        choices: vec![
                            Choice {
                                value: s("0"),
                                label: f("None"),
                            },
                            Choice {
                                value: s("1"),
                                label: s("One"),
                            },
                            Choice {
                                value: s("8"),
                                label: s("Eight"),
                            },
                        ],
                    },
                ),
                Field {
                    fixed: f("A disk does not move to another class."),
                    ..field(
                        "spec.storage.storageClassName",
                        "Storage class",
                        Input::Text {
                            value: f("fast"),
                            suggestions: vec![],
                        },
                    )
                },
            ],
        },
    ]
}

pub(super) fn form(f: Foreign<'_>) -> Form {
    let problem = |field: &str, label: &str| Problem {
        field: s(field),
        label: f(label),
        text: f("must be lower case"),
    };
    Form {
        to: s("/new"),
        check: s("/new/check"),
        hidden: vec![(s("template"), f("jupyterlab"))],
        summary: Summary {
            title: s(""),
            problems: vec![
                problem("metadata.name", "Name"),
                problem("spec.image", "Image"),
                problem("", "spec.tolerations"),
            ],
            good: s(""),
        },
        sections: fields(f),
        buttons: vec![
            (s("do"), s("create"), s("Create and start")),
            (s("do"), s("create-stopped"), s("Create")),
        ],
        yaml: true,
        cancel: s("/"),
        command: s(""),
    }
}

pub(super) fn confirm(f: Foreign<'_>) -> Confirm {
    let effect = |lost, what: &str, effect: &str| Consequence {
        lost,
        what: f(what),
        effect: f(effect),
    };
    Confirm {
        layout: within(f, &f("Delete Thesis?")),
        text: vec![f("It is deleted at once. This cannot be undone.")],
        consequences: vec![
            effect(true, "Disk workspace-thesis", "10 GiB with all files"),
            effect(true, "2 shares", "they end"),
            effect(false, "Claim datasets", "it is not its own"),
        ],
        names: vec![],
        to: s("/w/team/thesis/delete"),
        hidden: vec![(s("uid"), s("u1")), (s("resourceVersion"), s("4711"))],
        typed: f("thesis"),
        error: f("`x` is not the name."),
        button: s("Delete workspace"),
        danger: true,
        cancel: s("/w/team/thesis"),
        command: s(""),
    }
}

pub(super) fn yaml(f: Foreign<'_>) -> Yaml {
    let text = f(
        "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata:\n  name: thesis\nspec:\n  displayName: Thesis\n  # image: scipy  (default)\n",
    );
    Yaml {
        layout: within(f, "YAML"),
        to: s("/new"),
        check: s("/new/check"),
        hidden: vec![(s("template"), f("jupyterlab"))],
        text,
        marks: Marks {
            marks: vec![
                Mark {
                    line: 6,
                    column: 16,
                    offset: 98,
                    path: f("spec.displayName"),
                    text: f("is too long"),
                },
                Mark {
                    text: f("cannot be read"),
                    ..Mark::default()
                },
            ],
            good: s(""),
        },
        buttons: vec![(s("do"), s("create"), s("Create"))],
        form: true,
        cancel: s("/"),
        command: s(""),
    }
}

/// These pages in their states.
pub(super) fn pages(f: Foreign<'_>) -> Vec<Page> {
    let plain_fields = || {
        fields(f)
            .into_iter()
            .map(|mut section| {
                section.fields.iter_mut().for_each(|field| field.errors.clear());
                section
            })
            .collect()
    };
    // Of the templates that are not deprecated, the last one asks for a value. The first has the focus.
    let choice = |offer: Offer| {
        let create = Action {
            focus: offer.icon == Icon::Jupyterlab,
            ..first(post(f, "Create", "/new"))
        };
        let is_complete = matches!(offer.icon, Icon::Jupyterlab | Icon::Code);
        let create = Some(create).filter(|_| is_complete);
        let actions = create.into_iter().chain([link("Customize", &offer.to)]);
        Offer {
            to: s(""),
            actions: actions.collect(),
            ..offer
        }
    };
    vec![
        (
            "choose",
            html(&Choose {
                layout: layout(f, "New workspace", Nav::New),
                namespaces: vec![
                    (f("team"), s("/new?namespace=team")),
                    (f("other"), s("/new?namespace=other")),
                ],
                namespace: f("team"),
                offers: offers(f).into_iter().map(choice).collect(),
                empty: None,
            }),
        ),
        (
            "choose-none",
            html(&Choose {
                layout: layout(f, "New workspace", Nav::New),
                empty: Some(empty(f)),
                ..Choose::default()
            }),
        ),
        (
            "new",
            html(&Edit {
                layout: layout(f, "New workspace", Nav::New),
                template: f("jupyterlab"),
                change_template: s("/new?namespace=team"),
                quotas: Some(quotas(f)),
                form: Form {
                    summary: Summary {
                        good: s("The API server would accept this."),
                        ..Summary::default()
                    },
                    sections: plain_fields(),
                    ..form(f)
                },
                kept: vec![f("spec.tolerations")],
            }),
        ),
        (
            "new-wrong",
            html(&Edit {
                layout: layout(f, "New workspace", Nav::New),
                template: f("jupyterlab"),
                quotas: Some(Quotas {
                    namespace: f("team"),
                    absent: f("You may not list quotas."),
                    ..Quotas::default()
                }),
                form: form(f),
                ..Edit::default()
            }),
        ),
        (
            "new-read-only",
            html(&Edit {
                layout: Layout {
                    read_only: s(READ_ONLY),
                    ..layout(f, "New workspace", Nav::New)
                },
                form: Form {
                    command: f("kubectl workspace create thesis"),
                    sections: plain_fields(),
                    summary: Summary::default(),
                    ..form(f)
                },
                ..Edit::default()
            }),
        ),
        (
            "edit",
            html(&Edit {
                layout: within(f, &f("Edit Thesis")),
                form: Form {
                    buttons: vec![
                        (s("do"), s("save"), s("Save")),
                        (s("do"), s("restart"), s("Save and restart")),
                    ],
                    ..form(f)
                },
                ..Edit::default()
            }),
        ),
        (
            "conflict",
            html(&Conflict {
                layout: within(f, "Another user changed it"),
                what: f("bob@example.com changed Thesis meanwhile."),
                differences: vec![Difference {
                    label: f("Memory"),
                    theirs: f("4Gi"),
                    yours: f("8Gi"),
                }],
                to: s("/w/team/thesis/edit"),
                hidden: vec![(s("spec.resources.limits.memory"), f("8Gi"))],
            }),
        ),
        ("yaml", html(&yaml(f))),
        (
            "yaml-read",
            html(&Yaml {
                to: s(""),
                marks: Marks::default(),
                ..yaml(f)
            }),
        ),
        ("delete", html(&confirm(f))),
        (
            "stop",
            html(&Confirm {
                layout: within(f, &f("Stop Thesis?")),
                text: vec![s("Kernels end, and the disk stays.")],
                to: s("/w/team/thesis/stop"),
                hidden: vec![(s("uid"), s("u1"))],
                button: s("Stop"),
                cancel: s("/w/team/thesis"),
                ..Confirm::default()
            }),
        ),
        (
            "stop-many",
            html(&Confirm {
                layout: within(f, "Stop 40 workspaces?"),
                names: (0..40).map(|n| f(&format!("team/thesis-{n}"))).collect(),
                to: s("/stop"),
                button: s("Stop 40 workspaces"),
                cancel: s("/"),
                ..Confirm::default()
            }),
        ),
        (
            "stop-read-only",
            html(&Confirm {
                command: f("kubectl workspace stop thesis"),
                typed: s(""),
                ..confirm(f)
            }),
        ),
    ]
}
