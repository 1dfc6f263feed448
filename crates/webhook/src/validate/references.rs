//! Secrets, ConfigMaps and claims that a workspace newly names -> those the user may not read (IO).

use std::collections::BTreeMap;

use api::names::{self, USE_VERB};
use api::{Workspace, WorkspaceManager, WorkspaceTemplate};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rules::validate::{Part, ReferenceAuthor, Resource, is_attested, named_by_author};
use rules::{Settings, Violation};

use super::use_permission;
use crate::lookups::{LookupError, Lookups, Right};
use crate::review::{Changes, Request};

/// Maximum number of access reviews per request. Each is a call to the API server.
const MAX_ASKED: usize = 32;
/// The field for a template's reference whose name uses no value of the workspace.
const TEMPLATE: &str = "spec.templateRef";
/// Maximum number of concurrent calls per request.
const AT_ONCE: usize = 8;

/// Kind and name of an object in the workspace's namespace, and its visible part -> the first field that names it.
type Targets = BTreeMap<(Resource, String, Part), String>;

/// Everything besides itself that a workspace's references depend on.
pub(super) struct ReferenceContext<'a> {
    /// The template that it names, if the template exists.
    pub(super) template: Option<&'a WorkspaceTemplate>,
    /// All managers.
    pub(super) managers: &'a [WorkspaceManager],
    /// The settings of the installation.
    pub(super) settings: &'a Settings,
}

/// The requester's relation to the workspace. An owner whom another user assigned is not `Owner`: that user chose what runs.
fn requester(request: &Request) -> ReferenceAuthor {
    let metadata = &request.object.metadata;
    let is_owner = names::owner(metadata) == Some(request.user_name());
    if is_owner && !names::is_assigned(metadata) {
        ReferenceAuthor::Owner
    } else {
        ReferenceAuthor::Other
    }
}

/// New references that the user has no permission for. References in a template count if they depend on the workspace.
pub(super) async fn forbidden(
    request: &Request,
    changes: &Changes,
    workspace: &Workspace,
    known: &ReferenceContext<'_>,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    let named = match known.targets(requester(request), workspace) {
        Ok(targets) => targets,
        Err(faults) => return Ok(faults),
    };
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let attested = prior_targets(request, changes, workspace, known, lookups).await?;
    let new = newly_named(named, &attested, Part::covers);
    if new.len() > MAX_ASKED {
        let rule = format!(
            "adds {} Secrets, ConfigMaps and claims whose permissions must be checked, more than the maximum {MAX_ASKED} of one \
             request: add fewer at once",
            new.len()
        );
        return Ok(vec![Violation::new("spec", "", rule)]);
    }
    let asked = new
        .into_iter()
        .map(|((resource, name), field)| (right(request, resource, &name), field));
    without_right(request, asked, lookups).await
}

/// The objects with new references or more visible parts, each with the first field that names it.
/// One permission covers a whole object.
pub(super) fn newly_named<R: Ord, P>(
    named: BTreeMap<(R, String, P), String>,
    attested: &BTreeMap<(R, String, P), String>,
    covers: impl Fn(&P, &P) -> bool,
) -> BTreeMap<(R, String), String> {
    let mut new = BTreeMap::new();
    for ((resource, name, part), field) in named {
        let mut had = attested.keys();
        if !had.any(|(kind, had, seen)| *kind == resource && *had == name && covers(seen, &part)) {
            new.entry((resource, name)).or_insert(field);
        }
    }
    new
}

/// One violation for each permission that the user lacks, at the field that needs it.
pub(super) async fn without_right(
    request: &Request,
    asked: impl IntoIterator<Item = (Right, String)>,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    let answers = stream::iter(asked).map(|(right, field)| async move {
        let granted = lookups.has_right(request, &right).await?;
        Ok::<_, LookupError>((!granted).then(|| violation(field, right)))
    });
    let refused: Vec<_> = answers.buffered(AT_ONCE).try_collect().await?;
    Ok(refused.into_iter().flatten().collect())
}

fn violation(field: String, right: Right) -> Violation {
    let remedy = if field == TEMPLATE {
        ", and the template makes the pod use it: choose another template or another workspace name, have the workspace's owner do this"
    } else {
        ": leave it out"
    };
    let object = match right.name.as_str() {
        "" => right.resource,
        _ => format!("it ({})", right.resource),
    };
    let rule = format!(
        "needs a permission that you lack{remedy}, or ask an administrator for the verb {} on {object}",
        right.verb
    );
    Violation::new(field, right.name, rule)
}

/// References of the stored workspace, whose permissions were checked before.
/// None count if a user other than the owner changes what runs or who has access. That user would gain access to all of them.
async fn prior_targets(
    request: &Request,
    changes: &Changes,
    workspace: &Workspace,
    known: &ReferenceContext<'_>,
    lookups: &Lookups,
) -> Result<Targets, LookupError> {
    let Some(stored) = &request.old else {
        return Ok(Targets::new());
    };
    let is_owner = names::owner(&stored.metadata) == Some(request.user_name());
    if !is_owner && (use_permission::runs_other(changes) || use_permission::opens(request, changes)) {
        return Ok(Targets::new());
    }
    // A stored object that cannot be parsed attests nothing.
    let Ok(old) = stored.clone().try_parse::<Workspace>() else {
        return Ok(Targets::new());
    };
    let other;
    let template = if old.spec.template_ref == workspace.spec.template_ref {
        known.template
    } else {
        other = lookups.template_of(&old).await?;
        other.as_ref()
    };
    // No permissions were checked for a template that did not exist.
    let then = ReferenceContext {
        template: template.filter(|template| is_attested(template, &old)),
        ..*known
    };
    Ok(then.targets(requester(request), &old).unwrap_or_default())
}

impl ReferenceContext<'_> {
    /// All references that the author of a workspace chose, each with the first field.
    fn targets(&self, requester: ReferenceAuthor, workspace: &Workspace) -> Result<Targets, Vec<Violation>> {
        let of_template = self.template.and_then(|it| it.spec.manager_ref.as_deref());
        let named = workspace.spec.manager_ref.as_deref().or(of_template);
        let manager = rules::managers::choose(named, self.managers).ok();
        let mut found = Targets::new();
        for named in named_by_author(requester, workspace, self.template, manager, self.settings)? {
            let target = (named.resource, named.name, named.part);
            found.entry(target).or_insert(named.field);
        }
        Ok(found)
    }
}

/// The permission needed to use the object in a pod.
fn right(request: &Request, resource: Resource, name: &str) -> Right {
    let (verb, resource) = match resource {
        Resource::Secret => ("get", "secrets"),
        Resource::ConfigMap => ("get", "configmaps"),
        Resource::Claim => (USE_VERB, "persistentvolumeclaims"),
    };
    Right {
        verb,
        group: "",
        version: "v1",
        resource: resource.to_owned(),
        namespace: request.namespace.clone(),
        name: name.to_owned(),
    }
}
