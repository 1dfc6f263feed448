//! Choices of a hub that goes -> the values that a workspace with them gets (pure).

use std::collections::BTreeMap;

use api::{WorkspaceTemplate, WorkspaceTemplateSpec};
use import::Hub::Replace;
use rules::options::{apply, resolve};
use serde_json::{Value, json};

use super::z2jh;
use crate::text;

/// An image and memory of its own, and choices of which one sets nothing.
const PROFILE: &str = "{display_name: A, kubespawner_override: {image: 'r.example.org/own:1', mem_limit: 4G, mem_guarantee: 1G, node_selector: {pool: a}},
  profile_options: {
    image: {choices: {gpu: {default: true, kubespawner_override: {image: 'r.example.org/gpu:1', mem_limit: 9G, extra_resource_limits: {nvidia.com/gpu: 1}}},
      plain: {kubespawner_override: {}}, other: {kubespawner_override: {image: 'r.example.org/other:1'}}}}}}";

/// The template's defaults with this choice laid over them. `None`: the default one.
fn resolved(profile: &str, choice: Option<&str>) -> WorkspaceTemplateSpec {
    let values = format!("{{singleuser: {{profileList: [{profile}]}}}}");
    let import = z2jh(Replace, &[("values.yaml", &values)]).unwrap();
    let template: Value = serde_saphyr::from_str(text(&import, "templates.yaml")).unwrap();
    let template: WorkspaceTemplate = serde_json::from_value(template).unwrap();
    let given: BTreeMap<_, _> = choice
        .map(|choice| ("image".to_owned(), choice.to_owned()))
        .into_iter()
        .collect();
    let found = resolve(&template.spec, &given);
    assert_eq!(found.violations, []);
    apply(&template.spec, &found.chosen).into_owned()
}

#[test]
fn a_choice_has_its_own_values_over_those_of_the_profile_and_none_of_the_default_choice() {
    let gpu = json!({"requests": {"memory": "1Gi", "nvidia.com/gpu": "1"}, "limits": {"memory": "9Gi", "nvidia.com/gpu": "1"}});
    let own = json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "4Gi"}});
    for (choice, image, resources) in [
        (None, "r.example.org/gpu:1", &gpu),
        (Some("gpu"), "r.example.org/gpu:1", &gpu),
        (Some("plain"), "r.example.org/own:1", &own),
        (Some("other"), "r.example.org/other:1", &own),
    ] {
        let spec = resolved(PROFILE, choice);
        assert_eq!(spec.default_image, image, "{choice:?}");
        assert_eq!(json!(spec.default_resources), *resources, "{choice:?}");
        assert_eq!(json!(spec.default_node_selector), json!({"pool": "a"}));
        // What any choice needs is allowed.
        let bounds = json!(spec.resource_bounds);
        assert_eq!(bounds["memory"]["max"], "9Gi", "{bounds}");
    }
}

#[test]
fn without_another_image_the_template_has_that_of_the_default_choice() {
    let profile = PROFILE.replace("image: 'r.example.org/own:1', ", "");
    for (choice, image) in [
        (Some("other"), "r.example.org/other:1"),
        (Some("plain"), "r.example.org/gpu:1"),
    ] {
        assert_eq!(resolved(&profile, choice).default_image, image);
    }
}
