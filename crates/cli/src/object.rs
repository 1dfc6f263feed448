//! Arguments -> the manifest to create (pure).

use api::workspace::{ResourceRequirements, Storage};
use api::{Workspace, WorkspaceSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;
use serde_json::Value;

use crate::args::create::Flags;

/// The manifest with exactly what the flags say. It has a namespace only if a flag names one, so that it fits any namespace.
/// It omits `desiredStatus`, so that a manifest in Git does not start a workspace that a user stopped.
/// It omits `updatePolicy`, because no flag sets it.
pub(crate) fn manifest(args: &Flags, namespace: Option<&str>) -> serde_json::Result<Value> {
    let mut manifest = serde_json::to_value(workspace(args, namespace))?;
    if let Some(spec) = manifest["spec"].as_object_mut() {
        spec.remove("desiredStatus");
        spec.remove("updatePolicy");
    }
    Ok(manifest)
}

fn workspace(args: &Flags, namespace: Option<&str>) -> Workspace {
    let amounts = [("cpu", &args.cpu), ("memory", &args.memory)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Quantity(value.clone()?))))
        .collect::<std::collections::BTreeMap<_, _>>();
    let resources = (!amounts.is_empty()).then(|| ResourceRequirements {
        requests: amounts.clone(),
        limits: amounts.clone(),
    });
    Workspace {
        metadata: ObjectMeta {
            name: Some(args.name.clone()),
            namespace: namespace.map(str::to_owned),
            ..ObjectMeta::default()
        },
        spec: WorkspaceSpec {
            display_name: args.display_name.clone().unwrap_or_else(|| args.name.clone()),
            template_ref: args.template.clone(),
            image: args.image.clone(),
            resources,
            storage: args.storage.clone().map(|size| Storage {
                size: Some(Quantity(size)),
                ..Storage::default()
            }),
            ..WorkspaceSpec::default()
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::args::create::Args;

    fn object(line: &str) -> Value {
        let args = Args::parse_from(std::iter::once("x").chain(line.split_whitespace()));
        manifest(&args.flags, args.connection.namespace.as_deref()).unwrap()
    }

    #[test]
    fn only_given_flags_are_in_the_object() {
        assert_eq!(
            object("demo"),
            json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1",
                "kind": "Workspace",
                "metadata": {"name": "demo"},
                "spec": {"displayName": "demo"},
            })
        );
    }

    #[test]
    fn every_flag_sets_its_field() {
        let line =
            "demo --template t --image uv --cpu 2 --memory 4Gi --storage 10Gi --display-name Demo -n team";
        assert_eq!(
            object(line),
            json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1",
                "kind": "Workspace",
                "metadata": {"name": "demo", "namespace": "team"},
                "spec": {
                    "displayName": "Demo",
                    "templateRef": "t",
                    "image": "uv",
                    "resources": {
                        "requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}
                    },
                    "storage": {"size": "10Gi"},
                },
            })
        );
    }
}
