//! Random workspaces and templates -> properties that must always hold (tests).

use api::workspace::{AccessType, ContainerConfig, ResourceRequirements, Storage};
use api::{Workspace, WorkspaceSpec, WorkspaceTemplate};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use testkit::random::{SETTINGS, manager, profile, template, template_spec, workspace, workspace_spec};

use crate::admission::References;
use crate::checks::resources::bounds_of;
use crate::effective::{Effective, Home, effective};
use crate::{Quantity, Settings, admit, judge};

pub(crate) fn settings() -> Settings {
    Settings::parse(SETTINGS).unwrap()
}

/// A workspace whose spec sets all of its effective values itself.
fn written(spec: &WorkspaceSpec, effective: &Effective) -> WorkspaceSpec {
    let (mount_path, sub_path) = (effective.home.mount_path().to_owned(), effective.home.sub_path());
    let storage = Storage {
        mount_path: Some(mount_path),
        sub_path: sub_path.map(str::to_owned),
        ..Storage::default()
    };
    let pod = effective.pod.clone();
    WorkspaceSpec {
        image: Some(effective.image.clone()),
        resources: Some(ResourceRequirements::clone(&effective.resources)),
        storage: match &effective.home {
            Home::Disk {
                size, class, retain, ..
            } => Some(Storage {
                size: Some(size.clone()),
                storage_class_name: class.clone(),
                retain: Some(*retain),
                ..storage
            }),
            Home::Claim { name, .. } => Some(Storage {
                claim_name: Some(name.clone()),
                ..storage
            }),
            Home::Ephemeral { .. } => None,
        },
        shm_size: effective.shm_size.clone(),
        volumes: effective.volumes.clone(),
        port: Some(effective.port),
        container_config: Some(effective.container.clone()),
        env: effective.env.clone(),
        init_containers: pod.init_containers,
        lifecycle: pod.lifecycle,
        readiness_probe: pod.readiness_probe,
        node_selector: pod.node_selector,
        affinity: pod.affinity,
        tolerations: pod.tolerations,
        pod_security_context: pod.pod_security_context,
        container_security_context: pod.container_security_context,
        ownership_type: Some(effective.ownership),
        access_type: Some(effective.access),
        limits: Some(effective.limits),
        manager_ref: effective.manager_ref.clone(),
        execution_profile_ref: effective.profile_ref.clone(),
        ..spec.clone()
    }
}

