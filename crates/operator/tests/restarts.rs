//! Changes that replace a running pod, and changes that do not.

use api::{
    condition::{self, VALID},
    names,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::stage::{CHILD, Stage, run_id};

const OTHER_SETTINGS: &str = "
defaultImage: code
imageAliases: {uv: 'localhost/jk8s-application-jupyter-uv:2', code: 'localhost/code:7'}
imagePullPolicy: Always
imagePullSecrets: [registry]
imageMirrors: [{source: localhost, mirror: r.example.com/ours}, {source: docker.io/library, mirror: r.example.com/hub}]
defaultResources: {requests: {cpu: 300m, memory: 1Gi}, limits: {cpu: 3, memory: 3Gi}}
defaultStorage: {size: 1Gi, mountPath: /home/other}
";

fn port(stage: &Stage) -> i32 {
    let pod = json!(stage.child::<Pod>().unwrap());
    let port = &pod["spec"]["containers"][0]["ports"][0]["containerPort"];
    i32::try_from(port.as_i64().unwrap()).unwrap()
}

fn service_ports(stage: &Stage) -> Vec<i32> {
    let ports = stage.child::<Service>().unwrap().spec.unwrap().ports.unwrap();
    ports.iter().map(|port| port.port).collect()
}

/// Reconciles and the rest of the cluster, until nothing is left to do.
pub(crate) async fn settle(stage: &mut Stage) {
    for _ in 0..4 {
        stage.reconcile().await.unwrap();
        stage.cluster();
        if stage.is_ending() {
            stage.end_pods();
        } else {
            stage.get_ready();
        }
    }
    stage.reconcile().await.unwrap();
}

#[tokio::test]
async fn an_edit_of_a_running_workspace_is_pending_until_it_is_stopped_and_started() {
    let mut stage = Stage::with_service();
    settle(&mut stage).await;
    let first = stage.child::<Pod>().unwrap();
    stage.edit_spec(|spec| spec["port"] = 9000.into());
    settle(&mut stage).await;
    assert_eq!(stage.status().pending_update, ["spec.port"]);
    assert_eq!(stage.child::<Pod>().unwrap().spec, first.spec);
    stage.edit_spec(|spec| spec["desiredStatus"] = "Stopped".into());
    settle(&mut stage).await;
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert_eq!(stage.status().pending_update, [""; 0]);
    stage.edit_spec(|spec| spec["desiredStatus"] = "Running".into());
    settle(&mut stage).await;
    assert_eq!(port(&stage), 9000);
    assert_eq!(service_ports(&stage), [9000]);
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert_eq!(stage.status().pending_update, [""; 0]);
    assert_ne!(run_id(&stage.child().unwrap()), run_id(&first));
}

/// The running pod as another build would have planned it, with a record of what this build does not know.
fn plan_otherwise(pod: &mut Value) {
    let marks = &mut pod["metadata"]["annotations"];
    let mut record: Value = serde_json::from_str(marks[names::STARTED_FROM].as_str().unwrap()).unwrap();
    record["anotherBuild"] = json!({"since": "another"});
    marks[names::STARTED_FROM] = record.to_string().into();
    marks["example.com/build"] = "another".into();
    pod["spec"]["terminationGracePeriodSeconds"] = 7.into();
    let variables = pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    variables.push(json!({"name": "ANOTHER_BUILD", "value": "another"}));
}

#[tokio::test]
async fn a_pod_that_another_build_planned_otherwise_runs_on_and_the_next_one_is_of_this_build() {
    let pod = |stage: &Stage| {
        let mut pod = stage.child::<Pod>().unwrap();
        pod.metadata.resource_version = None;
        pod
    };
    let of_another = |pod: &Pod| pod.annotations().contains_key("example.com/build");
    for policy in ["OnStop", "Always"] {
        let mut stage = Stage::with_running_demo().await;
        stage.edit_spec(|spec| spec["updatePolicy"] = policy.into());
        settle(&mut stage).await;
        stage.server.edit::<Pod>(Some(NAMESPACE), CHILD, plan_otherwise);
        let first = pod(&stage);
        stage.replace_operator(None);
        settle(&mut stage).await;
        assert_eq!(pod(&stage), first, "{policy}");
        assert_eq!(stage.status().pending_update, [""; 0], "{policy}");
        assert_eq!(stage.status().phase, Some(Phase::Running));

        // The control: what the user changes is still seen, and a new run is planned by this build.
        stage.edit_spec(|spec| spec["port"] = 9000.into());
        stage.reconcile().await.unwrap();
        match policy {
            "OnStop" => assert_eq!(stage.status().pending_update, ["spec.port"]),
            _ => assert!(stage.is_ending()),
        }
        stage.stop().await;
        stage.set(DesiredStatus::Running);
        settle(&mut stage).await;
        assert!(!of_another(&pod(&stage)), "{policy}");
        assert_eq!(port(&stage), 9000, "{policy}");
    }
}

#[tokio::test]
async fn always_ends_the_pod_before_it_starts_the_next_one() {
    let mut stage = Stage::with_running_demo().await;
    stage.edit_spec(|spec| spec["updatePolicy"] = "Always".into());
    stage.reconcile().await.unwrap();
    let first = run_id(&stage.child().unwrap());
    assert_eq!(
        stage.status().phase,
        Some(Phase::Running),
        "there is nothing to apply"
    );
    stage.writes();
    stage.edit_spec(|spec| spec["port"] = 9000.into());
    stage.reconcile().await.unwrap();
    let writes = stage.writes();
    assert!(
        writes.contains(&"DELETE pods/workspace-demo".to_owned()),
        "{writes:?}"
    );
    assert!(stage.is_ending());
    stage.cluster();
    stage.reconcile().await.unwrap();
    assert_eq!(port(&stage), 8888, "a pod is left: one pod per disk, always");
    stage.end_pods();
    stage.reconcile().await.unwrap();
    assert_eq!(port(&stage), 9000);
    assert_ne!(run_id(&stage.child().unwrap()), first);
    settle(&mut stage).await;
    stage.writes();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), [""; 0], "it restarts once");
}

