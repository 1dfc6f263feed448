//! Kind of object -> refusal of its writes in one namespace, or of one object, during a test (IO).

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::ConfigMap,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::{
    cluster::{self, Scratch, named},
    wait,
};

/// Name of a ConfigMap that is refused as well. It shows when the refusal is in force.
const PROBE_NAME: &str = "probe-of-a-hold";
/// Message of the refusals.
const MESSAGE: &str = "held by a test";

/// Refuses writes until [`WriteBlock::end`]. Its objects have the name of the namespace.
#[derive(Debug)]
pub struct WriteBlock {
    name: String,
}

impl WriteBlock {
    /// Refuses writes of `resource` in this namespace, and waits until that is in force.
    /// `resource` is a plural, such as `services` or `workspaces/status`, but not `configmaps`.
    /// For cluster-scoped kinds it refuses writes of the object with the name of the namespace.
    ///
    /// # Errors
    /// The refusal does not come into force.
    pub async fn start(
        scratch: &Scratch,
        group: &str,
        version: &str,
        resource: &str,
    ) -> anyhow::Result<Self> {
        Self::of_object(scratch, group, version, resource, &scratch.namespace).await
    }

    /// Like [`Self::start`], but for cluster-scoped kinds it refuses writes of the object `object`.
    ///
    /// # Errors
    /// The hold does not come into force.
    pub async fn of_object(
        scratch: &Scratch,
        group: &str,
        version: &str,
        resource: &str,
        object: &str,
    ) -> anyhow::Result<Self> {
        let (name, admin) = (scratch.namespace.clone(), cluster::admin().await?);
        // The selector of the binding also matches all cluster-scoped objects.
        let passes = format!(
            "request.resource.resource == 'configmaps' ? object.metadata.name != '{PROBE_NAME}' \
             : !has(request.namespace) && object.metadata.name != '{object}'"
        );
        let rule = |group: &str, version: &str, resource: &str| {
            json!({
                "apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"], "resources": [resource],
            })
        };
        let rules = [rule(group, version, resource), rule("", "v1", "configmaps")];
        let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rules},
                "validations": [{"expression": passes, "message": MESSAGE}],
            },
        }))?;
        let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
            },
        }))?;
        let policies = Api::<ValidatingAdmissionPolicy>::all(admin.clone());
        policies.create(&PostParams::default(), &policy).await?;
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(admin);
        bindings.create(&PostParams::default(), &binding).await?;
        let (maps, dry) = (
            scratch.api::<ConfigMap>(),
            PostParams {
                dry_run: true,
                ..PostParams::default()
            },
        );
        let probe = ConfigMap {
            metadata: named(PROBE_NAME),
            ..ConfigMap::default()
        };
        wait::until(&format!("{resource} to be held"), wait::USUAL, || async {
            match maps.create(&dry, &probe).await {
                Err(error) if error.to_string().contains(MESSAGE) => Ok(()),
                other => Err(format!("{:?}", other.map(|map| map.name_any()))),
            }
        })
        .await?;
        Ok(Self { name })
    }

    /// Accepts all writes again.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn end(self) -> anyhow::Result<()> {
        let (admin, now) = (cluster::admin().await?, DeleteParams::default());
        Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone())
            .delete(&self.name, &now)
            .await?;
        Api::<ValidatingAdmissionPolicy>::all(admin)
            .delete(&self.name, &now)
            .await?;
        Ok(())
    }
}
