//! Image of a workspace and images that its template allows -> violations (pure).

use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use crate::checks::image_syntax;
use crate::effective::Effective;
use crate::settings::Settings;
use crate::violation::Violation;

/// Maximum number of allowed images that a message lists.
const LISTED: usize = 10;

pub(super) fn workspace(
    given: &WorkspaceSpec,
    effective: &Effective,
    template: Option<&WorkspaceTemplateSpec>,
    settings: &Settings,
) -> Vec<Violation> {
    let written = given.image.as_deref().unwrap_or(&effective.image);
    let malformed = image_syntax("spec.image", written);
    let mut found: Vec<_> = malformed.into_iter().collect();
    let Some(template) = template else {
        return found;
    };
    let mut check = |field: String, image: &str| {
        if image_syntax(&field, image).is_none() {
            found.extend(violation(field, image, template, settings));
        }
    };
    if let Some(image) = &given.image {
        check("spec.image".to_owned(), image);
    }
    for (index, container) in given.init_containers.iter().enumerate() {
        let default = template
            .default_init_containers
            .get(index)
            .and_then(|it| it.image.as_ref());
        // The template's own images are always allowed.
        if let Some(image) = container.image.as_ref().filter(|image| Some(*image) != default) {
            check(format!("spec.initContainers[{index}].image"), image);
        }
    }
    found
}

/// Checks that the template admits an image.
pub(super) fn violation(
    field: String,
    image: &str,
    template: &WorkspaceTemplateSpec,
    settings: &Settings,
) -> Option<Violation> {
    let wanted = settings.resolve_image(image);
    if template.allow_custom_images
        || allowed_images(template).any(|name| settings.resolve_image(name) == wanted)
    {
        return None;
    }
    let names: Vec<_> = allowed_images(template).collect();
    let more = match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let listed = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    let rule = format!("is not an image that the template allows: choose one of {listed}{more}");
    Some(Violation::new(field, image, rule))
}

/// The images or aliases that workspaces of a template may name.
pub fn allowed_images(template: &WorkspaceTemplateSpec) -> impl Iterator<Item = &str> {
    let only_default = template
        .allowed_images
        .is_empty()
        .then_some(&template.default_image);
    template
        .allowed_images
        .iter()
        .chain(only_default)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effective;

    fn violations(image: Option<&str>, template: &WorkspaceTemplateSpec) -> Option<Violation> {
        let settings =
            Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1, old: r/old:1}}").unwrap();
        let spec = WorkspaceSpec {
            image: image.map(str::to_owned),
            ..Default::default()
        };
        workspace(
            &spec,
            &effective(&spec, Some(template), &settings),
            Some(template),
            &settings,
        )
        .pop()
    }

    #[test]
    fn images_of_init_containers_are_bounded_except_the_template_s_own() {
        let settings = Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap();
        let spec: WorkspaceSpec = serde_json::from_value(serde_json::json!({
            "displayName": "d",
            "initContainers": [
                {"name": "a", "image": "own:1"}, {"name": "b", "image": "uv"}, {"name": "c", "image": "own:1"}, {"name": "d"},
            ],
        }))
        .unwrap();
        let template: WorkspaceTemplateSpec = serde_json::from_value(serde_json::json!({
            "displayName": "t", "defaultImage": "r/jupyter:1", "defaultInitContainers": [{"name": "a", "image": "own:1"}],
        }))
        .unwrap();
        let effective = effective(&spec, Some(&template), &settings);
        let found = workspace(&spec, &effective, Some(&template), &settings);
        let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["spec.initContainers[2].image"]);
    }

    fn template(default: &str, allowed: &[&str]) -> WorkspaceTemplateSpec {
        WorkspaceTemplateSpec {
            default_image: default.into(),
            allowed_images: allowed.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn aliases_and_images_are_compared_as_images() {
        let by_alias = template("uv", &["uv"]);
        assert_eq!(violations(Some("r/jupyter:1"), &by_alias), None);
        let by_image = template("r/jupyter:1", &["r/jupyter:1"]);
        assert_eq!(violations(Some("uv"), &by_image), None);
        assert_eq!(violations(None, &by_image), None);
    }

    #[test]
    fn without_a_list_only_the_default_image_is_allowed() {
        let only_default = template("uv", &[]);
        assert_eq!(violations(Some("uv"), &only_default), None);
        let refused = violations(Some("evil:1"), &only_default).unwrap();
        assert_eq!(
            refused.to_string(),
            r#"spec.image: "evil:1" is not an image that the template allows: choose one of uv"#
        );
    }

    #[test]
    fn a_prefix_of_an_allowed_image_is_another_image() {
        let template = template("r/jupyter:1", &["r/jupyter:1"]);
        for image in ["r/jupyter", "r/jupyter:11", "r/jupyter:1@sha256:0", "R/jupyter:1"] {
            assert!(violations(Some(image), &template).is_some(), "{image}");
        }
    }

    #[test]
    fn any_image_is_allowed_where_the_template_allows_it_but_never_a_malformed_one() {
        let open = WorkspaceTemplateSpec {
            allow_custom_images: true,
            ..template("uv", &["uv"])
        };
        assert_eq!(violations(Some("x:1"), &open), None);
        for image in ["", " x:1", "x:1\n", "a b"] {
            assert!(violations(Some(image), &open).is_some(), "{image:?}");
        }
    }

    #[test]
    fn a_long_list_is_shortened() {
        let names: Vec<_> = (0..12).map(|n| format!("i:{n}")).collect();
        let many = template("i:0", &names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            violations(Some("x"), &many)
                .unwrap()
                .message
                .ends_with("i:9 and 2 more")
        );
    }
}
