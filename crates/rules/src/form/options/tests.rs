//! Templates with options and what is chosen -> fields, and what is cleared (tests).

use api::Workspace;
use serde_json::{Value, json};
use testkit::random as objects;

use super::*;
use crate::form::{Form, Offer, Values, filled, form, not_shown};
use crate::settings::Settings;

/// The form with these chosen options.
fn form_with(workspace: Option<&Workspace>, options: &BTreeMap<String, String>) -> Form {
    let template = objects::template(&with_options());
    let offer = Offer {
        template: Some(&template),
        settings: &Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap(),
        options,
    };
    form(&offer, workspace)
}

fn workspace_of(options: &[(&str, &str)]) -> Workspace {
    let spec = json!({"displayName": "d", "templateRef": "t", "options": chosen(options)});
    serde_json::from_value(json!({"metadata": {"name": "demo"}, "spec": spec})).unwrap()
}

/// A template whose second option depends on the first, and whose third has no default.
fn with_options() -> Value {
    let gpu = |name: &str| json!({"gpu": [name]});
    json!({
        "displayName": "t", "defaultImage": "uv", "defaultResources": {"limits": {"memory": "1Gi"}},
        "environmentVariables": [{"name": "ROOM", "value": "{lab.room}"}],
        "options": [
            {"name": "gpu", "choices": [
                {"name": "none", "default": true},
                {"name": "t4", "set": {"resources": {"limits": {"memory": "8Gi"}}, "image": "r/cuda:1", "variables": {"lab.room": "7"}}},
                {"name": "a100"},
                {"name": "k80"},
            ]},
            {"name": "part", "when": {"gpu": ["a100", "k80"]}, "choices": [
                {"name": "all", "default": true}, {"name": "small", "when": gpu("a100")}, {"name": "old", "when": gpu("k80")},
            ]},
            {"name": "course", "choices": [{"name": "ml"}, {"name": "physics"}]},
        ],
        "presentation": {"options": {
            "gpu": {"displayName": "GPU", "description": "What computes.", "choices": {
                "a100": {"displayName": "NVIDIA A100", "description": "80 GB."},
                "k80": {"displayName": "NVIDIA K80", "description": "12 GB.", "deprecated": "It is removed in May."},
            }},
        }},
    })
}

