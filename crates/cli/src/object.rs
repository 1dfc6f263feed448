//! Arguments -> the manifest to create (pure).

use std::collections::BTreeMap;

use api::workspace::{IdleShutdown, ResourceRequirements, Storage};
use api::{Workspace, WorkspaceSpec};
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;
use serde_json::Value;

use crate::args::CreateFlags;
use crate::args::Idle;

/// The manifest with exactly what the flags say. It has a namespace only if a flag names one, so that it fits any namespace.
/// It omits `desiredStatus`, so that a manifest in Git does not start a workspace that a user stopped.
/// It omits `updatePolicy`, because no flag sets it.
pub(crate) fn manifest(args: &CreateFlags, namespace: Option<&str>) -> serde_json::Result<Value> {
    let mut manifest = serde_json::to_value(workspace(args, namespace))?;
    if let Some(spec) = manifest["spec"].as_object_mut() {
        spec.remove("desiredStatus");
        spec.remove("updatePolicy");
    }
    for (path, value) in args.further.fields().filter(|(_, value)| !value.is_null()) {
        *path
            .iter()
            .fold(&mut manifest["spec"], |parent, name| &mut parent[name]) = value;
    }
    Ok(manifest)
}

fn workspace(args: &CreateFlags, namespace: Option<&str>) -> Workspace {
    let gpu = args.gpu.as_ref();
    let gpu = gpu.map(|gpu| (gpu.resource.clone(), Quantity(gpu.number.to_string())));
    let amounts = [("cpu", &args.cpu), ("memory", &args.memory)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Quantity(value.clone()?))))
        .chain(gpu)
        .collect::<BTreeMap<_, _>>();
    let resources = (!amounts.is_empty()).then(|| ResourceRequirements {
        requests: amounts.clone(),
        limits: amounts.clone(),
    });
    let name = args.name.clone().unwrap_or_default();
    Workspace {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: namespace.map(str::to_owned),
            labels: (!args.label.is_empty()).then(|| args.label.iter().cloned().collect()),
            ..ObjectMeta::default()
        },
        spec: WorkspaceSpec {
            display_name: args.display_name.clone().unwrap_or(name),
            template_ref: args.template.clone(),
            image: args.image.clone(),
            resources,
            execution_profile_ref: args.profile.clone(),
            env: args.env.iter().map(variable).collect(),
            idle_shutdown: idle_shutdown(args.idle, args.open_tab),
            options: args.option.iter().cloned().collect(),
            variables: args.variable.iter().cloned().collect(),
            storage: args.storage.clone().map(|size| Storage {
                size: Some(Quantity(size)),
                ..Storage::default()
            }),
            ..WorkspaceSpec::default()
        },
        status: None,
    }
}

fn variable((name, value): &(String, String)) -> EnvVar {
    EnvVar {
        name: name.clone(),
        value: Some(value.clone()),
        ..EnvVar::default()
    }
}

fn idle_shutdown(idle: Option<Idle>, open_tab: Option<u64>) -> Option<IdleShutdown> {
    let (enabled, minutes) = match idle {
        Some(Idle::After(minutes)) => (Some(true), Some(minutes)),
        Some(Idle::Never) => (Some(false), None),
        None => (None, None),
    };
    let number = |minutes: Option<u64>| minutes.and_then(|minutes| i32::try_from(minutes).ok());
    (idle.is_some() || open_tab.is_some()).then(|| IdleShutdown {
        enabled,
        idle_timeout_in_minutes: number(minutes),
        open_tab_minutes: number(open_tab),
        detection: None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;
    use crate::args::CreateArgs;

    fn object(line: &str) -> Value {
        let args = CreateArgs::parse_from(std::iter::once("x").chain(line.split_whitespace()));
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
    fn an_open_page_s_time_alone_leaves_the_rest_to_the_template() {
        let idle = |line: &str| object(line)["spec"]["idleShutdown"].clone();
        assert_eq!(idle("demo --open-tab 0"), json!({"openTabMinutes": 0}));
        assert_eq!(idle("demo --idle never"), json!({"enabled": false}));
    }

    #[test]
    fn every_flag_sets_its_field() {
        let line = "demo --template t --image uv --cpu 2 --memory 4Gi --storage 10Gi --display-name Demo -n team --gpu 1 --profile gpu \
             --env A=b=c --env B= --idle 90m --open-tab 2h --variable project=x \
             --option gpu=a100 --option size=large --max-age 12h --failed-timeout 1h --start-timeout default \
             --stopped-retention 30 --retain --shared-memory 1Gi \
             -l course=ml,term=2 --label a/b=";
        assert_eq!(
            object(line),
            json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1",
                "kind": "Workspace",
                "metadata": {"name": "demo", "namespace": "team", "labels": {"a/b": "", "course": "ml", "term": "2"}},
                "spec": {
                    "displayName": "Demo",
                    "templateRef": "t",
                    "image": "uv",
                    "resources": {
                        "requests": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
                        "limits": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
                    },
                    "executionProfileRef": "gpu",
                    "env": [{"name": "A", "value": "b=c"}, {"name": "B", "value": ""}],
                    "idleShutdown": {"enabled": true, "idleTimeoutInMinutes": 90, "openTabMinutes": 120},
                    "options": {"gpu": "a100", "size": "large"},
                    "variables": {"project": "x"},
                    "storage": {"size": "10Gi", "retain": "Retain"},
                    "limits": {"maxAgeMinutes": 720, "failedTimeoutMinutes": 60, "stoppedRetentionDays": 30},
                    "shmSize": "1Gi",
                },
            })
        );
    }
}
