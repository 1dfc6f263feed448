//! Templates with a pod, options and further disks -> stored, or refused by field and remedy.

use serde_json::{Value, json};

use crate::catalog::template;
use crate::cluster::Cluster;

/// A template that is stored, with these fields besides.
fn with(fields: &Value) -> Value {
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    let mut spec = json!({
        "resourceBounds": {"cpu": {"max": "4"}},
        "options": [{"name": "size", "choices": [{"name": "s", "set": {"resources": {"limits": {"cpu": "4"}}}}]}],
        "podTemplate": {"spec": {
            "containers": [{"name": "sidecar", "image": "r/db:1", "resources": {"limits": amounts}}, {"name": "workspace"}],
        }},
    });
    json_patch::merge(&mut spec, fields);
    template(spec)
}

fn of_pod(fields: &Value) -> Value {
    with(&json!({"podTemplate": {"spec": fields}}))
}

#[tokio::test]
async fn each_field_of_a_pod_that_another_field_replaces_is_refused_when_it_is_written() {
    let webhook = Cluster::default().webhook();
    let answer = webhook.validate_create("root", &with(&json!({}))).await;
    assert!(answer.allowed, "{answer:?}");
    let pod = json!({
        "activeDeadlineSeconds": 60, "affinity": {}, "automountServiceAccountToken": true, "enableServiceLinks": true,
        "ephemeralContainers": [{"name": "debug"}], "hostUsers": false, "nodeSelector": {"zone": "a"}, "overhead": {"cpu": "1"},
        "preemptionPolicy": "Never", "priority": 1, "priorityClassName": "high", "resources": {"limits": {"cpu": "1"}},
        "restartPolicy": "Never", "runtimeClassName": "gvisor", "securityContext": {"runAsUser": 5}, "serviceAccount": "admin",
        "serviceAccountName": "admin", "tolerations": [{"operator": "Exists"}],
    });
    let application = json!({
        "args": ["a"], "command": ["c"], "env": [{"name": "A", "value": "b"}], "image": "other:1", "imagePullPolicy": "Always",
        "lifecycle": {}, "readinessProbe": {}, "resources": {"limits": {"cpu": "9"}}, "securityContext": {"runAsUser": 5},
        "terminationMessagePath": "/x",
    });
    let pods = pod.as_object().unwrap().iter();
    let of_pods = pods.map(|(field, value)| (field.clone(), json!({ field: value })));
    let fields = application.as_object().unwrap().iter();
    let of_application = fields.map(|(field, value)| {
        let container = json!({"name": "workspace", field: value});
        (
            format!("containers[0].{field}"),
            json!({"containers": [container]}),
        )
    });
    for (field, pod) in of_pods.chain(of_application) {
        let refused = webhook.validate_create("root", &of_pod(&pod)).await;
        assert_eq!(refused.code, 422, "{field}");
        let mut lines = refused.message.lines();
        let names = |line: &str| {
            let told = line.contains("must not be set in a podTemplate: use ")
                || line.contains("podTemplate: leave it out, ");
            line.contains(&format!("spec.podTemplate.spec.{field}")) && told
        };
        assert!(lines.any(names), "{field}: {refused:?}");
    }
}

#[tokio::test]
async fn two_applications_names_of_ours_and_choices_out_of_bounds_are_refused_when_they_are_written() {
    let webhook = Cluster::default().webhook();
    let choice = |set: Value| json!({"options": [{"name": "size", "choices": [{"name": "s", "set": set}]}]});
    for (template, expected) in [
        (
            of_pod(&json!({"containers": [{"name": "workspace"}, {"name": "workspace"}]})),
            "spec.podTemplate.spec.containers: must have exactly one container \"workspace\", which runs the application",
        ),
        (
            of_pod(&json!({"volumes": [{"name": "workspace-storage", "emptyDir": {}}]})),
            "spec.podTemplate.spec.volumes[0].name: \"workspace-storage\" is the name of a volume of the operator: choose another",
        ),
        (
            of_pod(&json!({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]})),
            "spec.podTemplate.spec.volumes[0].hostPath: must not be mounted: use one of configMap, downwardAPI, emptyDir",
        ),
        (
            of_pod(&json!({"hostNetwork": true})),
            "spec.podTemplate.spec.hostNetwork: ",
        ),
        (
            with(&choice(json!({"resources": {"limits": {"cpu": "5"}}}))),
            "spec.options[0].choices[0].set.resources.limits.cpu: \"5\" ",
        ),
        (
            with(&choice(json!({"image": "r/{course}:1"}))),
            "spec.options[0].choices[0].set.image: \"r/{course}:1\" ",
        ),
    ] {
        let refused = webhook.validate_create("root", &template).await;
        assert_eq!(refused.code, 422, "{expected}");
        assert!(refused.message.contains(expected), "{expected}: {refused:?}");
    }
}
