//! values -> the Jobs that Helm runs around an upgrade and an uninstall (IO: runs `helm`).

use serde_json::{Value, json};

use crate::render::{named, of_kind, with_values};

fn hooks(values: Value) -> Vec<Value> {
    let objects = with_values(values, &[]).unwrap();
    let is_hook = |object: &Value| {
        let event = &object["metadata"]["annotations"]["helm.sh/hook"];
        event.is_string() && event != "test"
    };
    objects.into_iter().filter(is_hook).collect()
}

#[test]
fn crds_are_applied_before_an_upgrade_and_finalizers_are_removed_before_an_uninstall() {
    let objects = hooks(json!({}));
    for (job, event, command) in [
        ("crds", "pre-upgrade", "apply-crds"),
        ("uninstall", "pre-delete", "prepare-uninstall"),
    ] {
        let name = format!("jupyter-k8s-{job}");
        let of_job = objects
            .iter()
            .filter(|object| object["metadata"]["name"] == name.as_str());
        for object in of_job {
            let annotations = &object["metadata"]["annotations"];
            assert_eq!(annotations["helm.sh/hook"], event, "{object}");
            // The account and its permissions exist before the Job.
            let weight = if object["kind"] == "Job" { "0" } else { "-5" };
            assert_eq!(annotations["helm.sh/hook-weight"], weight, "{object}");
        }
        let pod = &named(&objects, "Job", &name)["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(container["args"], json!([command]));
        assert_eq!(
            container["image"],
            "registry.example.com/jupyter-k8s/operator:0.1.0"
        );
        assert_eq!(pod["serviceAccountName"], name.as_str());
        assert_eq!(pod["restartPolicy"], "Never");
    }
}

#[test]
fn each_job_can_be_switched_off() {
    let objects = hooks(json!({"crds": {"upgrade": false}, "uninstall": {"prepare": false}}));
    assert_eq!(of_kind(&objects, "Job").len(), 0);
    assert!(objects.is_empty(), "{objects:?}");
}

#[test]
fn the_crd_job_may_write_exactly_the_product_s_crds() {
    let objects = hooks(json!({}));
    let role = named(&objects, "ClusterRole", "jupyter-k8s-crds");
    let mut names: Vec<_> = role["rules"][0]["resourceNames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    names.sort();
    let mut ours: Vec<_> = api::crds()
        .into_iter()
        .filter_map(|crd| crd.metadata.name)
        .collect();
    ours.sort();
    assert_eq!(names, ours);
    assert_eq!(role["rules"].as_array().map(Vec::len), Some(1));
}
