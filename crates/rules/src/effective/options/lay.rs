//! Template and choices -> template whose defaults are what the choices set (pure).

use std::borrow::Cow;

use api::template::{ChoiceValues, Label};
use api::{Workspace, WorkspaceTemplate, WorkspaceTemplateSpec};

use super::resolve::{Chosen, Resolution, holds_with, resolve};
use crate::effective::{merge, resources};

/// A workspace and its template without options.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Laid<'w, 't> {
    /// The workspace, with the variables of its choices beneath its own.
    pub(crate) workspace: Cow<'w, Workspace>,
    /// The template, with what the choices set as its defaults.
    pub(crate) template: Cow<'t, WorkspaceTemplate>,
    /// The choices.
    pub(crate) resolution: Resolution<'t>,
}

/// What follows from the choices of a workspace. Choices with a violation count as not made.
pub(crate) fn laid<'w, 't>(workspace: &'w Workspace, template: &'t WorkspaceTemplate) -> Laid<'w, 't> {
    let resolution = resolve(&template.spec, &workspace.spec.options);
    if template.spec.options.is_empty() {
        return Laid {
            workspace: Cow::Borrowed(workspace),
            template: Cow::Borrowed(template),
            resolution,
        };
    }
    let chosen = &resolution.chosen;
    let mut workspace = Cow::Borrowed(workspace);
    // Of two choices that set one variable, the later counts. The workspace's own value comes before both.
    for (name, value) in chosen
        .iter()
        .rev()
        .filter_map(values)
        .flat_map(|set| &set.variables)
    {
        if !workspace.spec.variables.contains_key(name) {
            let variables = &mut workspace.to_mut().spec.variables;
            variables.insert(name.clone(), value.clone());
        }
    }
    Laid {
        workspace,
        template: Cow::Owned(WorkspaceTemplate {
            metadata: template.metadata.clone(),
            spec: apply(&template.spec, chosen).into_owned(),
            status: template.status.clone(),
        }),
        resolution,
    }
}

/// The template whose defaults are those of `spec` with what the choices set, without options. A template without options stays as it is.
pub fn apply<'a>(spec: &'a WorkspaceTemplateSpec, chosen: &[Chosen<'_>]) -> Cow<'a, WorkspaceTemplateSpec> {
    if spec.options.is_empty() {
        return Cow::Borrowed(spec);
    }
    let mut bare = spec.clone();
    bare.options.clear();
    // They are rendered of the template as it is written: `objects::of_template`.
    bare.objects.clear();
    bare.volume_claims.retain(|claim| holds_with(&claim.when, chosen));
    bare.volume_claims.iter_mut().for_each(|claim| claim.when.clear());
    Cow::Owned(lay_all(bare, chosen))
}

/// The same for a template whose options are taken out.
pub(crate) fn lay_all(mut spec: WorkspaceTemplateSpec, chosen: &[Chosen<'_>]) -> WorkspaceTemplateSpec {
    for set in chosen.iter().filter_map(values) {
        lay(set, &mut spec);
    }
    spec
}

fn values<'a>(chosen: &Chosen<'a>) -> Option<&'a ChoiceValues> {
    chosen.choice.set.as_ref()
}

/// Lays the values of one choice over the template's defaults.
fn lay(set: &ChoiceValues, spec: &mut WorkspaceTemplateSpec) {
    let ChoiceValues {
        image,
        command,
        args,
        resources,
        node_selector,
        affinity,
        tolerations,
        shm_size,
        env,
        pod_labels,
        // They are no part of the template.
        variables: _,
    } = set;
    if let Some(image) = image {
        let before = std::mem::replace(&mut spec.default_image, image.clone());
        if spec.allowed_images.is_empty() {
            // Without a list, workspaces may name the default image: that of the template, not that of a choice.
            spec.allowed_images.push(before);
        }
    }
    if !command.is_empty() || !args.is_empty() {
        let container = spec.default_container_config.get_or_insert_default();
        if !command.is_empty() {
            container.command.clone_from(command);
        }
        // Arguments for another command make no sense.
        container.args.clone_from(args);
    }
    if let Some(over) = resources {
        let defaults = spec.default_resources.take().unwrap_or_default();
        spec.default_resources = Some(resources::lay_over(over, &defaults));
    }
    spec.default_node_selector.extend(node_selector.clone());
    if affinity.is_some() {
        spec.default_affinity.clone_from(affinity);
    }
    for toleration in tolerations {
        if !spec.default_tolerations.contains(toleration) {
            spec.default_tolerations.push(toleration.clone());
        }
    }
    if shm_size.is_some() {
        spec.default_shm_size.clone_from(shm_size);
    }
    if !env.is_empty() {
        spec.environment_variables = merge(&spec.environment_variables, env);
    }
    for (name, value) in pod_labels {
        let known = spec.base_labels.iter_mut().find(|label| label.name == *name);
        match known {
            Some(label) => label.value.clone_from(value),
            None => spec.base_labels.push(Label {
                name: name.clone(),
                value: value.clone(),
            }),
        }
    }
}
