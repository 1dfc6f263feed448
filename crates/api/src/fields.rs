//! Field of a spec -> what a change of it does (pure).
//!
//! A new field belongs in one list of its spec, or this file does not compile.

/// A list of JSON names each. Together they have every field of the spec.
macro_rules! lists {
    ($spec:ident: $($(#[$doc:meta])* $list:ident { $($field:ident = $name:literal,)* })*) => {
        $($(#[$doc])* pub const $list: &[&str] = &[$($name),*];)*

        const _: fn(&$spec) = |$spec { $($($field: _,)*)* }| ();

        #[cfg(test)]
        pub(super) const ALL: &[&[&str]] = &[$($list),*];
    };
}

/// Fields of a Workspace.
pub mod workspace {
    use crate::WorkspaceSpec;

    lists! { WorkspaceSpec:
        /// Parts of the pod: the operator records them on it, and a change waits for the next start.
        IN_POD {
            affinity = "affinity",
            container_config = "containerConfig",
            container_security_context = "containerSecurityContext",
            env = "env",
            execution_profile_ref = "executionProfileRef",
            image = "image",
            init_containers = "initContainers",
            lifecycle = "lifecycle",
            node_selector = "nodeSelector",
            options = "options",
            pod_annotations = "podAnnotations",
            pod_security_context = "podSecurityContext",
            port = "port",
            readiness_probe = "readinessProbe",
            recovery_mode = "recoveryMode",
            resources = "resources",
            shm_size = "shmSize",
            storage = "storage",
            tolerations = "tolerations",
            volumes = "volumes",
        }
        /// Choose what the pod gets, or when. They show in the fields of the pod, and are not recorded themselves.
        CHOICES {
            manager_ref = "managerRef",
            template_ref = "templateRef",
            update_policy = "updatePolicy",
            variables = "variables",
        }
        /// Without effect on what runs.
        NOT_ABOUT_PODS {
            display_name = "displayName",
            desired_status = "desiredStatus",
            ownership_type = "ownershipType",
            access_type = "accessType",
            app_type = "appType",
            idle_shutdown = "idleShutdown",
            limits = "limits",
        }
    }
}

/// Fields of a `WorkspaceExecutionProfile`.
pub mod execution_profile {
    use crate::WorkspaceExecutionProfileSpec;

    lists! { WorkspaceExecutionProfileSpec:
        /// Parts of the pod, as those of a workspace.
        IN_POD {
            automount_token = "automountToken",
            env = "env",
            image_pull_secrets = "imagePullSecrets",
            priority_class_name = "priorityClassName",
            projected_tokens = "projectedTokens",
            runtime_class_name = "runtimeClassName",
            secret_mounts = "secretMounts",
            service_account = "serviceAccount",
        }
    }
}

/// Fields of a `WorkspaceTemplate`.
pub mod template {
    use crate::WorkspaceTemplateSpec;

    lists! { WorkspaceTemplateSpec:
        /// May hold variables. They are expanded first, because others may name the claims.
        DISKS {
            default_volumes = "defaultVolumes",
            primary_storage = "primaryStorage",
        }
        /// May hold variables, which are expanded second. Images of init containers know only built-in ones.
        PARTS {
            environment_variables = "environmentVariables",
            base_labels = "baseLabels",
            base_annotations = "baseAnnotations",
            default_container_config = "defaultContainerConfig",
            default_node_selector = "defaultNodeSelector",
            default_affinity = "defaultAffinity",
            default_tolerations = "defaultTolerations",
            default_lifecycle = "defaultLifecycle",
            default_readiness_probe = "defaultReadinessProbe",
            default_pod_security_context = "defaultPodSecurityContext",
            default_container_security_context = "defaultContainerSecurityContext",
            default_init_containers = "defaultInitContainers",
        }
        /// Choices decide about them before variables are replaced: they are laid over the fields above, or say which disks there are.
        OPTIONS {
            options = "options",
            volume_claims = "volumeClaims",
        }
        /// Further objects, which hold few variables: those that no user of a workspace sets.
        OBJECTS {
            objects = "objects",
        }
        /// Images, which may hold built-in variables alone: no workspace may change them.
        IMAGES {
            default_image = "defaultImage",
            allowed_images = "allowedImages",
        }
        /// Hold no variables: bounds, which no workspace may change, and the rest.
        PLAIN {
            display_name = "displayName",
            description = "description",
            allow_custom_images = "allowCustomImages",
            default_resources = "defaultResources",
            resource_bounds = "resourceBounds",
            max_shm_size = "maxShmSize",
            env_requirements = "envRequirements",
            label_requirements = "labelRequirements",
            allow_secondary_storages = "allowSecondaryStorages",
            allowed_pod_annotations = "allowedPodAnnotations",
            default_port = "defaultPort",
            default_shm_size = "defaultShmSize",
            allow_custom_init_containers = "allowCustomInitContainers",
            allow_custom_scheduling = "allowCustomScheduling",
            allow_custom_security_context = "allowCustomSecurityContext",
            security_context_bounds = "securityContextBounds",
            allow_recovery = "allowRecovery",
            pod_security = "podSecurity",
            pod_template = "podTemplate",
            host_users = "hostUsers",
            default_idle_shutdown = "defaultIdleShutdown",
            idle_shutdown_overrides = "idleShutdownOverrides",
            default_limits = "defaultLimits",
            limit_bounds = "limitBounds",
            default_ownership_type = "defaultOwnershipType",
            default_access_type = "defaultAccessType",
            app_type = "appType",
            manager_ref = "managerRef",
            execution_profile_ref = "executionProfileRef",
            presentation = "presentation",
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_lists_name_the_fields_as_the_definitions_do() {
        for (crd, lists) in [
            (crate::Workspace::crd(), workspace::ALL),
            (crate::WorkspaceExecutionProfile::crd(), execution_profile::ALL),
            (crate::WorkspaceTemplate::crd(), template::ALL),
        ] {
            let schema = json!(crd.spec.versions[0].schema);
            let spec = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"];
            let defined: Vec<_> = spec.as_object().unwrap().keys().collect();
            let mut listed = lists.concat();
            listed.sort_unstable();
            assert_eq!(listed, defined);
        }
    }
}
