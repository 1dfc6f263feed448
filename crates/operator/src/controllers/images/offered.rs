//! Template -> images that its workspaces may have, each with its nodes (pure).

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::WorkspaceTemplateSpec;
use api::workspace::WorkspaceSpec;
use rules::options;
use rules::{Settings, effective};

use super::pods::Placement;

/// The template of a workspace that names no choice.
pub(super) fn by_default(spec: &WorkspaceTemplateSpec) -> Cow<'_, WorkspaceTemplateSpec> {
    let chosen = options::resolve(spec, &BTreeMap::new()).chosen;
    options::apply(spec, &chosen)
}

/// The references by which nodes pull the template's images, each once for the same nodes, the default first. An image of a choice is for
/// the nodes of workspaces with this choice.
pub(super) fn images(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<(String, Placement)> {
    let placement = |laid: &WorkspaceTemplateSpec| {
        let effective = effective(&WorkspaceSpec::default(), Some(laid), settings);
        Placement::new(&effective.pod)
    };
    let by_default = by_default(spec);
    let usual = placement(&by_default);
    let defaults = [&by_default.default_image, &spec.default_image];
    let allowed = defaults.into_iter().chain(&spec.allowed_images);
    let mut all: Vec<(String, Placement)> = Vec::new();
    let mut add = |image: &str, nodes: Placement| {
        let pull = (settings.pull_reference(image), nodes);
        if !all.contains(&pull) {
            all.push(pull);
        }
    };
    for image in allowed {
        add(image, usual.clone());
    }
    for (chosen, image) in options::offered_images(spec) {
        add(image, placement(&options::apply(spec, &chosen)));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    /// Images without their registry, each with its pool.
    fn pulls(spec: &serde_json::Value) -> Vec<(String, Option<String>)> {
        let mut whole = json!({"displayName": "t", "defaultImage": "r.example.com/plain:1"});
        json_patch::merge(&mut whole, spec);
        let spec = serde_json::from_value(whole).unwrap();
        let found = images(&spec, &testing::settings()).into_iter();
        let pool = |nodes| json!(nodes)["nodeSelector"]["pool"].as_str().map(str::to_owned);
        found
            .map(|(image, nodes)| (image.replace("r.example.com/", ""), pool(nodes)))
            .collect()
    }

    fn expected(pulls: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        let pool = |pool: &str| (!pool.is_empty()).then(|| pool.to_owned());
        pulls
            .iter()
            .map(|(image, nodes)| ((*image).to_owned(), pool(nodes)))
            .collect()
    }

    #[test]
    fn images_of_choices_are_for_their_nodes_and_withdrawn_ones_are_for_none() {
        let found = pulls(&json!({
            "allowedImages": ["r.example.com/other:1"],
            "options": [
                {"name": "gpu", "choices": [
                    {"name": "none", "default": true},
                    {"name": "a100", "set": {"image": "r.example.com/cuda:1", "nodeSelector": {"pool": "a100"}}},
                    {"name": "k80", "set": {"image": "r.example.com/old:1"}},
                ]},
                {"name": "tools", "choices": [{"name": "all", "default": true, "set": {"image": "r.example.com/all:1"}}]},
                {"name": "course", "choices": [
                    {"name": "no", "default": true},
                    {"name": "ml", "set": {"image": "r.example.com/ml:1"}},
                ]},
            ],
            "presentation": {"options": {
                "gpu": {"choices": {"k80": {"deprecated": "They go in June."}}},
                "course": {"hidden": true},
            }},
        }));
        assert_eq!(
            found,
            expected(&[
                ("all:1", ""),
                ("plain:1", ""),
                ("other:1", ""),
                ("cuda:1", "a100")
            ])
        );
    }

    #[test]
    fn an_image_is_for_all_nodes_of_the_choices_that_its_condition_names() {
        let found = pulls(&json!({"options": [
            {"name": "gpu", "choices": [
                {"name": "none", "default": true},
                {"name": "t4", "set": {"nodeSelector": {"pool": "t4"}}},
                {"name": "a100", "set": {"nodeSelector": {"pool": "a100"}}},
            ]},
            {"name": "part", "when": {"gpu": ["a100"]}, "choices": [
                {"name": "all", "default": true}, {"name": "small"},
            ]},
            {"name": "tools", "choices": [
                {"name": "plain", "default": true},
                {"name": "cuda", "when": {"gpu": ["t4", "a100"]}, "set": {"image": "r.example.com/cuda:1"}},
                {"name": "mig", "when": {"part": ["small"]}, "set": {"image": "r.example.com/mig:1"}},
                {"name": "never", "when": {"gpu": ["t4"], "part": ["small"]}, "set": {"image": "r.example.com/no:1"}},
            ]},
        ]}));
        let cuda = [("cuda:1", "t4"), ("cuda:1", "a100")];
        assert_eq!(
            found,
            expected(&[("plain:1", ""), cuda[0], cuda[1], ("mig:1", "a100")])
        );
    }

    #[test]
    fn one_image_is_pulled_on_each_pool_once() {
        let set = |pool: &str, image: &str| json!({"image": image, "nodeSelector": {"pool": pool}});
        let found = pulls(&json!({"options": [{"name": "gpu", "choices": [
            {"name": "none", "default": true},
            {"name": "t4", "set": set("t4", "r.example.com/cuda:1")},
            {"name": "a100", "set": set("a100", "r.example.com/cuda:1")},
            {"name": "again", "set": set("a100", "r.example.com/cuda:1")},
            {"name": "plain", "set": set("a100", "r.example.com/plain:1")},
        ]}]}));
        assert_eq!(
            found,
            expected(&[
                ("plain:1", ""),
                ("cuda:1", "t4"),
                ("cuda:1", "a100"),
                ("plain:1", "a100")
            ])
        );
    }
}
