//! Workspaces of templates with a `podTemplate` -> their pods.

use k8s_openapi::api::core::v1::Pod;
use rules::References;
use serde_json::{Value, json};
use testkit::objects;

use crate::{plan, testing};

/// The pod of a workspace with these fields.
fn pod(template: &Value, workspace: &Value) -> Pod {
    let merged = |mut object: Value, fields: &Value| {
        for (key, value) in fields.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        object
    };
    let template = serde_json::from_value(merged(json!(objects::template("t")), template)).unwrap();
    let mut fields = json!({"templateRef": "t"});
    for (key, value) in workspace.as_object().unwrap() {
        fields[key] = value.clone();
    }
    let workspace = serde_json::from_value(merged(json!(objects::workspace("demo")), &fields)).unwrap();
    let manager = objects::manager("main");
    let references = References::managed_by([&manager]).with_template(Some(&template));
    let valid = rules::admit(&workspace, &references, &testing::settings()).unwrap();
    plan::run(&valid, &testing::installation(), "run1")
}

fn amounts() -> Value {
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    json!({"requests": amounts, "limits": amounts})
}

fn database() -> Value {
    json!({
        "metadata": {"labels": {"team": "ml"}, "annotations": {"example.org/a": "theirs", "example.org/b": "theirs"}},
        "spec": {
            "containers": [{
                "name": "database", "image": "uv", "resources": amounts(),
                "volumeMounts": [
                    {"name": "files", "mountPath": "/files"},
                    {"name": "workspace-storage", "mountPath": "/home/jovyan"},
                    {"name": "workspace-storage", "mountPath": "/backup", "subPath": "backup"},
                ],
            }],
            "volumes": [{"name": "files", "emptyDir": {}}],
        },
    })
}

#[test]
fn a_template_without_it_gives_the_pod_that_an_empty_one_gives() {
    let without = pod(&json!({}), &json!({}));
    for empty in [
        json!({}),
        json!({"spec": {}}),
        json!({"metadata": {}, "spec": {"containers": []}}),
    ] {
        let with = pod(&json!({"podTemplate": empty}), &json!({}));
        assert_eq!(with.spec, without.spec, "{empty}");
        assert_eq!(with.metadata.labels, without.metadata.labels, "{empty}");
    }
}

#[test]
fn a_sidecar_stands_beside_the_application_with_what_restricted_needs() {
    let pod = json!(pod(&json!({"podTemplate": database()}), &json!({})));
    let containers = &pod["spec"]["containers"];
    assert_eq!(
        (&containers[0]["name"], &containers[1]["name"]),
        (&json!("workspace"), &json!("database"))
    );
    assert_eq!(
        containers[1]["securityContext"],
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
    );
    assert_eq!(containers[1]["image"], "localhost/jk8s-application-jupyter-uv:1");
    assert_eq!(containers[1]["imagePullPolicy"], containers[0]["imagePullPolicy"]);
    assert_eq!(pod["metadata"]["labels"]["team"], "ml");
    let names: Vec<_> = pod["spec"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert!(
        names.contains(&&json!("files")) && names.contains(&&json!("workspace-storage")),
        "{names:?}"
    );
}

#[test]
fn what_a_workspace_sets_comes_before_the_template_s_annotations() {
    let template = json!({"podTemplate": database(), "allowedPodAnnotations": ["example.org/"]});
    let pod = pod(&template, &json!({"podAnnotations": {"example.org/b": "mine"}}));
    let annotations = pod.metadata.annotations.unwrap();
    assert_eq!(
        (&*annotations["example.org/a"], &*annotations["example.org/b"]),
        ("theirs", "mine")
    );
}

#[test]
fn a_home_in_a_folder_of_its_claim_is_that_folder_in_every_container() {
    let folders = |storage: Value| {
        let pod = json!(pod(
            &json!({"podTemplate": database()}),
            &json!({"storage": storage})
        ));
        let mounts = pod["spec"]["containers"][1]["volumeMounts"].clone();
        [mounts[1]["subPath"].clone(), mounts[2]["subPath"].clone()]
    };
    assert_eq!(folders(json!({"size": "1Gi"})), [json!(null), json!("backup")]);
    assert_eq!(
        folders(json!({"claimName": "shared", "subPath": "alice"})),
        [json!("alice"), json!("alice/backup")]
    );
}

#[test]
fn the_application_keeps_its_fields_beside_those_of_the_template() {
    let template = json!({"podTemplate": {"spec": {
        "containers": [{
            "name": "workspace",
            "envFrom": [{"secretRef": {"name": "theirs"}}],
            "ports": [{"name": "metrics", "containerPort": 9090}],
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
            "startupProbe": {"tcpSocket": {"port": "http"}},
        }],
        "volumes": [{"name": "files", "emptyDir": {}}],
        "initContainers": [{"name": "clone", "image": "git:1", "resources": amounts()}],
    }}, "allowCustomInitContainers": true});
    let with = pod(
        &template,
        &json!({"initContainers": [{"name": "own", "image": "uv"}]}),
    )
    .spec
    .unwrap();
    let without = pod(&json!({}), &json!({})).spec.unwrap();
    let (mut with_application, expected) = (with.containers[0].clone(), &without.containers[0]);
    assert_eq!(with.containers.len(), 1);
    assert!(with_application.env_from.take().is_some() && with_application.startup_probe.take().is_some());
    let ports = with_application.ports.as_mut().unwrap();
    assert_eq!(ports.remove(0).container_port, 9090);
    let mounts = with_application.volume_mounts.as_mut().unwrap();
    assert_eq!(mounts.remove(0).mount_path, "/files");
    assert_eq!(&with_application, expected);
    let init: Vec<_> = with
        .init_containers
        .iter()
        .flatten()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(init, ["clone", "own"]);
}

#[test]
fn pull_secrets_of_the_template_are_credentials_for_registries_as_written() {
    let mut template = database();
    template["spec"]["imagePullSecrets"] = json!([{"name": "theirs"}]);
    let pod = pod(&json!({"podTemplate": template}), &json!({}));
    let secrets: Vec<_> = pod
        .spec
        .unwrap()
        .image_pull_secrets
        .into_iter()
        .flatten()
        .map(|it| it.name)
        .collect();
    assert_eq!(secrets, ["theirs"]);
}

#[test]
fn credentials_of_an_init_container_are_not_the_application_s() {
    let template = json!({"podTemplate": {"spec": {"initContainers": [{
        "name": "clone", "image": "git:1", "resources": amounts(),
        "env": [{"name": "HEADER", "valueFrom": {"secretKeyRef": {"name": "course-repository", "key": "header"}}}],
        "envFrom": [{"secretRef": {"name": "course-repository"}}],
        "volumeMounts": [{"name": "workspace-storage", "mountPath": "/home/jovyan"}],
    }]}}});
    let spec = pod(&template, &json!({})).spec.unwrap();
    let init = json!(spec.init_containers);
    assert_eq!(init[0]["envFrom"][0]["secretRef"]["name"], "course-repository");
    assert_eq!(init[0]["volumeMounts"][0]["name"], "workspace-storage");
    let application = json!(spec.containers);
    assert!(
        !application.to_string().contains("course-repository"),
        "{application}"
    );
}
