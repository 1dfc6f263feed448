//! Namespaces and templates -> where a new workspace may be, and from what (pure).

use std::collections::BTreeSet;
use std::sync::Arc;

use api::WorkspaceTemplate;
use askama::Template;
use kube::ResourceExt as _;
use serde::Serialize;

use super::Address;
use crate::app::Context;
use crate::index::NAMESPACE_LABEL;
use crate::pages::answers::link;
use crate::pages::form::place::Place;
use crate::pages::templates::view::Offer;
use crate::pages::templates::{deprecation, offer};
use crate::views::{Action, Empty, Layout, Nav, Way, filters};

/// The page `/new`: where, and from which template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/new/new.html")]
pub(crate) struct Choose {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Namespaces in which the reader may create: name and address of this page for it.
    pub(crate) namespaces: Vec<(String, String)>,
    /// The chosen one. Empty: none yet.
    pub(crate) namespace: String,
    /// Templates that the reader may use there; deprecated ones last.
    pub(crate) offers: Vec<Offer>,
    /// In place of the offers.
    pub(crate) empty: Option<Empty>,
}

/// The page that asks from which template.
pub(super) fn templates(
    context: &Context,
    namespaces: &BTreeSet<String>,
    address: &Address,
    templates: &[Arc<WorkspaceTemplate>],
) -> Choose {
    let mut offers: Vec<_> = templates
        .iter()
        .map(|template| Offer {
            actions: actions(context, address, template),
            ..offer(template, String::new())
        })
        .collect();
    // The Enter key takes the first template.
    if let Some(first) = offers.first_mut().and_then(|offer| offer.actions.first_mut()) {
        first.focus = true;
    }
    let mut layout = context.layout("New workspace", Nav::New);
    layout.read_only = context.read_only_in(&address.namespace).unwrap_or_default();
    Choose {
        layout,
        namespaces: addresses(namespaces, address),
        namespace: address.namespace.clone(),
        offers,
        empty: templates
            .is_empty()
            .then(|| no_template(context, &address.namespace)),
    }
}

/// The creation at once, where the form asks for nothing and advises against nothing, and the form.
fn actions(context: &Context, address: &Address, template: &Arc<WorkspaceTemplate>) -> Vec<Action> {
    let place = Place {
        namespace: address.namespace.clone(),
        template: Some(template.clone()),
    };
    let is_plain = address.from.is_empty()
        && deprecation(template).is_empty()
        && context.read_only_in(&place.namespace).is_none();
    let action = |label: &str, primary, way| Action {
        label: label.to_owned(),
        of: template.spec.display_name.clone(),
        way,
        primary,
        ..Action::default()
    };
    let unchanged = is_plain.then(|| place.unchanged_form(context)).flatten();
    let create = unchanged.map(|hidden| {
        let to = "/new".to_owned();
        action("Create", true, Way::Post { to, hidden })
    });
    let form = Address {
        template: Some(template.name_any()),
        ..address.clone()
    };
    let customize = action("Customize", false, Way::Link { to: form.text() });
    create.into_iter().chain([customize]).collect()
}

/// This page for each namespace. The template stays chosen: where the user may not use it, the page says so.
fn addresses(namespaces: &BTreeSet<String>, address: &Address) -> Vec<(String, String)> {
    let of = |namespace: &String| {
        let to = Address {
            namespace: namespace.clone(),
            ..address.clone()
        };
        (namespace.clone(), to.text())
    };
    namespaces.iter().map(of).collect()
}

fn no_template(context: &Context, namespace: &str) -> Empty {
    Empty {
        title: "There is no template that you may use".to_owned(),
        text: vec![format!(
            "Ask an administrator for the verb `use` on a WorkspaceTemplate in the namespace `{namespace}`, and give this name:"
        )],
        copy: context.user.name.clone(),
        ..Empty::default()
    }
}

/// The page of a user to whom no namespace is offered. The right is missing, or the label of a namespace in which they have it.
pub(super) fn nowhere(context: &Context) -> Choose {
    let label = context.app.index.offers_by_label().then(|| {
        format!(
            "If you have this right in a namespace, ask for the label `{NAMESPACE_LABEL}=true` on it, by which this page offers it."
        )
    });
    let ask = "Ask an administrator for the chart's role of users in a namespace, or for the verb `create` on workspaces there, and give \
               this name:";
    Choose {
        layout: context.layout("New workspace", Nav::New),
        empty: Some(Empty {
            title: "There is no namespace in which you may create workspaces".to_owned(),
            text: label.into_iter().chain([ask.to_owned()]).collect(),
            copy: context.user.name.clone(),
            ..Empty::default()
        }),
        ..Choose::default()
    }
}

/// The page of a user who may not create in the namespace, or of one that does not exist.
pub(super) fn not_there(context: &Context, namespaces: &BTreeSet<String>, address: &Address) -> Choose {
    Choose {
        layout: context.layout("New workspace", Nav::New),
        namespaces: addresses(namespaces, address),
        empty: Some(Empty {
            title: "You may not create workspaces in this namespace".to_owned(),
            text: vec![
                format!("The namespace was {:?}. It may be gone.", address.namespace),
                "Choose another namespace, or ask an administrator for the verb `create` on workspaces there, and give this name:"
                    .to_owned(),
            ],
            copy: context.user.name.clone(),
            actions: vec![link("Where you may", "/new")],
        }),
        ..Choose::default()
    }
}
