//! User, namespace, template -> what a form offers there (IO: rights as the user).

use std::collections::BTreeSet;
use std::sync::Arc;

use api::names::USE_VERB;
use api::{Workspace, WorkspaceTemplate};
use kube::ResourceExt as _;
use rules::form::Form;

use crate::app::Context;

/// Where a workspace is, and from which template.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) namespace: String,
    /// `None`: the workspace has none, or it does not exist any more.
    pub(super) template: Option<Arc<WorkspaceTemplate>>,
}

impl Place {
    /// The form of a new workspace (`None`), or of an existing one.
    pub(super) fn form(&self, context: &Context, workspace: Option<&Workspace>) -> Form {
        context.app.form(self.template.as_deref(), workspace)
    }

    /// Name of the template; empty if there is none.
    pub(super) fn template_name(&self) -> String {
        self.template
            .as_ref()
            .map(|template| template.name_any())
            .unwrap_or_default()
    }

    /// The effective values of a workspace here.
    pub(super) fn effective(&self, context: &Context, workspace: &Workspace) -> rules::Effective {
        let template = self.template.as_deref().map(|template| &template.spec);
        rules::effective(&workspace.spec, template, &context.app.parts.settings)
    }
}

/// The namespace in which the user may use the template: the `first`, or another one of `all`. The first if there is none.
pub(super) async fn usable_namespace(
    context: &Context,
    template: &str,
    first: &str,
    all: &BTreeSet<String>,
) -> String {
    let Context { rights, user, .. } = context;
    // The template is not looked up: the time of the answer would reveal whether it exists.
    let right = (USE_VERB, "workspacetemplates", template);
    let usable = rights.namespaces(user, right, all.clone()).await;
    let mut by_preference = std::iter::once(first).chain(all.iter().map(String::as_str));
    by_preference
        .find(|namespace| usable.holds(namespace))
        .unwrap_or(first)
        .to_owned()
}
