//! Execution profile -> the Secrets and ConfigMaps that it newly names and its writer may not read (IO only through look-ups).
//!
//! Whoever starts a workspace with the profile sees their content. The writer must be somebody who could have told it.

use std::collections::BTreeMap;

use api::WorkspaceExecutionProfile;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::DynamicObject;
use rules::Violation;

use crate::lookups::{LookupError, Lookups};
use crate::review::Request;
use crate::rights::Right;

/// Questions that one request has under way at a time.
const AT_ONCE: usize = 8;
const SECRETS: &str = "secrets";
const CONFIG_MAPS: &str = "configmaps";

/// Resource and name -> the field that names it first.
type Targets = BTreeMap<(&'static str, String), String>;

/// What the requester may not read by themselves.
pub(crate) async fn out_of_reach(
    request: &Request,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    // What cannot be read vouches for nothing.
    let known = request.old.as_ref().and_then(read).unwrap_or_default();
    let new = read(&request.object).unwrap_or_default();
    let asked: Vec<(Right, String)> = new
        .into_iter()
        .filter(|(target, _)| !known.contains_key(target))
        .map(|((resource, name), field)| (right(request, resource, name), field))
        .collect();
    let answers = stream::iter(asked).map(|(right, field)| ask(request, lookups, right, field));
    let refused: Vec<_> = answers.buffered(AT_ONCE).try_collect().await?;
    Ok(refused.into_iter().flatten().collect())
}

async fn ask(
    request: &Request,
    lookups: &Lookups,
    right: Right,
    field: String,
) -> Result<Option<Violation>, LookupError> {
    let granted = lookups.holds(request, &right).await?;
    Ok((!granted).then(|| refusal(field, &right)))
}

fn right(request: &Request, resource: &str, name: String) -> Right {
    Right {
        verb: "get",
        group: "",
        resource: resource.to_owned(),
        namespace: request.namespace.clone(),
        name,
    }
}

fn refusal(field: String, right: &Right) -> Violation {
    let rule = format!(
        "is out of your reach: leave it out, or ask an administrator for the verb {} on it ({})",
        right.verb, right.resource
    );
    Violation::new(field, &right.name, rule)
}

fn read(object: &DynamicObject) -> Option<Targets> {
    let profile: WorkspaceExecutionProfile = object.clone().try_parse().ok()?;
    Some(targets(&profile))
}

/// What pods with this profile get to see.
fn targets(profile: &WorkspaceExecutionProfile) -> Targets {
    let mut found = Targets::new();
    let mut add = |resource, name: &str, field: String| {
        found.entry((resource, name.to_owned())).or_insert(field);
    };
    for (index, mount) in profile.spec.secret_mounts.iter().enumerate() {
        add(
            SECRETS,
            &mount.secret_name,
            format!("spec.secretMounts[{index}].secretName"),
        );
    }
    for (index, variable) in profile.spec.env.iter().enumerate() {
        let Some(source) = &variable.value_from else {
            continue;
        };
        let at = format!("spec.env[{index}].valueFrom");
        if let Some(secret) = &source.secret_key_ref {
            add(SECRETS, &secret.name, format!("{at}.secretKeyRef.name"));
        }
        if let Some(map) = &source.config_map_key_ref {
            add(CONFIG_MAPS, &map.name, format!("{at}.configMapKeyRef.name"));
        }
    }
    found
}
