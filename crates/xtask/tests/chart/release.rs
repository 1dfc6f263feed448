//! values about the whole release -> labels, images, log level, dependency (IO: runs `helm`).

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::fit::{COMPONENTS, contains, deployment, with};
use crate::render::{argument, chart, container, containers, helm, hook_pods, named, of_kind};

#[test]
fn common_labels_are_on_every_object_and_pod_and_in_no_selector() {
    let plain = with(json!({}));
    let objects = with(json!({
        "commonLabels": {"cost-centre": "42"},
        "monitoring": {"podMonitor": {"enabled": true, "labels": {"cost-centre": "7"}}},
    }));
    assert!(objects.len() > 40, "{}", objects.len());
    for object in &objects {
        let own = if object["kind"] == "PodMonitor" { "7" } else { "42" };
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["cost-centre"], own, "{object}");
        assert_eq!(labels["app.kubernetes.io/name"], "jupyter-k8s", "{object}");
    }
    for component in COMPONENTS {
        let spec = &deployment(&objects, component)["spec"];
        assert_eq!(spec["template"]["metadata"]["labels"]["cost-centre"], "42");
        assert_eq!(
            spec["selector"],
            deployment(&plain, component)["spec"]["selector"]
        );
    }
}

#[test]
fn images_come_from_their_own_registry_else_the_installation_s_else_the_global_one() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let objects = with(json!({
        "image": {"registry": "", "pullSecrets": ["ours", {"name": "both"}]},
        "images": {
            "proxy": {"registry": "docker.io/library", "tag": "v3.7.15"},
            "gateway": {"digest": digest},
        },
        "global": {"imageRegistry": "global.example.com", "imagePullSecrets": ["both", {"name": "theirs"}], "more": 1},
    }));
    let image = |component: &str| container(&objects, &format!("jupyter-k8s-{component}"))["image"].clone();
    assert_eq!(image("proxy"), "docker.io/library/traefik:v3.7.15");
    assert_eq!(image("gateway"), format!("global.example.com/gateway@{digest}"));
    assert_eq!(image("operator"), "global.example.com/operator:0.1.0");
    for component in COMPONENTS {
        let pod = &deployment(&objects, component)["spec"]["template"]["spec"];
        let names = json!([{"name": "ours"}, {"name": "both"}, {"name": "theirs"}]);
        assert_eq!(pod["imagePullSecrets"], names, "{component}");
    }
    for (name, pod) in hook_pods(&objects) {
        let of = if name == "jupyter-k8s-tests" {
            "gateway"
        } else {
            "operator"
        };
        assert_eq!(pod["containers"][0]["image"], image(of), "{name}");
        assert_eq!(
            pod["imagePullSecrets"].as_array().map(Vec::len),
            Some(3),
            "{name}"
        );
    }
    let settings = named(&objects, "ConfigMap", "jupyter-k8s-settings")["data"]["settings.yaml"].clone();
    let application = "global.example.com/jk8s-application-jupyter-uv:0.1.0";
    assert!(settings.as_str().unwrap().contains(application), "{settings}");
    let objects = with(json!({"global": {"imageRegistry": "global.example.com"}}));
    let hooks = hook_pods(&objects).into_iter();
    let hooks = hooks.map(|(name, pod)| (name, &pod["containers"][0]));
    for (name, container) in containers(&objects).into_iter().chain(hooks) {
        let image = container["image"].as_str().unwrap();
        assert!(
            image.starts_with("registry.example.com/jupyter-k8s/"),
            "{name}: {image}"
        );
    }
}

#[test]
fn the_log_level_reaches_every_program_and_the_webhook_listens_on_the_configured_port() {
    let objects = with(json!({"logLevel": "debug", "webhook": {"port": 10250}}));
    for component in ["gateway", "operator", "webhook"] {
        let container = container(&objects, &format!("jupyter-k8s-{component}"));
        assert!(
            contains(&container["env"], &json!({"name": "LOG_LEVEL", "value": "debug"})),
            "{component}"
        );
    }
    let of = |component: &str| container(&objects, &format!("jupyter-k8s-{component}"));
    assert_eq!(argument(of("proxy"), "--log.level"), Some("DEBUG"));
    assert_eq!(argument(of("identity"), "--log-level"), Some("debug"));
    assert_eq!(argument(of("webhook"), "--listen-address"), Some("[::]:10250"));
    assert!(contains(
        &of("webhook")["ports"],
        &json!({"name": "https", "containerPort": 10250})
    ));
    let policy = named(&objects, "NetworkPolicy", "jupyter-k8s-webhook");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], 10250);
}

#[test]
fn further_objects_are_rendered_with_the_release_s_name() {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}});
    let objects = with(json!({"extraObjects": [object]}));
    named(&objects, "ConfigMap", "jupyter-k8s-more");
}

#[test]
fn the_chart_can_be_a_dependency_with_a_condition_and_nulls_of_its_parent_count() {
    let folder = std::env::temp_dir().join(format!("chart-parent-{}", std::process::id()));
    fs::create_dir_all(folder.join("charts")).unwrap();
    symlink(chart().canonicalize().unwrap(), folder.join("charts/jupyter-k8s")).unwrap();
    let parent = json!({
        "apiVersion": "v2", "name": "parent", "version": "1.0.0",
        "dependencies": [{"name": "jupyter-k8s", "version": "*", "condition": "jupyter-k8s.enabled"}],
    });
    fs::write(folder.join("Chart.yaml"), parent.to_string()).unwrap();
    let values = json!({
        "global": {"imageRegistry": "global.example.com", "theirs": {"a": 1}},
        "jupyter-k8s": {
            "enabled": true,
            "routing": {"baseDomain": "workspaces.example.org"},
            "proxy": {"tls": {"secretName": "tls"}},
            "oidc": {"issuerUrl": "https://id.example.com/realm"},
            "pods": {"podSecurityContext": {"fsGroup": null}},
        },
    });
    fs::write(folder.join("values.yaml"), values.to_string()).unwrap();
    let rendered = |more: &[&str]| {
        let run = Command::new(helm())
            .args(["template", "jupyter-k8s", folder.to_str().unwrap()])
            .args(more)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&String::from_utf8(run.stdout).unwrap()).unwrap();
        objects
            .into_iter()
            .filter(|object| !object.is_null())
            .collect::<Vec<_>>()
    };
    let objects = rendered(&[]);
    let off = rendered(&["--set", "jupyter-k8s.enabled=false"]);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(of_kind(&objects, "Deployment").len(), 5);
    let pod = &deployment(&objects, "gateway")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "global.example.com/gateway:0.1.0");
    assert!(pod["securityContext"].get("fsGroup").is_none(), "{pod}");
    assert!(off.is_empty(), "{off:?}");
}
