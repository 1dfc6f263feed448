//! Kinds -> which fields of their JSON are parsed (pure).

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate, names};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    storage::v1::StorageClass,
};
use kube::core::PartialObjectMeta;

use super::partial::{FieldMask, Partial};

impl Partial for Workspace {}
impl Partial for WorkspaceTemplate {}
impl Partial for WorkspaceManager {}
impl Partial for WorkspaceExecutionProfile {}
impl Partial for WorkspaceShare {}
impl Partial for StorageClass {}
impl Partial for PersistentVolumeClaim {}
impl Partial for NetworkPolicy {}

/// Of the answer to a write, only the version.
impl<K> Partial for PartialObjectMeta<K> {
    const FIELDS: FieldMask = FieldMask::Only(&[(
        "metadata",
        FieldMask::Only(&[("uid", FieldMask::All), ("resourceVersion", FieldMask::All)]),
    )]);
}

impl Partial for Deployment {
    const FIELDS: FieldMask = FieldMask::Most(&[
        (
            "metadata",
            FieldMask::Most(&[("managedFields", FieldMask::Hands)]),
        ),
        (
            "spec",
            FieldMask::Most(&[("selector", FieldMask::Drop), ("template", TEMPLATE)]),
        ),
        (
            "status",
            FieldMask::Most(&[
                ("replicas", FieldMask::Drop),
                ("updatedReplicas", FieldMask::Drop),
                ("readyReplicas", FieldMask::Drop),
                ("availableReplicas", FieldMask::Drop),
                ("unavailableReplicas", FieldMask::Drop),
            ]),
        ),
    ]);
}

const TEMPLATE: FieldMask = FieldMask::Only(&[
    ("metadata", FieldMask::Only(&[("labels", FieldMask::All)])),
    (
        "spec",
        FieldMask::Only(&[
            ("containers", FieldMask::Each(&NAME)),
            ("initContainers", FieldMask::Each(&NAME)),
            ("serviceAccountName", FieldMask::All),
            ("volumes", FieldMask::Each(&VOLUME)),
        ]),
    ),
]);
const NAME: FieldMask = FieldMask::Only(&[("name", FieldMask::All)]);

impl Partial for ReplicaSet {
    const FIELDS: FieldMask = FieldMask::Most(&[
        ("metadata", MARK),
        (
            "spec",
            FieldMask::Most(&[("selector", FieldMask::Drop), ("template", FieldMask::Drop)]),
        ),
        (
            "status",
            FieldMask::Only(&[
                ("observedGeneration", FieldMask::All),
                ("replicas", FieldMask::All),
                ("conditions", FieldMask::All),
            ]),
        ),
    ]);
}

const MARK: FieldMask = FieldMask::Most(&[
    ("managedFields", FieldMask::Drop),
    ("generateName", FieldMask::Drop),
    (
        "annotations",
        FieldMask::Only(&[(names::WORKSPACE_UID, FieldMask::All)]),
    ),
    (
        "labels",
        FieldMask::Only(&[
            (names::WORKSPACE_LABEL, FieldMask::All),
            (names::RUN_ID_LABEL, FieldMask::All),
        ]),
    ),
    (
        "ownerReferences",
        FieldMask::Each(&FieldMask::Only(&[
            ("blockOwnerDeletion", FieldMask::All),
            ("controller", FieldMask::All),
            ("uid", FieldMask::All),
        ])),
    ),
]);

impl Partial for Pod {
    const FIELDS: FieldMask = FieldMask::Only(&[
        ("metadata", MARK),
        (
            "spec",
            FieldMask::Only(&[
                ("nodeName", FieldMask::All),
                ("volumes", FieldMask::Each(&VOLUME)),
                ("initContainers", FieldMask::Each(&CONTAINER)),
                ("containers", FieldMask::Each(&CONTAINER)),
            ]),
        ),
        (
            "status",
            FieldMask::Only(&[
                ("phase", FieldMask::All),
                ("reason", FieldMask::All),
                ("message", FieldMask::All),
                ("conditions", FieldMask::All),
                ("podIP", FieldMask::All),
                ("nominatedNodeName", FieldMask::All),
                ("startTime", FieldMask::All),
                ("initContainerStatuses", FieldMask::Each(&STATE)),
                ("containerStatuses", FieldMask::Each(&STATE)),
            ]),
        ),
    ]);
}

const VOLUME: FieldMask = FieldMask::Only(&[
    ("name", FieldMask::All),
    ("persistentVolumeClaim", FieldMask::All),
]);

const CONTAINER: FieldMask = FieldMask::Only(&[
    ("name", FieldMask::All),
    ("image", FieldMask::All),
    ("ports", FieldMask::All),
    (
        "readinessProbe",
        FieldMask::Only(&[("tcpSocket", FieldMask::All)]),
    ),
    ("resources", FieldMask::Only(&[("limits", FieldMask::All)])),
    ("restartPolicy", FieldMask::All),
]);

const STATE: FieldMask = FieldMask::Only(&[
    ("name", FieldMask::All),
    ("ready", FieldMask::All),
    ("started", FieldMask::All),
    ("restartCount", FieldMask::All),
    ("state", FieldMask::All),
    ("lastState", FieldMask::All),
]);

impl Partial for Service {
    const FIELDS: FieldMask = FieldMask::Most(&[
        ("metadata", FieldMask::Most(&[("managedFields", FieldMask::Drop)])),
        (
            "spec",
            FieldMask::Only(&[
                ("type", FieldMask::All),
                ("selector", FieldMask::All),
                ("ports", FieldMask::All),
            ]),
        ),
        ("status", FieldMask::Drop),
    ]);
}

