//! Presentation of a template -> images and options that the template does not have (pure).

use api::WorkspaceTemplateSpec;

use super::super::image;
use crate::checks;
use crate::effective::options::is_withdrawn;
use crate::settings::Settings;
use crate::violation::Violation;

/// Checks each presented image, option and choice when the template is written. The presentation decides nothing, so workspaces are not judged by it.
pub fn presentation(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    let images = spec.presentation.as_ref().map_or(&[][..], |it| &it.images);
    let mut found = Vec::new();
    for (index, presented) in images.iter().enumerate() {
        let field = format!("spec.presentation.images[{index}].image");
        let name = presented.image.as_str();
        if images[..index].iter().any(|other| other.image == name) {
            let rule = "is presented twice: leave one out";
            found.push(Violation::new(field, name, rule));
        } else if !image::allowed_images(spec).any(|allowed| allowed == name) {
            // A template's own image may contain variables, so the text is compared first.
            found.extend(
                checks::image_syntax(&field, name).or_else(|| image::violation(field, name, spec, settings)),
            );
        }
    }
    found.extend(options(spec));
    found
}

fn options(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    let presented = spec.presentation.iter().flat_map(|it| &it.options);
    for (name, texts) in presented {
        let field = format!("spec.presentation.options[{}]", name.escape_debug());
        let Some(option) = spec.options.iter().find(|option| option.name == *name) else {
            found.push(Violation::new(
                field,
                name,
                "is not an option of the template: leave it out",
            ));
            continue;
        };
        for (choice, texts) in &texts.choices {
            let rule = match option.choices.iter().find(|known| known.name == *choice) {
                None => "is not a choice of this option: leave it out",
                Some(known) if known.default && is_withdrawn(texts) => {
                    "must not be hidden or deprecated, because it is the default, which everybody gets who names none: \
                     publish a new version of the template with another default"
                }
                Some(_) => continue,
            };
            let field = format!("{field}.choices[{}]", choice.escape_debug());
            found.push(Violation::new(field, choice, rule));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lines(template: Value, images: &[&str]) -> Vec<String> {
        let settings = Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap();
        let mut template = template;
        template["displayName"] = json!("t");
        let images: Vec<_> = images
            .iter()
            .map(|image| json!({"image": image, "displayName": "An image"}))
            .collect();
        template["presentation"] = json!({ "images": images });
        let spec = serde_json::from_value(template).unwrap();
        let found = presentation(&spec, &settings);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_presented_image_must_be_one_that_the_template_admits() {
        let template = json!({"defaultImage": "uv", "allowedImages": ["uv", "r/code:1"]});
        assert!(lines(template.clone(), &["uv", "r/code:1"]).is_empty());
        assert!(
            lines(template.clone(), &["r/jupyter:1"]).is_empty(),
            "an alias's image"
        );
        assert_eq!(
            lines(template.clone(), &["uv", "r/other:1"]),
            [
                "spec.presentation.images[1].image: \"r/other:1\" is not an image that the template allows: choose one of uv, r/code:1"
            ]
        );
        let twice = lines(template, &["uv", "uv"]);
        assert!(
            twice[0].starts_with("spec.presentation.images[1].image: \"uv\" is presented twice"),
            "{twice:?}"
        );
    }

    #[test]
    fn without_allowed_images_only_the_default_one_is_presented() {
        let template = json!({"defaultImage": "r/{workspace.namespace}:1"});
        assert!(lines(template.clone(), &["r/{workspace.namespace}:1"]).is_empty());
        assert_eq!(lines(template, &["r/a:1"]).len(), 1);
    }

    #[test]
    fn with_custom_images_any_name_of_an_image_is_presented() {
        let template = json!({"defaultImage": "uv", "allowCustomImages": true});
        assert!(lines(template.clone(), &["r/other:1"]).is_empty());
        let wrong = lines(template, &["a b"]);
        assert!(
            wrong[0].starts_with("spec.presentation.images[0].image: \"a b\" has characters"),
            "{wrong:?}"
        );
    }

    #[test]
    fn each_presented_option_and_choice_is_one_of_the_template() {
        let found = |options: Value| {
            let spec = serde_json::from_value(json!({
                "displayName": "t", "defaultImage": "uv", "options": [{"name": "gpu", "choices": [{"name": "none", "default": true}, {"name": "a100"}]}],
                "presentation": {"options": options},
            }))
            .unwrap();
            let found = presentation(&spec, &Settings::parse("defaultImage: d:1").unwrap());
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            found(json!({"gpu": {"choices": {"a100": {"hidden": true}}}})),
            [""; 0]
        );
        assert_eq!(
            found(json!({"gpu": {"hidden": true, "choices": {"none": {"displayName": "None"}}}})),
            [""; 0]
        );
        for withdrawn in [json!({"hidden": true}), json!({"deprecated": "It goes."})] {
            assert_eq!(
                found(json!({"gpu": {"choices": {"none": withdrawn}}})),
                [
                    r#"spec.presentation.options[gpu].choices[none]: "none" must not be hidden or deprecated, because it is the default, which everybody gets who names none: publish a new version of the template with another default"#
                ]
            );
        }
        assert_eq!(
            found(json!({"cpu": {}, "gpu": {"choices": {"k80": {}}}})),
            [
                r#"spec.presentation.options[cpu]: "cpu" is not an option of the template: leave it out"#,
                r#"spec.presentation.options[gpu].choices[k80]: "k80" is not a choice of this option: leave it out"#,
            ]
        );
    }

    #[test]
    fn workspaces_are_validated_without_it() {
        let spec: WorkspaceTemplateSpec = serde_json::from_value(json!({
            "displayName": "t", "defaultImage": "uv", "presentation": {"images": [{"image": "x:1", "displayName": "x"}]},
        }))
        .unwrap();
        let settings = Settings::parse("defaultImage: d:1").unwrap();
        assert_eq!(super::super::template(&spec, &settings), Vec::new());
        assert_eq!(presentation(&spec, &settings).len(), 1);
    }
}