/// `value` with one leaf or branch replaced. `at` counts down to that place.
fn replaced(value: &Value, at: &mut usize, by: &Value) -> Value {
    if *at == 0 {
        *at = usize::MAX;
        return by.clone();
    }
    *at = at.saturating_sub(1);
    match value {
        Value::Array(items) => items.iter().map(|item| replaced(item, at, by)).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), replaced(value, at, by)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[{}$.a-z/:]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("\\PC{0,6}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn parts_that_are_valid_alone_are_valid_together(spec in workspace_spec(false), of_template in template_spec(false), refers: bool) {
        let (workspace, template, manager, profile) = (workspace(spec, refers), template(&of_template), manager(), profile());
        let references = References::managed_by([&manager])
            .with_template(refers.then_some(&template))
            .with_profile(Some(&profile));
        let found = judge(&workspace, &references, &settings());
        prop_assert_eq!(found.violations.map(|found| found.to_string()), None);
    }

    #[test]
    fn recovery_gives_no_image_right_secret_or_size_that_the_template_does_not_give(
        spec in workspace_spec(false), of_template in template_spec(false), refers: bool
    ) {
        let (ordinary, template, manager, profile) = (workspace(spec, refers), template(&of_template), manager(), profile());
        let references = References::managed_by([&manager])
            .with_template(refers.then_some(&template))
            .with_profile(Some(&profile));
        let mut in_recovery = ordinary.clone();
        in_recovery.spec.recovery_mode = true;
        let ordinary = admit(&ordinary, &references, &settings()).unwrap();
        prop_assert_eq!(&ordinary.recovery_home, &None);
        let recovery = match admit(&in_recovery, &references, &settings()) {
            Ok(recovery) => recovery,
            // The one refusal here: there is no disk.
            Err(refused) => {
                prop_assert!(matches!(ordinary.home, Home::Ephemeral { .. }), "{}", refused);
                return Ok(());
            }
        };
        prop_assert_eq!(&recovery.image, "r/recovery:1");
        prop_assert_eq!(recovery.recovery_home.as_deref(), Some("/home/jovyan"));
        prop_assert_eq!(recovery.home.mount_path(), "/home/jovyan/disk");
        prop_assert_eq!(recovery.home.sub_path(), ordinary.home.sub_path());
        prop_assert!(recovery.env.is_empty() && recovery.volumes.is_empty() && recovery.profile.is_none());
        prop_assert_eq!(&recovery.container, &ContainerConfig::default());
        let pod = &recovery.pod;
        prop_assert!(pod.init_containers.is_empty() && pod.lifecycle.is_none() && pod.readiness_probe.is_none());
        // Whose files these are and which policies, people and limits hold is as ever.
        prop_assert_eq!(&pod.pod_security_context, &ordinary.pod.pod_security_context);
        prop_assert_eq!(&pod.node_selector, &ordinary.pod.node_selector);
        prop_assert_eq!(&pod.tolerations, &ordinary.pod.tolerations);
        prop_assert_eq!(&recovery.base_labels, &ordinary.base_labels);
        prop_assert_eq!(recovery.pod_security, ordinary.pod_security);
        prop_assert_eq!((recovery.access, recovery.ownership), (AccessType::OwnerOnly, ordinary.ownership));
        prop_assert_eq!((&recovery.url, recovery.port), (&ordinary.url, ordinary.port));
        prop_assert_eq!((recovery.limits, &recovery.manager), (ordinary.limits, &ordinary.manager));
        prop_assert_eq!(recovery.has_assertions, ordinary.has_assertions);
        prop_assert_eq!(recovery.network_policy, ordinary.network_policy);
        for (name, value) in recovery.annotations {
            let of_template = template.spec.base_annotations.iter().any(|it| it.name == name);
            prop_assert!(refers && of_template, "{} {}", name, value);
        }
        let bounds = template.spec.resource_bounds.as_ref().filter(|_| refers);
        for amounts in [&recovery.resources.requests, &recovery.resources.limits] {
            prop_assert!(amounts.keys().all(|name| ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str())));
            for (name, most) in [("cpu", "1"), ("memory", "2Gi")] {
                let amount = Quantity::try_from(&amounts[name]).unwrap();
                prop_assert!(amount <= most.parse().unwrap(), "{}", name);
                let max = bounds_of(bounds, name).into_iter().filter_map(|bounds| bounds.max.as_ref());
                for max in max {
                    prop_assert!(amount <= Quantity::try_from(max).unwrap(), "{}", name);
                }
            }
        }
    }

    #[test]
    fn effective_values_written_into_the_spec_are_effective_again(
        spec in workspace_spec(true), of_template in template_spec(true), refers: bool
    ) {
        let (workspace, template) = (workspace(spec, refers), template(&of_template));
        let template = refers.then_some(&template.spec);
        let once = effective(&workspace.spec, template, &settings());
        let again = effective(&written(&workspace.spec, &once), template, &settings());
        prop_assert_eq!(once, again);
    }

    #[test]
    fn rules_never_panic_on_parsed_objects(
        spec in workspace_spec(true), of_template in template_spec(true), at in 0_usize..200, by in any_json(), in_template: bool
    ) {
        let (mut spec, mut of_template) = (spec, of_template);
        spec["templateRef"] = json!("t");
        let target = if in_template { &mut of_template } else { &mut spec };
        *target = replaced(target, &mut at.clone(), &by);
        let object = |spec: &Value| json!({"metadata": {"name": "demo", "namespace": "n", "uid": "u"}, "spec": spec});
        if let (Ok(workspace), Ok(template)) = (
            serde_json::from_value::<Workspace>(object(&spec)),
            serde_json::from_value::<WorkspaceTemplate>(object(&of_template)),
        ) {
            let manager = manager();
            let references = References::managed_by([&manager]).with_template(Some(&template));
            let validation = judge(&workspace, &references, &settings());
            prop_assert_eq!(
                admit(&workspace, &references, &settings()).is_ok(),
                validation.violations.is_none() && validation.missing_reference.is_none()
            );
        }
    }
}
