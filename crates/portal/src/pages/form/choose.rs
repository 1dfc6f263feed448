//! Namespaces and templates -> where a new workspace may be, and from what (IO for rights).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::WorkspaceTemplate;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::time::timeout;

use super::address::Address;
use crate::app::Context;
use crate::index::NAMESPACE_LABEL;
use crate::pages::answers::link;
use crate::pages::templates::offer;
use crate::views::{Choose, Empty, Nav};
use crate::visible::Namespaces;

/// Most namespaces without the label of which it is asked whether the user may create there.
const MOST_UNLABELLED: u32 = 200;
/// Timeout of their list.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The page that asks from which template.
pub(super) fn templates(
    context: &Context,
    namespaces: &BTreeSet<String>,
    address: &Address,
    templates: &[Arc<WorkspaceTemplate>],
) -> Choose {
    let offers = templates.iter().map(|template| {
        let to = Address {
            template: Some(template.name_any()),
            ..address.clone()
        };
        offer(template, to.text())
    });
    Choose {
        layout: context.layout("New workspace", Nav::New),
        namespaces: addresses(namespaces, address),
        namespace: address.namespace.clone(),
        offers: offers.collect(),
        empty: templates
            .is_empty()
            .then(|| no_template(context, &address.namespace)),
        quotas: None,
    }
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

/// The page of a user to whom no namespace is offered. It says what is missing: the right, or the label of a namespace in which they have it.
pub(super) async fn nowhere(context: &Context) -> Choose {
    let unlabelled = unlabelled(context).await;
    let names: Vec<_> = unlabelled.named.iter().map(String::as_str).collect();
    let empty = if let [first, ..] = *names {
        let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let to = Address {
            namespace: first.to_owned(),
            ..Address::default()
        };
        Empty {
            title: "The namespace in which you may create workspaces lacks a label".to_owned(),
            text: vec![
                format!(
                    "You may create workspaces in {}. This page offers a namespace by its label `{NAMESPACE_LABEL}`, which is missing.",
                    quoted.join(", ")
                ),
                "Ask an administrator for it:".to_owned(),
            ],
            copy: format!(
                "kubectl label namespace {} {NAMESPACE_LABEL}=true",
                names.join(" ")
            ),
            actions: vec![link(&format!("Create one in {first}"), &to.text())],
        }
    } else if unlabelled.all {
        Empty {
            title: "No namespace has the label for workspaces".to_owned(),
            text: vec![format!(
                "You may create workspaces in every namespace. This page offers a namespace by its label `{NAMESPACE_LABEL}`. Set it on those \
                 in which users work:"
            )],
            copy: format!("kubectl label namespace NAME {NAMESPACE_LABEL}=true"),
            ..Empty::default()
        }
    } else {
        let unknown = unlabelled.is_partial.then(|| {
            format!("If you have one of them, the label `{NAMESPACE_LABEL}` is missing on the namespace: ask for that.")
        });
        let ask = "Ask an administrator for the chart's role of users in a namespace, or for the verb `create` on workspaces there, and \
                   give this name:";
        Empty {
            title: "There is no namespace in which you may create workspaces".to_owned(),
            text: unknown.into_iter().chain([ask.to_owned()]).collect(),
            copy: context.user.name.clone(),
            ..Empty::default()
        }
    };
    Choose {
        layout: context.layout("New workspace", Nav::New),
        empty: Some(empty),
        ..Choose::default()
    }
}

/// Namespaces without the label in which the user may create workspaces.
async fn unlabelled(context: &Context) -> Namespaces {
    let Context {
        app, rights, user, ..
    } = context;
    if !app.index.offers_by_label() {
        return Namespaces::default();
    }
    let lacking = ListParams::default()
        .labels(&format!("!{NAMESPACE_LABEL}"))
        .limit(MOST_UNLABELLED);
    let namespaces = Api::<Namespace>::all(app.client.clone());
    let listed = timeout(TIMEOUT, namespaces.list_metadata(&lacking)).await;
    let (names, is_partial) = match listed {
        Ok(Ok(list)) => {
            let is_partial = list.metadata.continue_.is_some_and(|token| !token.is_empty());
            (list.items.iter().map(ResourceExt::name_any).collect(), is_partial)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "namespaces without label cannot be listed");
            (Vec::new(), true)
        }
        Err(_) => (Vec::new(), true),
    };
    let mut found = rights.namespaces(user, ("create", "workspaces", ""), names).await;
    found.is_partial |= is_partial;
    found
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
