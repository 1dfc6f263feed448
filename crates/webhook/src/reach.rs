//! Secrets, configuration and claims that a workspace newly names -> those beyond the requester's own reach (IO only
//! through look-ups).

use std::collections::BTreeMap;

use api::names::USE_VERB;
use futures::future::try_join_all;
use rules::Violation;
use serde_json::Value;

use crate::lookups::{LookupError, Lookups};
use crate::review::Request;
use crate::rights::Right;

/// Something in the workspace's namespace whose content the pod would see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    resource: &'static str,
    name: String,
}

impl Target {
    /// The right without which nobody may put it into a pod.
    fn verb(&self) -> &'static str {
        if self.resource == CLAIMS { USE_VERB } else { "get" }
    }
}

const SECRETS: &str = "secrets";
const CONFIG_MAPS: &str = "configmaps";
const CLAIMS: &str = "persistentvolumeclaims";

/// Fields of a container that name a Secret or ConfigMap, whatever they stand in.
const NAMING: [(&str, &str); 4] = [
    ("secretKeyRef", SECRETS),
    ("secretRef", SECRETS),
    ("configMapKeyRef", CONFIG_MAPS),
    ("configMapRef", CONFIG_MAPS),
];

/// What the request newly names and the requester may not read or use by themselves.
pub(crate) async fn refused(request: &Request, lookups: &Lookups) -> Result<Vec<Violation>, LookupError> {
    let known = request
        .old
        .as_ref()
        .map(|old| targets(&old.data["spec"]))
        .unwrap_or_default();
    let mut new = targets(&request.object.data["spec"]);
    new.retain(|target, _| !known.contains_key(target));
    let answers = try_join_all(new.keys().map(|target| {
        let right = Right {
            verb: target.verb(),
            group: "",
            resource: target.resource.to_owned(),
            namespace: request.namespace.clone(),
            name: target.name.clone(),
        };
        async move { lookups.holds(request, &right).await }
    }))
    .await?;
    let refused = new.into_iter().zip(answers).filter(|(_, granted)| !granted);
    Ok(refused
        .map(|((target, field), _)| {
            let (verb, resource) = (target.verb(), target.resource);
            let rule = format!(
                "is out of your reach: leave it out, or ask an administrator for the verb {verb} on it ({resource})"
            );
            Violation::new(field, target.name, rule)
        })
        .collect())
}

/// Everything that a spec names, and where it does so first.
fn targets(spec: &Value) -> BTreeMap<Target, String> {
    let mut found = BTreeMap::new();
    for field in ["env", "initContainers", "lifecycle", "readinessProbe"] {
        named_in(&spec[field], &format!("spec.{field}"), &mut found);
    }
    let mut claim = |name: &Value, field: String| {
        if let Some(name) = name.as_str() {
            let (resource, name) = (CLAIMS, name.to_owned());
            found.entry(Target { resource, name }).or_insert(field);
        }
    };
    claim(&spec["storage"]["claimName"], "spec.storage.claimName".to_owned());
    for (index, volume) in (0..).zip(spec["volumes"].as_array().into_iter().flatten()) {
        let (index, name): (usize, _) = (index, &volume["persistentVolumeClaimName"]);
        claim(name, format!("spec.volumes[{index}].persistentVolumeClaimName"));
    }
    found
}

fn named_in(value: &Value, path: &str, found: &mut BTreeMap<Target, String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                named_in(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                let naming = NAMING.iter().find(|(field, _)| field == key);
                if let (Some((_, resource)), Some(name)) = (naming, value["name"].as_str()) {
                    let (resource, name) = (*resource, name.to_owned());
                    let field = format!("{path}.name");
                    found.entry(Target { resource, name }).or_insert(field);
                }
                named_in(value, &path, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_name_something_is_seen() {
        let spec = json!({
            "env": [
                {"name": "A", "value": "secretKeyRef"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}},
                {"name": "D", "valueFrom": {"secretKeyRef": {"name": "token", "key": "other"}}},
            ],
            "initContainers": [{
                "name": "clone",
                "envFrom": [{"secretRef": {"name": "git"}}, {"configMapRef": {"name": "proxy"}}],
            }],
            "storage": {"claimName": "home"},
            "volumes": [{"name": "data", "persistentVolumeClaimName": "datasets", "mountPath": "/data"}],
        });
        let found: Vec<_> = targets(&spec)
            .into_iter()
            .map(|(target, field)| {
                format!("{} {} {} at {field}", target.verb(), target.resource, target.name)
            })
            .collect();
        assert_eq!(
            found,
            [
                "get configmaps proxy at spec.initContainers[0].envFrom[1].configMapRef.name",
                "get configmaps settings at spec.env[2].valueFrom.configMapKeyRef.name",
                "use persistentvolumeclaims datasets at spec.volumes[0].persistentVolumeClaimName",
                "use persistentvolumeclaims home at spec.storage.claimName",
                "get secrets git at spec.initContainers[0].envFrom[0].secretRef.name",
                "get secrets token at spec.env[1].valueFrom.secretKeyRef.name",
            ]
        );
    }

    #[test]
    fn a_spec_of_any_shape_is_read() {
        for spec in [
            json!(null),
            json!({"env": "x", "volumes": {"a": 1}, "storage": []}),
            json!([]),
        ] {
            assert!(targets(&spec).is_empty(), "{spec}");
        }
    }
}
