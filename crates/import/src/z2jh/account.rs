//! Where a hub and its servers are -> the account and token by which it knows them (pure).

use serde_json::json;

use super::Source;
use crate::draft::{Draft, Target};
use crate::path::Path;
use crate::{Error, Options};

/// Account of the servers, by which the hub knows them.
pub(super) const ACCOUNT: &str = "jupyterhub-server";
/// The chart's namespace in this project's documents.
const NAMESPACE: &str = "jhub";
const BELOW_IT: &str = "jhub-servers";

/// Where hub and servers are.
pub(super) struct Namespaces {
    pub(super) hub: String,
    pub(super) servers: String,
}

impl Namespaces {
    pub(super) fn new(source: &Source<'_>, options: &Options) -> Result<Self, Error> {
        let mut of_homes: Vec<_> = source
            .homes
            .all
            .iter()
            .map(|home| home.object.namespace.as_str())
            .collect();
        of_homes.sort_unstable();
        of_homes.dedup();
        let is_static = source.chart.text("singleuser.storage.type").as_deref() == Some("static");
        let given = options.hub_namespace.as_deref();
        match of_homes.as_slice() {
            [] if is_static => {
                let claim = source
                    .chart
                    .text("singleuser.storage.static.pvcName")
                    .unwrap_or_default();
                let common = source.homes.others.get(claim.as_str());
                let of_claim = common.map(|(_, object)| object.namespace.as_str());
                let hub = given.or(of_claim).unwrap_or(NAMESPACE);
                Ok(Self {
                    hub: hub.to_owned(),
                    servers: of_claim.unwrap_or(hub).to_owned(),
                })
            }
            [] => Ok(Self {
                hub: given.unwrap_or(NAMESPACE).to_owned(),
                servers: BELOW_IT.to_owned(),
            }),
            [one] => Ok(Self {
                hub: given.unwrap_or(one).to_owned(),
                servers: (*one).to_owned(),
            }),
            several => Err(Error::Unreadable(format!(
                "homes must be in one namespace, as a hub has its servers in one, and are in {}: give the claims of one",
                several.join(", ")
            ))),
        }
    }
}

/// The pods' account, and the token with which they ask the hub what to run.
pub(super) fn identity(audience: &str, draft: &mut Draft) {
    let at = Path::of("spec.serviceAccount.name");
    draft.put([], Target::Profile, at, ACCOUNT);
    let token = json!({
        "audience": audience, "path": "/var/run/secrets/jupyterhub/token", "expirationSeconds": 600,
    });
    draft.put([], Target::Profile, Path::of("spec.projectedTokens[0]"), token);
}

/// The one address for which the token is good.
pub(super) fn audience(source: &Source<'_>, options: &Options) -> Result<String, Error> {
    let namespaces = Namespaces::new(source, options)?;
    let base = source.chart.text("hub.baseUrl").unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if !base.chars().all(is_plain) {
        let rule = "must be a path of letters, digits, -, ., _, ~ and /";
        return Err(source.object.error("hub.baseUrl", rule));
    }
    let base = base.trim_matches('/');
    let base = if base.is_empty() {
        String::new()
    } else {
        format!("/{base}")
    };
    let hub = namespaces.hub;
    Ok(format!(
        "http://hub.{hub}.svc:8081{base}/hub/api/workspaces/{{workspace.uid}}/launch"
    ))
}
