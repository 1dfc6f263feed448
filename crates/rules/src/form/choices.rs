//! Template, settings and profiles -> the values of choices (pure).

use api::template::{Icon, PresentedImage};
use api::{Workspace, WorkspaceTemplateSpec};
use kube::ResourceExt as _;

use super::Offer;
use super::model::{Choice, EnvRule, ImageChoice, Kind};
use crate::admission::References;
use crate::admission::judge;
use crate::checks::image_syntax;
use crate::settings::Settings;
use crate::validate::allowed_images;
use crate::violation::Violations;

fn choice(value: &str, label: &str, help: &str) -> Choice {
    Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        help: help.to_owned(),
    }
}

pub(super) fn retain() -> Kind {
    Kind::Choice(vec![
        choice("Delete", "Delete it", "The files are deleted with the workspace."),
        choice(
            "Retain",
            "Keep it",
            "A new workspace of the same name and owner gets it.",
        ),
    ])
}

pub(super) fn update_policy() -> Kind {
    Kind::Choice(vec![
        choice("OnStop", "At the next start", ""),
        choice("Always", "At once, by a restart", "Kernels and terminals end."),
    ])
}

pub(super) fn access() -> Kind {
    Kind::Choice(vec![
        choice(
            "OwnerOnly",
            "The owner",
            "Shares and administrators count besides.",
        ),
        choice("Public", "Everybody who is signed in", ""),
    ])
}

pub(super) fn ownership() -> Kind {
    Kind::Choice(vec![
        choice("OwnerOnly", "The owner and administrators", ""),
        choice("Public", "Everybody whose roles allow it", ""),
    ])
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
            display_name: shown.map_or_else(|| short(image), |it| it.display_name.clone()),
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

/// The last part of an image's name, without its digest.
fn short(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

/// The profiles with which the rules find nothing that they do not find without.
pub(super) fn profiles(offer: &Offer<'_>, workspace: Option<&Workspace>) -> Vec<Choice> {
    let mut candidate = workspace.cloned().unwrap_or_default();
    if let (None, Some(template)) = (workspace, offer.template) {
        candidate.metadata.name = Some("workspace".to_owned());
        candidate.spec.template_ref = Some(template.name_any());
    }
    let fields = |name: Option<String>, profile| -> Vec<String> {
        let mut candidate = candidate.clone();
        candidate.spec.execution_profile_ref = name;
        let references = References::default()
            .with_template(offer.template)
            .with_profile(profile);
        let violations = judge(&candidate, &references, offer.settings).violations;
        violations
            .iter()
            .flat_map(Violations::iter)
            .map(ToString::to_string)
            .collect()
    };
    let without = fields(None, None);
    let usable = offer.profiles.iter().filter(|profile| {
        let with = fields(Some(profile.name_any()), Some(**profile));
        with.iter().all(|line| without.contains(line))
    });
    let mut choices: Vec<_> = usable
        .map(|profile| choice(&profile.name_any(), &profile.name_any(), ""))
        .collect();
    // The workspace's current value stays, even if the user may not choose it again.
    let own = workspace.and_then(|workspace| workspace.spec.execution_profile_ref.as_deref());
    if let Some(own) = own.filter(|own| choices.iter().all(|choice| choice.value != **own)) {
        choices.push(choice(own, own, ""));
    }
    choices
}

pub(super) fn env_rules(template: Option<&WorkspaceTemplateSpec>) -> Vec<EnvRule> {
    let Some(template) = template else {
        return Vec::new();
    };
    let rule = |asked: &api::template::Requirement| {
        let theirs = template
            .environment_variables
            .iter()
            .find(|it| it.name == asked.name);
        EnvRule {
            name: asked.name.clone(),
            is_required: asked.required && theirs.is_none(),
            pattern: asked.regex.clone(),
            default: theirs.and_then(|it| it.value.clone()),
        }
    };
    template.env_requirements.iter().map(rule).collect()
}
