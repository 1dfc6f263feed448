//! Kinds -> what of their text is read (pure).

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate, names};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    storage::v1::StorageClass,
};
use kube::core::PartialObjectMeta;

use super::skim::{Mask, Skim};

impl Skim for Workspace {}
impl Skim for WorkspaceTemplate {}
impl Skim for WorkspaceManager {}
impl Skim for WorkspaceExecutionProfile {}
impl Skim for WorkspaceShare {}
impl Skim for StorageClass {}
impl Skim for PersistentVolumeClaim {}
impl Skim for NetworkPolicy {}

/// Of the answer to a write: which version it made of what.
impl<K> Skim for PartialObjectMeta<K> {
    const MASK: Mask = Mask::Only(&[(
        "metadata",
        Mask::Only(&[("uid", Mask::All), ("resourceVersion", Mask::All)]),
    )]);
}

impl Skim for Deployment {
    const MASK: Mask = Mask::Most(&[
        ("metadata", Mask::Most(&[("managedFields", Mask::Hands)])),
        (
            "spec",
            Mask::Most(&[("selector", Mask::Drop), ("template", TEMPLATE)]),
        ),
        (
            "status",
            Mask::Most(&[
                ("replicas", Mask::Drop),
                ("updatedReplicas", Mask::Drop),
                ("readyReplicas", Mask::Drop),
                ("availableReplicas", Mask::Drop),
                ("unavailableReplicas", Mask::Drop),
            ]),
        ),
    ]);
}

const TEMPLATE: Mask = Mask::Only(&[
    ("metadata", Mask::Only(&[("labels", Mask::All)])),
    (
        "spec",
        Mask::Only(&[
            ("containers", Mask::Each(&NAME)),
            ("initContainers", Mask::Each(&NAME)),
            ("serviceAccountName", Mask::All),
            ("volumes", Mask::Each(&VOLUME)),
        ]),
    ),
]);
const NAME: Mask = Mask::Only(&[("name", Mask::All)]);

impl Skim for ReplicaSet {
    const MASK: Mask = Mask::Most(&[
        ("metadata", MARK),
        (
            "spec",
            Mask::Most(&[("selector", Mask::Drop), ("template", Mask::Drop)]),
        ),
        (
            "status",
            Mask::Only(&[
                ("observedGeneration", Mask::All),
                ("replicas", Mask::All),
                ("conditions", Mask::All),
            ]),
        ),
    ]);
}

const MARK: Mask = Mask::Most(&[
    ("managedFields", Mask::Drop),
    ("generateName", Mask::Drop),
    ("annotations", Mask::Only(&[(names::WORKSPACE_UID, Mask::All)])),
    (
        "labels",
        Mask::Only(&[
            (names::WORKSPACE_LABEL, Mask::All),
            (names::RUN_ID_LABEL, Mask::All),
        ]),
    ),
    (
        "ownerReferences",
        Mask::Each(&Mask::Only(&[
            ("blockOwnerDeletion", Mask::All),
            ("controller", Mask::All),
            ("uid", Mask::All),
        ])),
    ),
]);

impl Skim for Pod {
    const MASK: Mask = Mask::Only(&[
        ("metadata", MARK),
        (
            "spec",
            Mask::Only(&[
                ("nodeName", Mask::All),
                ("volumes", Mask::Each(&VOLUME)),
                ("initContainers", Mask::Each(&CONTAINER)),
                ("containers", Mask::Each(&CONTAINER)),
            ]),
        ),
        (
            "status",
            Mask::Only(&[
                ("phase", Mask::All),
                ("reason", Mask::All),
                ("message", Mask::All),
                ("conditions", Mask::All),
                ("podIP", Mask::All),
                ("nominatedNodeName", Mask::All),
                ("startTime", Mask::All),
                ("initContainerStatuses", Mask::Each(&STATE)),
                ("containerStatuses", Mask::Each(&STATE)),
            ]),
        ),
    ]);
}

