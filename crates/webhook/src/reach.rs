//! Secrets, configuration and claims that a workspace newly names -> those beyond the requester's own reach (IO only
//! through look-ups).

use std::collections::BTreeMap;

use api::names::USE_VERB;
use api::{Workspace, WorkspaceTemplate};
use futures::future::try_join_all;
use rules::Violation;
use rules::validate::{Resource, named_by_author};

use crate::lookups::{LookupError, Lookups};
use crate::review::Request;
use crate::rights::Right;

/// Kind and name of something in the workspace's namespace whose content the pod would see -> the field that names it.
type Targets = BTreeMap<(Resource, String), String>;

/// What the request newly names and the requester may not read or use by themselves. Names in a template count where it
/// leaves them to the workspace's own variables.
pub(crate) async fn refused(
    request: &Request,
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    let old = request.old.as_ref();
    let known = match old.map(|old| old.clone().try_parse::<Workspace>()) {
        Some(Ok(old)) => targets(&old, template),
        // What cannot be read vouches for nothing.
        Some(Err(_)) | None => Targets::new(),
    };
    let mut new = targets(workspace, template);
    new.retain(|target, _| !known.contains_key(target));
    let rights: Vec<_> = new
        .keys()
        .map(|(resource, name)| right(request, *resource, name))
        .collect();
    let asked = rights.iter().map(|right| lookups.holds(request, right));
    let answers = try_join_all(asked).await?;
    let refused = new.into_values().zip(rights).zip(answers);
    Ok(refused
        .filter(|(_, granted)| !granted)
        .map(|((field, right), _)| {
            let rule = format!(
                "is out of your reach: leave it out, or ask an administrator for the verb {} on it ({})",
                right.verb, right.resource
            );
            Violation::new(field, right.name, rule)
        })
        .collect())
}

/// Everything that the author of a workspace names, and where it is named first.
fn targets(workspace: &Workspace, template: Option<&WorkspaceTemplate>) -> Targets {
    let mut found = Targets::new();
    for named in named_by_author(workspace, template) {
        found.entry((named.resource, named.name)).or_insert(named.field);
    }
    found
}

/// The right without which nobody may put it into a pod.
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