#[tokio::test]
async fn a_new_operator_with_other_settings_writes_nothing_and_sends_no_event() {
    for policy in ["OnStop", "Always"] {
        let mut stage = Stage::with_demo();
        stage.edit_spec(|spec| spec["updatePolicy"] = policy.into());
        settle(&mut stage).await;
        stage.server.take_calls();
        stage.set_up_anew(OTHER_SETTINGS);
        stage.reconcile().await.unwrap();
        let writes = stage.writes();
        let only_status = writes.iter().all(|write| write == "PATCH workspaces/demo/status");
        assert!(only_status, "{policy}: {writes:?}");
        assert_eq!(stage.status().pending_update, [""; 0]);
        assert_eq!(port(&stage), 8888);
    }
}

#[tokio::test]
async fn another_choice_is_pending_and_the_next_start_has_it() {
    let mut stage = Stage::with_demo();
    let mut template = objects::template("form");
    template.spec.options = serde_json::from_value(json!([{"name": "gpu", "choices": [
        {"name": "none", "default": true},
        {"name": "a100", "set": {
            "image": "example.com/cuda:1", "nodeSelector": {"pool": "a100"}, "podLabels": {"kueue.x-k8s.io/queue-name": "gpus"},
        }},
    ]}]))
    .unwrap();
    stage.server.put(&template);
    stage.edit_spec(|spec| spec["templateRef"] = "form".into());
    settle(&mut stage).await;
    let options = |stage: &Stage| stage.status().resolved.unwrap().options;
    assert_eq!(json!(options(&stage)), json!({"gpu": "none"}));
    let first = stage.child::<Pod>().unwrap();
    stage.edit_spec(|spec| spec["options"] = json!({"gpu": "none"}));
    settle(&mut stage).await;
    assert_eq!(stage.status().pending_update, [""; 0], "it is the default");
    stage.edit_spec(|spec| spec["options"] = json!({"gpu": "a100"}));
    settle(&mut stage).await;
    let pending = [
        "spec.image",
        "spec.nodeSelector",
        "spec.options.gpu",
        "template.baseLabels",
    ];
    assert_eq!(stage.status().pending_update, pending);
    assert_eq!(stage.child::<Pod>().unwrap().spec, first.spec);
    for desired in ["Stopped", "Running"] {
        stage.edit_spec(|spec| spec["desiredStatus"] = desired.into());
        settle(&mut stage).await;
    }
    let pod = stage.child::<Pod>().unwrap();
    assert_eq!(stage.status().pending_update, [""; 0]);
    assert_eq!(pod.labels()["kueue.x-k8s.io/queue-name"], "gpus");
    let pod = json!(pod)["spec"].clone();
    assert_eq!(pod["nodeSelector"]["pool"], "a100");
    assert_eq!(pod["containers"][0]["image"], "example.com/cuda:1");
    // A choice that the template does not have gets no pod, and what runs stays.
    stage.edit_spec(|spec| spec["options"] = json!({"gpu": "k80"}));
    settle(&mut stage).await;
    let status = stage.status();
    let valid = condition::find(&status.conditions, VALID).unwrap();
    assert!(valid.message.contains("choose one of none, a100"), "{valid:?}");
    assert!(stage.child::<Pod>().is_some());
}
