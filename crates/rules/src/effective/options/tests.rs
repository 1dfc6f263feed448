//! Choices of workspaces, by examples.

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceTemplate};
use serde_json::{Value, json};
use testkit::random::{self, SETTINGS, manager};

use super::*;
use crate::admission::References;
use crate::{Settings, ValidationResult, admit, judge};

/// A form of two drop-downs: the second depends on the first.
fn form() -> Value {
    json!([
        {"name": "gpu", "choices": [
            {"name": "none", "default": true},
            {"name": "a100", "set": {
                "image": "r/cuda:1", "nodeSelector": {"pool": "a100"}, "variables": {"course": "gpu"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }},
            {"name": "h100", "set": {"nodeSelector": {"pool": "h100"}}},
        ]},
        {"name": "share", "when": {"gpu": ["a100", "h100"]}, "choices": [
            {"name": "whole", "set": {"env": [{"name": "SHARE", "value": "whole"}]}},
            {"name": "slice", "when": {"gpu": ["a100"]}, "set": {"podLabels": {"share": "slice"}}},
        ]},
    ])
}

fn map(value: Value) -> BTreeMap<String, String> {
    serde_json::from_value(value).unwrap()
}

pub(super) fn template(mut spec: Value) -> WorkspaceTemplate {
    spec["displayName"] = json!("t");
    if spec["defaultImage"].is_null() {
        spec["defaultImage"] = json!("r/plain:1");
    }
    serde_json::from_value(json!({"metadata": {"name": "t", "uid": "t-1"}, "spec": spec})).unwrap()
}

fn workspace(mut spec: Value) -> Workspace {
    spec["displayName"] = json!("d");
    random::workspace(spec, true)
}

fn settings() -> Settings {
    Settings::parse(SETTINGS).unwrap()
}

pub(super) fn judged(workspace: &Workspace, template: &WorkspaceTemplate) -> ValidationResult {
    let manager = manager();
    let references = References::managed_by([&manager]).with_template(Some(template));
    judge(workspace, &references, &settings())
}

fn refusals(options: Value, given: Value) -> Vec<String> {
    let spec = template(json!({"options": options})).spec;
    let found = resolve(&spec, &map(given)).violations;
    found.iter().map(ToString::to_string).collect()
}

/// Plugin, hub and webhook are tested with the same words.
#[test]
fn a_refusal_names_field_value_rule_and_the_choices_left() {
    let record: Value = serde_json::from_str(include_str!("../../../tests/refused_options.json")).unwrap();
    for row in record["refused"].as_array().unwrap() {
        let found = refusals(record["options"].clone(), row["given"].clone());
        assert_eq!(json!(found), json!([row["refusal"]]), "{row}");
    }
    for given in [
        json!({}),
        json!({"gpu": "none"}),
        json!({"gpu": "h100", "share": "whole"}),
        json!({"gpu": "a100", "share": "slice"}),
    ] {
        assert_eq!(refusals(form(), given.clone()), [""; 0], "{given}");
    }
    let none = refusals(json!([]), json!({"gpu": "a100"}));
    assert!(
        none[0].ends_with("because it has no options: leave it out"),
        "{none:?}"
    );
    // What depends on a wrong choice is not reported besides.
    assert_eq!(refusals(form(), json!({"gpu": "k80", "share": "slice"})).len(), 1);
}

#[test]
fn the_presentation_withdraws_a_choice_from_all_who_do_not_have_it() {
    let spec = template(json!({
        "options": form(),
        "presentation": {"options": {"gpu": {"displayName": "Accelerator", "choices": {
            "a100": {"displayName": "NVIDIA A100", "deprecated": "They go in June."}, "h100": {"hidden": true},
        }}}},
    }))
    .spec;
    let names = |given: Value| {
        let given = map(given);
        let offered = offered(&spec, &given);
        let names = |it: &Offered<'_>| it.choices.iter().map(|it| it.name.to_owned()).collect::<Vec<_>>();
        offered.iter().map(names).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({})), [["none"]]);
    let with_it = names(json!({"gpu": "a100"}));
    assert_eq!(with_it, [["none", "a100"], ["whole", "slice"]]);
    let given = map(json!({"gpu": "a100", "share": "slice"}));
    let shown = offered(&spec, &given);
    assert_eq!(shown[0].display_name, "Accelerator");
    let chosen = shown[0].chosen().unwrap();
    assert_eq!(
        (chosen.display_name, chosen.deprecated),
        ("NVIDIA A100", Some("They go in June."))
    );
    assert_eq!(shown[1].chosen().unwrap().name, "slice");
    assert_eq!(resolve(&spec, &given).violations, Vec::new());
    let refused = resolve(&spec, &map(json!({"gpu": "k80"}))).violations;
    assert_eq!(
        refused[0].to_string(),
        r#"spec.options[gpu]: "k80" is not a choice of this option: choose one of none"#
    );
    let images: Vec<_> = offered_images(&spec).iter().map(|(_, image)| *image).collect();
    assert_eq!(images, [""; 0]);
}

