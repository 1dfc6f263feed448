//! Execution profile -> the Secrets, ConfigMaps and service account that it newly names and its writer has no right to (IO only through
//! look-ups).
//!
//! Whoever starts a workspace with the profile sees their content, and acts as the account. The writer must be somebody who could have
//! done that without the profile.

use std::collections::BTreeMap;

use api::WorkspaceExecutionProfile;
use kube::api::DynamicObject;
use rules::Violation;

use crate::lookups::{LookupError, Lookups};
use crate::reach;
use crate::review::Request;
use crate::rights::Right;

const SECRETS: &str = "secrets";
const CONFIG_MAPS: &str = "configmaps";
/// Whoever may make a token of an account can act as it. Clouds know pods by the name of their account alone, so it is asked of each
/// that is named, token or not.
const TOKENS: &str = "serviceaccounts/token";

/// What becomes of an object that a profile names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Pods see all of it.
    Mount,
    /// Pods see one key of it.
    Key(String),
    /// Nodes pull images with it; no pod sees it.
    Pull,
    /// Pods run as it.
    Account,
}

impl Way {
    /// Whether who let this happen let the other happen.
    fn covers(&self, other: &Self) -> bool {
        *self == Self::Mount || self == other
    }
}

/// Resource, name and what becomes of it -> the field that names it first.
type Targets = BTreeMap<(&'static str, String, Way), String>;

/// What the requester may not read by themselves.
pub(crate) async fn out_of_reach(
    request: &Request,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    // What cannot be read vouches for nothing.
    let known = request.old.as_ref().and_then(read).unwrap_or_default();
    let new = read(&request.object).unwrap_or_default();
    let asked: Vec<(Right, String)> = reach::unvouched(new, &known, Way::covers)
        .into_iter()
        .map(|((resource, name), field)| (right(request, resource, name), field))
        .collect();
    reach::out_of_reach(request, asked, lookups).await
}

fn right(request: &Request, resource: &str, name: String) -> Right {
    Right {
        verb: if resource == TOKENS { "create" } else { "get" },
        group: "",
        resource: resource.to_owned(),
        namespace: request.namespace.clone(),
        name,
    }
}

fn read(object: &DynamicObject) -> Option<Targets> {
    let profile: WorkspaceExecutionProfile = object.clone().try_parse().ok()?;
    Some(targets(&profile))
}

/// What pods with this profile get to see.
fn targets(profile: &WorkspaceExecutionProfile) -> Targets {
    let mut found = Targets::new();
    let mut add = |resource, name: &str, way: Way, field: String| {
        found.entry((resource, name.to_owned(), way)).or_insert(field);
    };
    let account = profile.spec.service_account.as_ref();
    if let Some(name) = account.and_then(|account| account.name.as_ref()) {
        add(TOKENS, name, Way::Account, "spec.serviceAccount.name".to_owned());
    }
    for (index, mount) in profile.spec.secret_mounts.iter().enumerate() {
        add(
            SECRETS,
            &mount.secret_name,
            Way::Mount,
            format!("spec.secretMounts[{index}].secretName"),
        );
    }
    // Nodes read them, and say by what they pull whether they are right: nobody lends a Secret who may not read it.
    for (index, secret) in profile.spec.image_pull_secrets.iter().enumerate() {
        add(
            SECRETS,
            &secret.name,
            Way::Pull,
            format!("spec.imagePullSecrets[{index}].name"),
        );
    }
    for (index, variable) in profile.spec.env.iter().enumerate() {
        let Some(source) = &variable.value_from else {
            continue;
        };
        let at = format!("spec.env[{index}].valueFrom");
        if let Some(secret) = &source.secret_key_ref {
            let way = Way::Key(secret.key.clone());
            add(SECRETS, &secret.name, way, format!("{at}.secretKeyRef.name"));
        }
        if let Some(map) = &source.config_map_key_ref {
            let way = Way::Key(map.key.clone());
            add(CONFIG_MAPS, &map.name, way, format!("{at}.configMapKeyRef.name"));
        }
    }
    found
}