const VOLUME: Mask = Mask::Only(&[("name", Mask::All), ("persistentVolumeClaim", Mask::All)]);

const CONTAINER: Mask = Mask::Only(&[
    ("name", Mask::All),
    ("image", Mask::All),
    ("ports", Mask::All),
    ("readinessProbe", Mask::Only(&[("tcpSocket", Mask::All)])),
    ("resources", Mask::Only(&[("limits", Mask::All)])),
    ("restartPolicy", Mask::All),
]);

const STATE: Mask = Mask::Only(&[
    ("name", Mask::All),
    ("ready", Mask::All),
    ("started", Mask::All),
    ("restartCount", Mask::All),
    ("state", Mask::All),
    ("lastState", Mask::All),
]);

impl Skim for Service {
    const MASK: Mask = Mask::Most(&[
        ("metadata", Mask::Most(&[("managedFields", Mask::Drop)])),
        (
            "spec",
            Mask::Only(&[("type", Mask::All), ("selector", Mask::All), ("ports", Mask::All)]),
        ),
        ("status", Mask::Drop),
    ]);
}

impl Skim for ServiceAccount {
    const MASK: Mask = Mask::Most(&[
        ("metadata", Mask::Most(&[("managedFields", Mask::Drop)])),
        ("secrets", Mask::Drop),
        ("imagePullSecrets", Mask::Drop),
    ]);
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde_json::{Value, json};
    use testkit::objects;

    use super::{
        super::{
            Guarded,
            compact::{Compact, drop_bookkeeping},
            skim::skim,
        },
        *,
    };
    use crate::testing;

    /// What is kept of an object is the same whether it is skimmed before it is parsed or not, with every field set that the API
    /// server may send with it.
    fn is_skimmed_rightly<K: Compact + kube::Resource<DynamicType = ()> + Clone + PartialEq + Debug>(
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
            object.compact();
            drop_bookkeeping(object.meta_mut());
            object
        };
        let text = object.to_string();
        let skimmed = skim(&text, &K::MASK);
        assert!(skimmed.len() < text.len());
        assert_eq!(kept(&skimmed), kept(&text));
    }

    #[test]
    fn an_answer_tells_its_version() {
        let mut workspace = serde_json::to_value(objects::workspace("demo")).unwrap();
        workspace["metadata"]["resourceVersion"] = json!("12");
        let answer: Guarded<PartialObjectMeta<Workspace>> =
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
        let world = testing::running();
        let mut deployment = serde_json::to_value(world.deployment.as_deref()).unwrap();
        deployment["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "i", "image": "x"}]);
        deployment["spec"]["template"]["spec"]["serviceAccountName"] = json!("a");
        deployment["status"] = json!({"observedGeneration": 3, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
            "availableReplicas": 1, "unavailableReplicas": 1, "collisionCount": 2, "conditions": [
            {"type": "ReplicaFailure", "status": "True"}, {"type": "Available", "status": "True"}]});
        is_skimmed_rightly::<Deployment>(&deployment);
        let set = objects::replica_set_of(world.deployment.as_deref().unwrap());
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
        let mut service = serde_json::to_value(world.service.as_deref()).unwrap();
        service["spec"]["clusterIP"] = json!("10.96.0.7");
        service["status"] = json!({"loadBalancer": {}});
        is_skimmed_rightly::<Service>(&service);
        is_skimmed_rightly::<NetworkPolicy>(&serde_json::to_value(world.policy.as_deref()).unwrap());
        is_skimmed_rightly::<PersistentVolumeClaim>(&serde_json::to_value(world.claim.as_deref()).unwrap());
        is_skimmed_rightly::<ServiceAccount>(&json!({"metadata": {"name": "a"}, "secrets": [{"name": "s"}],
            "imagePullSecrets": [{"name": "s"}], "automountServiceAccountToken": false}));
    }
}