impl Partial for ServiceAccount {
    const FIELDS: FieldMask = FieldMask::Most(&[
        ("metadata", FieldMask::Most(&[("managedFields", FieldMask::Drop)])),
        ("secrets", FieldMask::Drop),
        ("imagePullSecrets", FieldMask::Drop),
    ]);
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde_json::{Value, json};
    use testkit::objects;

    use super::{
        super::{
            Parsed,
            partial::project,
            trim::{Trim, drop_bookkeeping},
        },
        *,
    };
    use crate::testing;

    /// The kept object must be the same, whether the text is projected before parsing or not, with every field set that the API server may
    /// send.
    fn is_skimmed_rightly<K: Trim + kube::Resource<DynamicType = ()> + Clone + PartialEq + Debug>(
        object: &Value,
    ) {
        let mut object = object.clone();
        object["metadata"]["generateName"] = json!("x-");
        object["metadata"]["annotations"]["example.com/a"] = json!("b");
        object["metadata"]["labels"]["example.com/a"] = json!("b");
        object["metadata"]["managedFields"] = json!([
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:status": {}}},
        ]);
        let kept = |text: &str| {
            let mut object: K = serde_json::from_str(text).unwrap();
            object.trim();
            drop_bookkeeping(object.meta_mut());
            object
        };
        let text = object.to_string();
        let skimmed = project(&text, &K::FIELDS);
        assert!(skimmed.len() < text.len());
        assert_eq!(kept(&skimmed), kept(&text));
    }

    #[test]
    fn an_answer_tells_its_version() {
        let mut workspace = serde_json::to_value(objects::workspace("demo")).unwrap();
        workspace["metadata"]["resourceVersion"] = json!("12");
        let answer: Parsed<PartialObjectMeta<Workspace>> =
            serde_json::from_str(&workspace.to_string()).unwrap();
        let meta = answer.0.unwrap().metadata.clone();
        let uid = workspace["metadata"]["uid"].as_str();
        assert_eq!(
            (meta.uid.as_deref(), meta.resource_version.as_deref()),
            (uid, Some("12"))
        );
        assert_eq!((meta.name, meta.annotations), (None, None));
    }

    #[test]
    fn what_is_not_read_would_not_be_kept() {
        let observed = testing::running();
        let mut deployment = serde_json::to_value(observed.deployment.as_deref()).unwrap();
        deployment["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "i", "image": "x"}]);
        deployment["spec"]["template"]["spec"]["serviceAccountName"] = json!("a");
        deployment["status"] = json!({"observedGeneration": 3, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
            "availableReplicas": 1, "unavailableReplicas": 1, "collisionCount": 2, "conditions": [
            {"type": "ReplicaFailure", "status": "True"}, {"type": "Available", "status": "True"}]});
        is_skimmed_rightly::<Deployment>(&deployment);
        let set = objects::replica_set_of(observed.deployment.as_deref().unwrap());
        let mut stored = serde_json::to_value(&set).unwrap();
        stored["spec"]["template"] = json!({"spec": {"containers": [{"name": "c"}]}});
        is_skimmed_rightly::<ReplicaSet>(&stored);
        let conditions = json!([{"type": "ReplicaFailure", "status": "True"}]);
        for replicas in [0, 1] {
            stored["spec"]["replicas"] = json!(0);
            stored["status"] = json!({"observedGeneration": 3, "replicas": replicas, "fullyLabeledReplicas": 1, "readyReplicas": 1,
                "availableReplicas": 1, "conditions": conditions});
            is_skimmed_rightly::<ReplicaSet>(&stored);
        }
        let status = json!({"name": "c", "ready": true, "started": true, "restartCount": 2, "image": "i", "imageID": "x",
            "containerID": "y", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}});
        let container = json!({"name": "c", "image": "i", "env": [{"name": "A"}], "ports": [{"containerPort": 1, "name": "http"}],
            "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1}, "restartPolicy": "Always",
            "resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}});
        let mut pod = serde_json::to_value(objects::ready(objects::pod_of(&set), "10.0.0.9")).unwrap();
        pod["spec"] = json!({"nodeName": "n", "containers": [container], "initContainers": [container], "hostname": "h",
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]});
        for (key, value) in [
            ("reason", json!("Evicted")),
            ("message", json!("m")),
            ("nominatedNodeName", json!("n")),
            ("startTime", json!("2026-01-01T00:00:00Z")),
            ("qosClass", json!("Burstable")),
            ("initContainerStatuses", json!([status])),
            ("containerStatuses", json!([status])),
        ] {
            pod["status"][key] = value;
        }
        is_skimmed_rightly::<Pod>(&pod);
        let mut service = serde_json::to_value(observed.service.as_deref()).unwrap();
        service["spec"]["clusterIP"] = json!("10.96.0.7");
        service["status"] = json!({"loadBalancer": {}});
        is_skimmed_rightly::<Service>(&service);
        is_skimmed_rightly::<NetworkPolicy>(&serde_json::to_value(observed.policy.as_deref()).unwrap());
        is_skimmed_rightly::<PersistentVolumeClaim>(
            &serde_json::to_value(observed.claim.as_deref()).unwrap(),
        );
        is_skimmed_rightly::<ServiceAccount>(&json!({"metadata": {"name": "a"}, "secrets": [{"name": "s"}],
            "imagePullSecrets": [{"name": "s"}], "automountServiceAccountToken": false}));
    }
}