#[test]
fn choices_change_defaults_and_a_workspace_s_own_fields_win() {
    let template = template(json!({
        "options": form(),
        "allowedImages": ["r/plain:1", "r/mine:1"],
        "defaultNodeSelector": {"zone": "{course}"},
        "environmentVariables": [{"name": "SHARE", "value": "none"}, {"name": "COURSE", "value": "{course}"}],
    }));
    let chosen = json!({"templateRef": "t", "options": {"gpu": "a100", "share": "whole"}});
    let of = |more: Value| {
        let mut spec = chosen.clone();
        json_patch::merge(&mut spec, &more);
        let validation = judged(&workspace(spec), &template);
        assert_eq!(validation.violations.map(|it| it.to_string()), None);
        validation.effective
    };
    let by_choice = of(json!({}));
    assert_eq!(by_choice.image, "r/cuda:1");
    assert_eq!(
        json!(by_choice.pod.node_selector),
        json!({"pool": "a100", "zone": "gpu"})
    );
    assert_eq!(by_choice.resources.requests["nvidia.com/gpu"].0, "1");
    let env = json!([{"name": "SHARE", "value": "whole"}, {"name": "COURSE", "value": "gpu"}]);
    assert_eq!(json!(by_choice.env), env);
    let own = of(json!({
        "image": "r/mine:1", "variables": {"course": "mine"}, "env": [{"name": "SHARE", "value": "mine"}],
        "resources": {"limits": {"nvidia.com/gpu": "2"}},
    }));
    assert_eq!(own.image, "r/mine:1");
    assert_eq!(own.pod.node_selector["zone"], "mine");
    assert_eq!(own.env[0].value.as_deref(), Some("mine"));
    assert_eq!(own.resources.requests["nvidia.com/gpu"].0, "2");
}

#[test]
fn an_image_of_a_choice_is_allowed_by_the_choice_alone() {
    let refused = |of_template: Value, spec: Value| {
        let mut template = of_template;
        template["options"] = form();
        let validation = judged(&workspace(spec), &self::template(template));
        validation.violations.map(|found| found.to_string())
    };
    let chosen = json!({"templateRef": "t", "options": {"gpu": "a100", "share": "whole"}});
    let with = |image: &str, mut spec: Value| {
        spec["image"] = json!(image);
        spec
    };
    for listed in [json!({}), json!({"allowedImages": ["r/plain:1"]})] {
        assert_eq!(refused(listed.clone(), chosen.clone()), None);
        // Who has the choice may still go back to the template's own image, and may not write the choice's.
        assert_eq!(refused(listed.clone(), with("r/plain:1", chosen.clone())), None);
        for spec in [chosen.clone(), json!({"templateRef": "t"})] {
            let rule = "is not an image that the template allows: choose one of r/plain:1";
            assert_eq!(
                refused(listed.clone(), with("r/cuda:1", spec)),
                Some(format!("spec.image: \"r/cuda:1\" {rule}"))
            );
        }
    }
    let any = json!({"allowCustomImages": true});
    assert_eq!(refused(any, with("r/cuda:1", chosen)), None);
}

#[test]
fn choices_together_keep_the_template_s_bounds() {
    let template = template(json!({
        "resourceBounds": {"cpu": {"max": "4"}},
        "options": [
            {"name": "cpu", "choices": [{"name": "four", "default": true, "set": {"resources": {"limits": {"cpu": "4"}}}}]},
            {"name": "least", "choices": [
                {"name": "small", "default": true},
                {"name": "large", "set": {"resources": {"requests": {"cpu": "5"}}}},
            ]},
        ],
    }));
    let found = |choice: &str| {
        let spec = json!({"templateRef": "t", "options": {"least": choice}});
        judged(&workspace(spec), &template)
            .violations
            .map(|it| it.to_string())
    };
    assert_eq!(found("small"), None);
    let refused = found("large").unwrap();
    assert!(
        refused.contains("is more than the template's maximum 4"),
        "{refused}"
    );
}

#[test]
fn recovery_takes_from_choices_what_it_takes_from_the_template() {
    let template = template(json!({"options": form()}));
    let manager = manager();
    let references = References::managed_by([&manager]).with_template(Some(&template));
    let spec = json!({
        "templateRef": "t", "storage": {"size": "1Gi"}, "recoveryMode": true, "options": {"gpu": "a100", "share": "slice"},
    });
    let valid = admit(&workspace(spec), &references, &settings()).unwrap();
    assert_eq!(valid.image, "r/recovery:1");
    assert!(
        !valid.resources.limits.contains_key("nvidia.com/gpu"),
        "{:?}",
        valid.resources
    );
    assert_eq!(valid.pod.node_selector["pool"], "a100");
    assert_eq!(valid.resolved().options, BTreeMap::new());
}
