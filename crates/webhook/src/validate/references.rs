//! What a workspace newly names (Secrets, ConfigMaps, claims) -> what the user may not read (IO).

use std::collections::BTreeMap;

use api::names::{self, USE_VERB};
use api::{Workspace, WorkspaceManager, WorkspaceTemplate};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rules::validate::{Part, Requester, Resource, is_vouched, named_by_author};
use rules::{Settings, Violation};

use super::use_permission;
use crate::lookups::{LookupError, Lookups, Right};
use crate::review::{Changes, Request};

/// Most objects for which one request asks: each is a call to the API server.
const MAX_ASKED: usize = 32;
/// The field that names what a template reads, where no value of the workspace's own takes part in its name.
const TEMPLATE: &str = "spec.templateRef";
/// Calls of one request at the same time.
const AT_ONCE: usize = 8;

/// Kind and name of something in the workspace's namespace, and what of it the pod would see -> the field that names it first.
type Targets = BTreeMap<(Resource, String, Part), String>;

/// What a workspace's references depend on, besides itself.
pub(super) struct Known<'a> {
    /// The template that it names, if that exists.
    pub(super) template: Option<&'a WorkspaceTemplate>,
    /// Every manager.
    pub(super) managers: &'a [WorkspaceManager],
    /// The installation's.
    pub(super) settings: &'a Settings,
}

/// What the user is to the workspace. An owner whom another user assigned is not `Owner`: what runs was chosen for them.
fn requester(request: &Request) -> Requester {
    let metadata = &request.object.metadata;
    let is_owner = names::owner(metadata) == Some(request.user_name());
    if is_owner && !names::is_assigned(metadata) {
        Requester::Owner
    } else {
        Requester::Other
    }
}

/// What the request newly names and the user has no right to. Names and keys in a template count where it leaves them to the workspace.
pub(super) async fn forbidden(
    request: &Request,
    changes: &Changes,
    workspace: &Workspace,
    known: &Known<'_>,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    let named = match known.targets(requester(request), workspace) {
        Ok(targets) => targets,
        Err(faults) => return Ok(faults),
    };
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let attested = attested(request, changes, workspace, known, lookups).await?;
    let new = newly_named(named, &attested, Part::covers);
    if new.len() > MAX_ASKED {
        let rule = format!(
            "names {} Secrets, ConfigMaps and claims at once for which you have to be asked, more than the maximum {MAX_ASKED}: \
             name fewer",
            new.len()
        );
        return Ok(vec![Violation::new("spec", "", rule)]);
    }
    let asked = new
        .into_iter()
        .map(|((resource, name), field)| (right(request, resource, &name), field));
    without_right(request, asked, lookups).await
}

/// The objects of which more is named than before, each with the first field that names it. One right covers all of an object.
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

/// One violation for each right that the user lacks, at the field that needs it.
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
        ", and the template has the pod read it: choose another template, or another name for the workspace, have its owner do this"
    } else {
        ": leave it out"
    };
    let rule = format!(
        "is out of your reach{remedy}, or ask an administrator for the verb {} on it ({})",
        right.verb, right.resource
    );
    Violation::new(field, right.name, rule)
}

/// What the stored workspace names: the rights to it were checked before. Nothing, where another user than the owner changes what runs
/// or who gets in: these would read it all.
async fn attested(
    request: &Request,
    changes: &Changes,
    workspace: &Workspace,
    known: &Known<'_>,
    lookups: &Lookups,
) -> Result<Targets, LookupError> {
    let Some(stored) = &request.old else {
        return Ok(Targets::new());
    };
    let is_owner = names::owner(&stored.metadata) == Some(request.user_name());
    if !is_owner && (use_permission::runs_other(changes) || use_permission::opens(request, changes)) {
        return Ok(Targets::new());
    }
    // What cannot be parsed attests nothing.
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
    // No rights were checked for a template that did not exist.
    let then = Known {
        template: template.filter(|template| is_vouched(template, &old)),
        ..*known
    };
    Ok(then.targets(requester(request), &old).unwrap_or_default())
}

impl Known<'_> {
    /// Everything that the author of a workspace names, each with the first field.
    fn targets(&self, requester: Requester, workspace: &Workspace) -> Result<Targets, Vec<Violation>> {
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

/// The right that putting it into a pod needs.
fn right(request: &Request, resource: Resource, name: &str) -> Right {
    let (verb, resource) = match resource {
        Resource::Secret => ("get", "secrets"),
        Resource::ConfigMap => ("get", "configmaps"),
        Resource::Claim => (USE_VERB, "persistentvolumeclaims"),
    };
    Right {
        verb,
        group: "",
        resource: resource.to_owned(),
        namespace: request.namespace.clone(),
        name: name.to_owned(),
    }
}
