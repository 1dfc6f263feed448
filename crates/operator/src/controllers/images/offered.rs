//! Template -> images that its workspaces may have, each with its nodes (pure).

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::WorkspaceTemplateSpec;
use api::workspace::WorkspaceSpec;
use rules::options::{self, Chosen};
use rules::{Settings, effective};

use super::pods::Placement;

/// The template of a workspace that makes this choice beside the default ones.
pub(super) fn with_choice<'a>(
    spec: &'a WorkspaceTemplateSpec,
    choice: Option<Chosen<'_>>,
) -> Cow<'a, WorkspaceTemplateSpec> {
    let mut chosen = options::resolve(&spec.options, &BTreeMap::new()).chosen;
    chosen.retain(|it| choice.is_none_or(|choice| it.option.name != choice.option.name));
    chosen.extend(choice);
    // Later options are laid over earlier ones.
    chosen.sort_by_key(|it| {
        spec.options
            .iter()
            .position(|option| option.name == it.option.name)
    });
    options::apply(spec, &chosen)
}

/// The references by which nodes pull the template's images, each once, the default first. An image of a choice is for the nodes of
/// workspaces with this choice.
pub(super) fn images(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<(String, Placement)> {
    let placement = |laid: &WorkspaceTemplateSpec| {
        let effective = effective(&WorkspaceSpec::default(), Some(laid), settings);
        Placement::new(&effective.pod)
    };
    let by_default = with_choice(spec, None);
    let usual = placement(&by_default);
    let mut references: Vec<(String, Placement)> = Vec::new();
    let allowed = spec.allowed_images.iter();
    for image in [&by_default.default_image, &spec.default_image]
        .into_iter()
        .chain(allowed)
    {
        let reference = settings.pull_reference(image);
        if references.iter().all(|(known, _)| *known != reference) {
            references.push((reference, usual.clone()));
        }
    }
    for (choice, image) in options::offered_images(spec) {
        let reference = settings.pull_reference(image);
        if references.iter().all(|(known, _)| *known != reference) {
            references.push((reference, placement(&with_choice(spec, Some(choice)))));
        }
    }
    references
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[test]
    fn images_of_choices_are_for_their_nodes_and_withdrawn_ones_are_for_none() {
        let spec: WorkspaceTemplateSpec = serde_json::from_value(json!({
            "displayName": "t", "defaultImage": "r.example.com/plain:1", "allowedImages": ["r.example.com/other:1"],
            "options": [
                {"name": "gpu", "choices": [
                    {"name": "none", "default": true},
                    {"name": "a100", "set": {"image": "r.example.com/cuda:1", "nodeSelector": {"pool": "a100"}}},
                    {"name": "k80", "set": {"image": "r.example.com/old:1"}},
                ]},
                {"name": "tools", "choices": [{"name": "all", "default": true, "set": {"image": "r.example.com/all:1"}}]},
            ],
            "presentation": {"options": {"gpu": {"choices": {"k80": {"deprecated": "They go in June."}}}}},
        }))
        .unwrap();
        let found = images(&spec, &testing::settings());
        let names: Vec<_> = found.iter().map(|(image, _)| image.as_str()).collect();
        let expected = ["all", "plain", "other", "cuda"].map(|name| format!("r.example.com/{name}:1"));
        assert_eq!(names, expected);
        let pools: Vec<_> = found
            .iter()
            .map(|(_, nodes)| json!(nodes)["nodeSelector"]["pool"].clone())
            .collect();
        assert_eq!(pools, [json!(null), json!(null), json!(null), json!("a100")]);
    }
}
