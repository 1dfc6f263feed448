//! Template and settings -> the values of choices (pure).

use api::WorkspaceTemplateSpec;
use api::template::{Icon, PresentedImage};
use api::workspace::AccessType;

use super::model::{Choice, ImageChoice, Kind};
use crate::checks::image_syntax;
use crate::settings::Settings;
use crate::validate::allowed_images;

fn choice(value: &str, label: &str, help: &str) -> Choice {
    Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        help: help.to_owned(),
    }
}

pub(super) fn yes_or_no(may_be_no: bool) -> Kind {
    let no = may_be_no.then(|| choice("false", "No", ""));
    Kind::Choice([choice("true", "Yes", "")].into_iter().chain(no).collect())
}

pub(super) fn access() -> Kind {
    let of = |access: AccessType| match access {
        AccessType::OwnerOnly => choice(
            "OwnerOnly",
            "The owner",
            "Shares and administrators count besides.",
        ),
        AccessType::Public => choice("Public", "Everybody who is signed in", ""),
    };
    Kind::Choice([AccessType::OwnerOnly, AccessType::Public].map(of).into())
}

/// The images that the template admits: those with a presentation first, in its order.
pub(super) fn images(template: Option<&WorkspaceTemplateSpec>, settings: &Settings) -> Kind {
    let presentation = template.and_then(|template| template.presentation.as_ref());
    let presented = presentation.map_or(&[][..], |it| &it.images);
    let allowed: Vec<&str> = if let Some(template) = template {
        allowed_images(template).collect()
    } else {
        let aliases = settings
            .image_aliases
            .keys()
            .filter(|it| **it != settings.default_image);
        std::iter::once(&settings.default_image)
            .chain(aliases)
            .map(String::as_str)
            .collect()
    };
    let custom = template.is_none_or(|template| template.allow_custom_images);
    let default = template.map_or(settings.default_image.as_str(), |template| {
        &template.default_image
    });
    let is_admitted = |image: &str| {
        let resolved = settings.resolve_image(image);
        custom || allowed.iter().any(|it| settings.resolve_image(it) == resolved)
    };
    let names = presented
        .iter()
        .map(|it| it.image.as_str())
        .filter(|image| is_admitted(image));
    let rest = std::iter::once(default).chain(allowed.iter().copied());
    let mut choices: Vec<ImageChoice> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for image in names.chain(rest) {
        let is_default = settings.resolve_image(image) == settings.resolve_image(default);
        // An image with variables can only be chosen by leaving the field empty.
        let is_writable = image_syntax("spec.image", image).is_none();
        if seen.contains(&settings.resolve_image(image)) || !(is_writable || is_default) {
            continue;
        }
        seen.push(settings.resolve_image(image));
        let shown = presented.iter().find(|it| it.image == image);
        choices.push(ImageChoice {
            image: if is_writable {
                image.to_owned()
            } else {
                String::new()
            },
            display_name: shown.map_or_else(|| image_name(image).to_owned(), |it| it.display_name.clone()),
            description: shown.and_then(|it: &PresentedImage| it.description.clone()),
            icon: shown
                .and_then(|it| it.icon)
                .or_else(|| presentation?.icon)
                .unwrap_or(Icon::Generic),
            is_default,
        });
    }
    Kind::Image { choices, custom }
}

/// Name and tag of an image, without its registry, folders and digest.
pub fn image_name(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    name.rsplit('/').next().unwrap_or(name)
}
