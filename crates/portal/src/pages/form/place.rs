//! User, namespace, template -> what a form offers there (IO: rights as the user).

use std::collections::BTreeSet;
use std::sync::Arc;

use api::names::USE_VERB;
use api::{Workspace, WorkspaceTemplate};
use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;
use rules::form::{Form, Offer, form};

use crate::app::Context;

/// Rights that are reviewed at the same time.
const AT_ONCE: usize = 16;

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
        let offer = Offer {
            template: self.template.as_deref(),
            settings: &context.app.settings,
        };
        form(&offer, workspace)
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
        rules::effective(&workspace.spec, template, &context.app.settings)
    }
}

/// Templates that the user may use in the namespace, deprecated ones last. And whether the API server did not say in time of some.
pub(super) async fn templates(context: &Context, namespace: &str) -> (Vec<Arc<WorkspaceTemplate>>, bool) {
    let Context { rights, user, .. } = context;
    let asked = stream::iter(context.app.index.templates()).map(async |template| {
        let name = template.name_any();
        let may = rights
            .may(user, USE_VERB, "workspacetemplates", namespace, &name)
            .await;
        (may, template)
    });
    let mut answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    let is_partial = answers.iter().any(|(may, _)| may.is_none());
    answers.retain(|(may, _)| *may == Some(true));
    let mut found: Vec<_> = answers.into_iter().map(|(_, template)| template).collect();
    found.sort_by_key(|template| is_deprecated(template));
    (found, is_partial)
}

/// The namespace in which the user may use the template: the `first`, or another one of these. The first if there is none.
pub(super) async fn usable(
    context: &Context,
    template: &str,
    first: &str,
    others: &BTreeSet<String>,
) -> String {
    let right = (USE_VERB, "workspacetemplates", template);
    // The template is not looked up: the time of the answer would reveal whether it exists.
    if context.may(right.0, right.1, first, template).await {
        return first.to_owned();
    }
    let Context { rights, user, .. } = context;
    let usable = rights.namespaces(user, right, others.clone()).await;
    let mut others = others.iter().map(String::as_str);
    others
        .find(|namespace| usable.holds(namespace))
        .unwrap_or(first)
        .to_owned()
}

fn is_deprecated(template: &WorkspaceTemplate) -> bool {
    !crate::pages::templates::deprecation(template).is_empty()
}
