//! User, namespace, template -> what a form offers there (IO: rights as the user).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::names::USE_VERB;
use api::{Workspace, WorkspaceTemplate};
use kube::ResourceExt as _;
use rules::form::{Field, Form};

use super::draft::Draft;
use crate::app::Context;

/// Numbers of proposed names.
const FIRST_NUMBER: u32 = 2;
const LAST_NUMBER: u32 = 999;

/// Where a workspace is, and from which template.
#[derive(Debug, Clone)]
pub(in crate::pages) struct Place {
    pub(in crate::pages) namespace: String,
    /// `None`: the workspace has none, or it does not exist any more.
    pub(in crate::pages) template: Option<Arc<WorkspaceTemplate>>,
}

impl Place {
    /// The form of a new workspace (`None`), or of an existing one, with these chosen options.
    pub(in crate::pages) fn form(
        &self,
        context: &Context,
        workspace: Option<&Workspace>,
        options: &BTreeMap<String, String>,
    ) -> Form {
        context.app.form(self.template.as_deref(), workspace, options)
    }

    /// Name of the template; empty if there is none.
    pub(in crate::pages) fn template_name(&self) -> String {
        self.template
            .as_ref()
            .map(|template| template.name_any())
            .unwrap_or_default()
    }

    /// Whether no workspace here has this name.
    pub(in crate::pages) fn is_free(&self, context: &Context, name: &str) -> bool {
        context.app.index.workspace(&self.namespace, name).is_none()
    }

    /// A new workspace with a free name and the template's defaults.
    pub(in crate::pages) fn proposal(&self, context: &Context) -> Workspace {
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
    pub(in crate::pages) fn unchanged_form(&self, context: &Context) -> Option<Vec<(String, String)>> {
        let proposal = self.proposal(context);
        let draft = Draft::new(self.form(context, None, &proposal.spec.options), proposal);
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
    pub(in crate::pages) fn hidden(&self) -> [(String, String); 2] {
        [
            ("namespace".to_owned(), self.namespace.clone()),
            ("template".to_owned(), self.template_name()),
        ]
    }
}

/// The namespace in which the user may use the template: the `first`, or another one of `all`. The first if there is none.
pub(in crate::pages) async fn usable_namespace(
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

/// A free name of the user's and the template's name, such as `alice-jupyterlab-2`.
fn proposed_name(user: &str, template: &str, is_free: impl Fn(&str) -> bool) -> String {
    // Of `oidc:alice@example.org` the part between.
    let user = user.rsplit(':').next().unwrap_or(user);
    let user = user.split('@').next().unwrap_or(user);
    let mut base = String::new();
    for character in format!("{user}-{template}").chars() {
        match character.to_ascii_lowercase() {
            letter @ 'a'..='z' => base.push(letter),
            digit @ '0'..='9' if !base.is_empty() => base.push(digit),
            _ if !base.is_empty() && !base.ends_with('-') => base.push('-'),
            _ => {}
        }
    }
    let base = with_room(&base);
    if is_free(base) {
        return base.to_owned();
    }
    numbered_name(base, FIRST_NUMBER, is_free)
}

/// A free name for a copy: `lab-2` of `lab`, `lab-3` of `lab-2`.
pub(in crate::pages) fn copy_name(original: &str, is_free: impl Fn(&str) -> bool) -> String {
    let split = original.rsplit_once('-');
    let numbered_before = split.and_then(|(base, number)| Some((base, number.parse::<u32>().ok()?)));
    match numbered_before.filter(|(_, number)| (FIRST_NUMBER..LAST_NUMBER).contains(number)) {
        Some((base, number)) => numbered_name(with_room(base), number + 1, is_free),
        None => numbered_name(with_room(original), FIRST_NUMBER, is_free),
    }
}

/// The beginning of the name that leaves room for a number.
fn with_room(base: &str) -> &str {
    // Names are ASCII, as the API server and the loop above have it.
    let base = base.get(..api::names::MAX_WORKSPACE_NAME - 4).unwrap_or(base);
    match base.trim_end_matches('-') {
        "" => "workspace",
        base => base,
    }
}

/// The name with the first number from this one on that is free.
fn numbered_name(base: &str, first: u32, is_free: impl Fn(&str) -> bool) -> String {
    let mut names = (first..=LAST_NUMBER).map(|number| format!("{base}-{number}"));
    names.find(|name| is_free(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposed_name_is_valid_and_free() {
        let taken = ["alice-jupyterlab", "alice-jupyterlab-2"];
        let name = |user: &str, template: &str| proposed_name(user, template, |name| !taken.contains(&name));
        assert_eq!(name("oidc:alice@example.org", "jupyterlab"), "alice-jupyterlab-3");
        assert_eq!(name("Zoë Müller", "r"), "zo-m-ller-r");
        assert_eq!(name("42", "vs-code"), "vs-code");
        assert_eq!(name("", ""), "workspace");
        let long = name(&"u".repeat(80), "jupyterlab");
        assert_eq!(long.len(), 46);
        for name in [name("-a", "b."), long, name("007", "4x")] {
            assert!(rules::checks::name(&name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_copy_has_the_name_of_its_original_with_the_next_free_number() {
        let taken = ["lab", "lab-2", "data-2024", "week-7"];
        let name = |of: &str| copy_name(of, |name| !taken.contains(&name));
        assert_eq!(name("lab"), "lab-3");
        assert_eq!(name("lab-2"), "lab-3");
        assert_eq!(name("week-7"), "week-8");
        assert_eq!(name("data-2024"), "data-2024-2", "a year is no number of a copy");
        let long = name(&"a".repeat(api::names::MAX_WORKSPACE_NAME));
        assert!(
            rules::checks::name(&long).is_empty() && long.ends_with("-2"),
            "{long}"
        );
    }
}
