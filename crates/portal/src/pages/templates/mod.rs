//! `/templates` -> the templates that the user may use, in words (IO for rights).
//!
//! `view.rs`: what its pages show.

pub(super) mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::names::{DEPRECATED, REPLACED_BY, USE_VERB};
use api::template::{DaysRange, MinutesRange, PodTemplate};
use api::{WorkspaceSpec, WorkspaceTemplate};
use axum::response::Response;
use explain::parts::{self, Part};
use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;
use rules::form::{self, Kind};

use self::view::{Bounds, Offer, Template, Templates};
use super::answers::{link, note};
use super::extract::Path;
use super::form::view::Card;
use super::may::UNKNOWN;
use super::words::{FAILED_TIMEOUT, MAX_AGE, STOPPED_RETENTION};
use crate::app::Context;
use crate::views::{Empty, Fact, Icon, Nav, Tone};

/// Templates whose rights are reviewed at the same time.
const AT_ONCE: usize = 8;

/// Whether the user may use the template in one of these namespaces. `None`: the API server did not say in time.
async fn is_usable(context: &Context, template: &WorkspaceTemplate, namespaces: &[String]) -> Option<bool> {
    let Context { rights, user, .. } = context;
    let name = template.name_any();
    for namespace in namespaces {
        let answer = rights
            .may(user, USE_VERB, "workspacetemplates", namespace, &name)
            .await;
        // Without an answer in time another question would only take as long.
        if answer != Some(false) {
            return answer;
        }
    }
    Some(false)
}

/// The templates that the user may use in one of these namespaces, deprecated ones last. And whether the API server did not say in time of
/// others.
pub(super) async fn usable_templates(
    context: &Context,
    namespaces: &[String],
) -> (Vec<Arc<WorkspaceTemplate>>, bool) {
    let answers = stream::iter(context.app.index.templates())
        .map(async |template| (is_usable(context, &template, namespaces).await, template));
    let mut answers: Vec<_> = answers.buffered(AT_ONCE).collect().await;
    let is_partial = answers.iter().any(|(usable, _)| usable.is_none());
    answers.retain(|(usable, _)| *usable == Some(true));
    let mut found: Vec<_> = answers.into_iter().map(|(_, template)| template).collect();
    found.sort_by_key(|template| template.annotations().contains_key(DEPRECATED));
    (found, is_partial)
}

/// The same for all namespaces in which the user may create workspaces.
async fn offered_templates(context: &Context) -> (Vec<Arc<WorkspaceTemplate>>, bool) {
    let (index, user) = (&context.app.index, &context.user);
    let (namespaces, is_incomplete) = context.rights.to_create(user, index, "").await;
    // A template may be granted in all of them at once.
    let namespaces: Vec<_> = [String::new()].into_iter().chain(namespaces).collect();
    let (found, is_partial) = usable_templates(context, &namespaces).await;
    // A namespace for which there was no answer may have others.
    let is_whole = !is_incomplete || found.len() == index.templates().len();
    (found, is_partial || !is_whole)
}

/// Why not to use it, and what replaces it; empty if it is current.
pub(super) fn deprecation(template: &WorkspaceTemplate) -> String {
    let annotations = template.annotations();
    let Some(why) = annotations.get(DEPRECATED) else {
        return String::new();
    };
    match annotations.get(REPLACED_BY) {
        Some(other) => format!("Deprecated: {why}. Use {other} instead."),
        None => format!("Deprecated: {why}"),
    }
}

/// The template as a choice whose title leads to `to`.
pub(super) fn offer(template: &WorkspaceTemplate, to: String) -> Offer {
    Offer {
        to,
        icon: icon(template),
        title: template.spec.display_name.clone(),
        text: template.spec.description.clone().unwrap_or_default(),
        name: template.name_any(),
        deprecated: deprecation(template),
        actions: Vec::new(),
    }
}

fn icon(template: &WorkspaceTemplate) -> Icon {
    let presentation = template.spec.presentation.as_ref();
    let named = presentation.and_then(|it| it.icon);
    named.map_or(Icon::Generic, Icon::from)
}

/// Answers `GET /templates`.
pub(crate) async fn page(context: Context) -> Response {
    let (found, is_partial) = offered_templates(&context).await;
    let mut layout = context.layout("Templates", Nav::Templates);
    if is_partial {
        layout.notes.push(note(Tone::Warn, UNKNOWN));
    }
    let offers: Vec<_> = found
        .iter()
        .map(|template| offer(template, format!("/templates/{}", template.name_any())))
        .collect();
    context.page(&Templates {
        layout,
        empty: (offers.is_empty() && !is_partial).then(|| Empty {
            title: "There is no template that you may use".to_owned(),
            text: vec![
                "Ask an administrator for the right to `use` a WorkspaceTemplate, and give this name:"
                    .to_owned(),
            ],
            copy: context.user.name.clone(),
            ..Empty::default()
        }),
        offers,
    })
}

