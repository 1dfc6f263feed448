//! User, namespace, template -> what a form offers there (IO: rights as the user).

use std::collections::BTreeSet;
use std::sync::Arc;

use api::names::USE_VERB;
use api::{Workspace, WorkspaceTemplate};
use kube::ResourceExt as _;
use rules::form::{Field, Form};

use super::draft::Draft;
use super::names::proposed_name;
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

    /// Whether no workspace here has this name.
    pub(super) fn is_free(&self, context: &Context, name: &str) -> bool {
        context.app.index.workspace(&self.namespace, name).is_none()
    }

    /// A new workspace with a free name and the template's defaults.
    pub(super) fn proposal(&self, context: &Context) -> Workspace {
        let mut workspace = Workspace::default();
        let name = proposed_name(&context.user.name, &self.template_name(), |name| {
            self.is_free(context, name)
        });
        workspace.metadata.name = Some(name);
        workspace.metadata.namespace = Some(self.namespace.clone());
        workspace.spec.template_ref = Some(self.template_name());
        if let Some(template) = &self.template {
            workspace
                .spec
                .display_name
                .clone_from(&template.spec.display_name);
        }
        workspace
    }

    /// What the form of a new workspace sends if nothing is changed in it. `None`: it asks for a value that has no default.
    pub(super) fn unchanged_form(&self, context: &Context) -> Option<Vec<(String, String)>> {
        let draft = Draft::new(self.form(context, None), self.proposal(context));
        let has_value = |field: &Field| {
            draft
                .values
                .get(&field.path)
                .is_some_and(|value| !value.is_empty())
        };
        if draft
            .form
            .fields
            .iter()
            .any(|field| field.is_required && !has_value(field))
        {
            return None;
        }
        let values = draft.values.0.into_iter();
        Some(self.hidden().into_iter().chain(values).collect())
    }

    /// Fields by which a form of a new workspace names the place.
    pub(super) fn hidden(&self) -> [(String, String); 2] {
        [
            ("namespace".to_owned(), self.namespace.clone()),
            ("template".to_owned(), self.template_name()),
        ]
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