fn chosen(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn choices<'a>(form: &'a Form, path: &str) -> Vec<&'a str> {
    match form.field(path).map(|field| &field.kind) {
        Some(Kind::Option(choices)) => choices.iter().map(|it| it.value.as_str()).collect(),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn an_option_is_a_field_with_the_texts_and_choices_that_are_left() {
    let form = form_with(None, &BTreeMap::new());
    let gpu = form.field("spec.options[gpu]").unwrap();
    assert_eq!((&*gpu.label, &*gpu.help), ("GPU", "What computes."));
    assert_eq!((gpu.default.as_deref(), gpu.is_required), (Some("none"), false));
    assert_eq!(choices(&form, "spec.options[gpu]"), ["none", "t4", "a100"]);
    assert_eq!(form.field("spec.options[part]"), None, "hidden by its condition");
    let course = form.field("spec.options[course]").unwrap();
    assert!(course.is_required && course.default.is_none() && course.label == "course");
    let form = form_with(None, &chosen(&[("gpu", "a100")]));
    assert_eq!(choices(&form, "spec.options[part]"), ["all", "small"]);
    let Kind::Option(of_gpu) = &form.field("spec.options[gpu]").unwrap().kind else {
        unreachable!()
    };
    assert_eq!(
        of_gpu.last(),
        Some(&Choice {
            value: "a100".to_owned(),
            label: "NVIDIA A100".to_owned(),
            help: "80 GB.".to_owned(),
        })
    );
}

#[test]
fn what_a_choice_sets_is_the_default_of_other_fields() {
    let defaults = |options: &[(&str, &str)]| {
        let form = form_with(None, &chosen(options));
        let paths = [
            "spec.image",
            "spec.resources.limits.memory",
            "spec.variables[lab.room]",
        ];
        paths.map(|path| {
            let field = form.field(path).unwrap();
            (field.default.clone(), field.is_required)
        })
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        defaults(&[]),
        [(some("uv"), false), (some("1Gi"), false), (None, true)]
    );
    assert_eq!(
        defaults(&[("gpu", "t4")]),
        [
            (some("r/cuda:1"), false),
            (some("8Gi"), false),
            (some("7"), false)
        ]
    );
}

#[test]
fn a_deprecated_choice_stays_for_who_has_it_with_its_text() {
    let lab = workspace_of(&[("gpu", "k80"), ("course", "ml")]);
    // Also while another one is chosen in the form: its user may change back.
    for options in [
        lab.spec.options.clone(),
        chosen(&[("gpu", "t4"), ("course", "ml")]),
    ] {
        let form = form_with(Some(&lab), &options);
        let Kind::Option(choices) = &form.field("spec.options[gpu]").unwrap().kind else {
            unreachable!()
        };
        let own = choices.iter().find(|choice| choice.value == "k80").unwrap();
        assert_eq!(own.help, "12 GB. Deprecated: It is removed in May.");
    }
    let other = workspace_of(&[("course", "ml")]);
    let form = form_with(Some(&other), &other.spec.options);
    assert_eq!(choices(&form, "spec.options[gpu]"), ["none", "t4", "a100"]);
}

#[test]
fn a_default_that_is_not_offered_counts_all_the_same() {
    let mut template = objects::template(&with_options());
    let presentation = json!({"options": {"gpu": {"choices": {"none": {"hidden": true}}}}});
    template.spec.presentation = serde_json::from_value(presentation).unwrap();
    let settings = Settings::parse("{defaultImage: d:1}").unwrap();
    let offer = Offer {
        template: Some(&template),
        settings: &settings,
        options: &chosen(&[("gpu", "t4")]),
    };
    let form = form(&offer, None);
    assert_eq!(choices(&form, "spec.options[gpu]"), ["t4", "a100", "k80"]);
    let gpu = form.field("spec.options[gpu]").unwrap();
    assert_eq!((gpu.default.as_deref(), gpu.is_required), (Some("none"), false));
}

#[test]
fn a_choice_for_which_others_leave_no_room_is_cleared_with_a_word_and_a_hidden_one_without() {
    let template = objects::template(&with_options()).spec;
    let stored = chosen(&[("course", "ml"), ("gpu", "a100"), ("part", "small")]);
    let choose = |sent: &[(&str, &str)]| {
        let found = choose(&template, &stored, &chosen(sent));
        let cleared: Vec<_> = found.cleared.iter().map(|it| it.field.clone()).collect();
        (found.options, cleared)
    };
    // A browser sends every control.
    let (options, cleared) = choose(&[("gpu", "k80"), ("part", "small"), ("course", "ml")]);
    assert_eq!(options, chosen(&[("course", "ml"), ("gpu", "k80")]));
    assert_eq!(cleared, ["spec.options[part]"]);
    let (options, cleared) = choose(&[("gpu", "t4"), ("part", "small"), ("course", "ml")]);
    assert_eq!(options, chosen(&[("course", "ml"), ("gpu", "t4")]));
    assert!(cleared.is_empty(), "{cleared:?}");
    // The default is no value of the workspace. Unknown choices are the webhook's to refuse.
    let (options, _) = choose(&[("gpu", ""), ("part", ""), ("course", "art")]);
    assert_eq!(options, chosen(&[("course", "art")]));
    assert_eq!(
        choose(&[("gpu", "a100"), ("part", "old")]).1,
        ["spec.options[part]"]
    );
    // The control: what goes together stays, also if nothing is sent.
    assert_eq!(choose(&[("course", "physics")]).0["part"], "small");
    assert_eq!(choose(&[]).0, stored);
    let impossible = chosen(&[("gpu", "t4"), ("part", "small")]);
    let kept = crate::form::choose(&template, &impossible, &impossible);
    assert_eq!(
        kept.options, impossible,
        "without a change the webhook has the word"
    );
    let of_another_template = chosen(&[("gpu", "t4"), ("queue", "fast")]);
    let kept = crate::form::choose(&template, &of_another_template, &BTreeMap::new());
    assert_eq!(
        (kept.options, kept.cleared),
        (chosen(&[("gpu", "t4")]), Vec::new())
    );
}

#[test]
fn options_without_a_control_are_told_and_kept() {
    let lab = workspace_of(&[("gpu", "t4"), ("part", "small")]);
    let form = form_with(Some(&lab), &lab.spec.options);
    assert_eq!(not_shown(&form, &lab), ["spec.options[part]"]);
    let changed = filled(&form, &Values(chosen(&[("spec.displayName", "x")])), &lab).workspace;
    assert_eq!(changed.spec.options, lab.spec.options);
}