/// Answers `GET /templates/<name>`.
pub(crate) async fn one(context: Context, Path(name): Path<String>) -> Response {
    let (found, is_partial) = offered_templates(&context).await;
    let Some(template) = found.iter().find(|template| template.name_any() == name) else {
        return if is_partial {
            context.no_answer()
        } else {
            context.not_found()
        };
    };
    let form = context.app.form(Some(template), None, &BTreeMap::new());
    let mut layout = context.layout(template.spec.display_name.clone(), Nav::Templates);
    layout.above = vec![("Templates".to_owned(), "/templates".to_owned())];
    let users = context
        .app
        .index
        .workspaces()
        .iter()
        .filter(|workspace| workspace.spec.template_ref.as_deref() == Some(&*name))
        .count();
    context.page(&Template {
        layout,
        icon: icon(template),
        text: template.spec.description.clone().unwrap_or_default(),
        name: name.clone(),
        deprecated: deprecation(template),
        images: form.fields.iter().flat_map(images).collect(),
        bounds: form
            .fields
            .iter()
            .filter_map(bounds)
            .chain(limits(&context, template))
            .collect(),
        facts: [Fact {
            label: "Workspaces that use it".to_owned(),
            text: users.to_string(),
        }]
        .into_iter()
        .chain(other_containers(template))
        .chain(parts_of(template))
        .collect(),
        actions: vec![link(
            "New workspace from this template",
            &format!("/new?template={name}"),
        )],
    })
}

/// Containers that share the pod with the application.
fn other_containers(template: &WorkspaceTemplate) -> Option<Fact> {
    let names: Vec<_> = template
        .spec
        .pod_template
        .iter()
        .flat_map(PodTemplate::other_containers)
        .collect();
    (!names.is_empty()).then(|| Fact {
        label: "Also runs".to_owned(),
        text: names.join(", "),
    })
}

/// Further disks and objects of its workspaces.
fn parts_of(template: &WorkspaceTemplate) -> impl Iterator<Item = Fact> {
    let spec = &template.spec;
    let fact = |what: &'static str| {
        move |part: Part| Fact {
            label: format!("{what} {}", part.name),
            text: part.text,
        }
    };
    let disks = parts::disks_of_template(&spec.volume_claims).into_iter();
    let objects = parts::objects_of_template(&spec.objects).into_iter();
    disks.map(fact("Disk")).chain(objects.map(fact("Object")))
}

fn images(field: &form::Field) -> Vec<Card> {
    let Kind::Image { choices, .. } = &field.kind else {
        return Vec::new();
    };
    let card = |choice: &form::ImageChoice| Card {
        value: choice.image.clone(),
        icon: choice.icon.into(),
        title: choice.display_name.clone(),
        text: choice.description.clone().unwrap_or_default(),
        exact: choice.image.clone(),
    };
    choices.iter().map(card).collect()
}

/// What a template allows for one value, where it says something.
fn bounds(field: &form::Field) -> Option<Bounds> {
    let allowed = match &field.kind {
        Kind::Quantity { min, max, .. } => match (min, max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => return None,
        },
        Kind::Number { min, max, unit } => format!("{min} to {max} {unit}"),
        Kind::Option(choices) => {
            let labels = choices.iter().map(|choice| choice.label.as_str());
            labels.collect::<Vec<_>>().join(", ")
        }
        Kind::Text { .. } | Kind::Choice(_) | Kind::Image { .. } => return None,
    };
    let mut default = field.default.clone().unwrap_or_default();
    if let Kind::Option(choices) = &field.kind
        && let Some(choice) = choices.iter().find(|choice| choice.value == default)
    {
        default.clone_from(&choice.label);
    }
    Some(Bounds {
        label: field.label.clone(),
        allowed,
        default,
    })
}

/// Label and unit of a limit, its default, its minimum and maximum.
type LimitOfTemplate = (
    (&'static str, &'static str),
    Option<i32>,
    Option<[Option<i32>; 2]>,
);

/// The limits that the template sets or bounds. Users write them as YAML.
fn limits(context: &Context, template: &WorkspaceTemplate) -> Vec<Bounds> {
    let spec = &template.spec;
    let settings = &context.app.parts.settings;
    let defaults = rules::effective(&WorkspaceSpec::default(), Some(spec), settings).limits;
    let bounds = spec.limit_bounds.unwrap_or_default();
    let minutes = |range: Option<MinutesRange>| range.map(|range| [range.min, range.max]);
    let days = |range: DaysRange| [range.min, range.max];
    // Where nothing is deleted it has no effect.
    let deletes = settings.deletes_stopped;
    let all = [
        (
            (MAX_AGE, "minutes"),
            defaults.max_age_minutes,
            minutes(bounds.max_age_minutes),
        ),
        (
            (FAILED_TIMEOUT, "minutes"),
            defaults.failed_timeout_minutes,
            minutes(bounds.failed_timeout_minutes),
        ),
        (
            (STOPPED_RETENTION, "days"),
            defaults.stopped_retention_days.filter(|_| deletes),
            bounds.stopped_retention_days.filter(|_| deletes).map(days),
        ),
    ];
    let limit = |((label, unit), default, range): LimitOfTemplate| {
        let allowed = match range.unwrap_or_default() {
            [Some(min), Some(max)] => format!("{min} to {max} {unit}"),
            [Some(min), None] => format!("at least {min} {unit}"),
            [None, Some(max)] => format!("at most {max} {unit}"),
            [None, None] if default.is_some() => format!("any number of {unit}"),
            [None, None] => return None,
        };
        Some(Bounds {
            label: label.to_owned(),
            allowed,
            default: default.map(|amount| amount.to_string()).unwrap_or_default(),
        })
    };
    all.into_iter().filter_map(limit).collect()
}
