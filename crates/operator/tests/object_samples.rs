//! The sample with a `PodMonitor` -> what it selects is there (IO: reads the file).

use std::{collections::BTreeMap, fs, path::Path};

use api::{Workspace, WorkspaceTemplate};
use k8s_openapi::{
    api::{
        core::v1::{Container, Pod},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use operator::plan::{self, Installation};
use rules::{References, Settings, objects::Objects};
use serde_json::{Value, json};
use testkit::objects;

const SETTINGS: &str = "{defaultImage: uv, imageAliases: {uv: r/jupyter:1}, \
                        objectKinds: [{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor}]}";

fn sample() -> (WorkspaceTemplate, NetworkPolicy) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/objects/podmonitor.yaml");
    let text = fs::read_to_string(path).unwrap();
    let (template, policy) = text.split_once("\n---\n").unwrap();
    let mut template: WorkspaceTemplate = serde_saphyr::from_str(template).unwrap();
    template.metadata.uid = Some("uid-of-template".to_owned());
    (template, serde_saphyr::from_str(policy).unwrap())
}

/// The pod and the objects of a workspace with this choice.
fn made(choice: &str) -> (Pod, Vec<Value>) {
    let (template, _) = sample();
    let settings = Settings::parse(SETTINGS).unwrap();
    assert_eq!(rules::validate::template(&template.spec, &settings), []);
    let spec =
        json!({"displayName": "d", "templateRef": template.metadata.name, "options": {"metrics": choice}});
    let mut workspace = Workspace::new("demo", serde_json::from_value(spec).unwrap());
    workspace.metadata = objects::workspace("demo").metadata;
    let manager = objects::manager("main");
    let references = References::managed_by([&manager]).with_template(Some(&template));
    let valid = rules::admit(&workspace, &references, &settings).unwrap();
    let installation = Installation::new("system".to_owned(), "jupyter-k8s".to_owned(), &settings);
    let pod = plan::run(&valid, &installation, "run1");
    assert_eq!(plan::violations(&valid, &pod), None);
    let objects = match &valid.objects {
        Objects::These(objects) => objects.as_slice(),
        Objects::Unknown(_) => &[],
    };
    let bodies = objects.iter().map(|object| Value::Object(object.body.clone()));
    (pod, bodies.collect())
}

fn selects(selector: &BTreeMap<String, String>, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref().unwrap();
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The container with a port of this name.
fn container_of<'a>(pod: &'a Pod, port: &str) -> Option<&'a Container> {
    let mut containers = pod.spec.as_ref().unwrap().containers.iter();
    containers.find(|container| {
        let ports = container.ports.iter().flatten();
        ports.into_iter().any(|it| it.name.as_deref() == Some(port))
    })
}

#[test]
fn the_sample_monitors_a_port_that_prometheus_may_reach_and_that_wants_no_sign_in() {
    let (pod, monitors) = made("every-minute");
    let [monitor] = monitors.as_slice() else {
        panic!("{monitors:?}")
    };
    let selector: LabelSelector = serde_json::from_value(monitor["spec"]["selector"].clone()).unwrap();
    assert!(selects(&selector.match_labels.unwrap(), &pod));
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let port = endpoint["port"].as_str().unwrap();
    assert_eq!(endpoint["interval"], "60s");
    assert_eq!(container_of(&pod, port).unwrap().name, "exporter");
    assert_eq!(
        container_of(&pod, "http").unwrap().name,
        "workspace",
        "the door's"
    );
    assert_ne!(port, "http");
    let mut volumes = pod.spec.as_ref().unwrap().volumes.iter().flatten();
    let home = volumes.find(|volume| volume.name == "workspace-storage").unwrap();
    assert!(home.persistent_volume_claim.is_some(), "a stop keeps its files");

    let (_, policy) = sample();
    let spec = policy.spec.unwrap();
    assert!(selects(&spec.pod_selector.unwrap().match_labels.unwrap(), &pod));
    let rules = spec.ingress.unwrap();
    let ports = rules.iter().flat_map(|rule| rule.ports.iter().flatten());
    let ports: Vec<_> = ports.map(|it| it.port.clone()).collect();
    assert_eq!(
        ports,
        [Some(IntOrString::String(port.to_owned()))],
        "and no other port"
    );
    assert!(
        rules
            .iter()
            .all(|rule| rule.from.as_ref().is_some_and(|from| !from.is_empty()))
    );
}

#[test]
fn the_sample_has_no_monitor_where_none_is_chosen() {
    let (pod, monitors) = made("off");
    assert!(monitors.is_empty());
    assert!(container_of(&pod, "metrics").is_some());
}
