//! Templates with a `podTemplate`, and their workspaces -> violations.

use api::WorkspaceSpec;
use serde_json::{Value, json};

use super::super::template;
use super::*;
use crate::effective::effective;
use crate::settings::Settings;

fn settings() -> Settings {
    Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap()
}

fn spec(pod_template: Value, others: Value) -> WorkspaceTemplateSpec {
    let mut spec = json!({"displayName": "t", "defaultImage": "uv", "podTemplate": pod_template});
    for (key, value) in others.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

/// Violations of a template with this pod.
fn lines(pod: Value, others: Value) -> Vec<String> {
    let found = template(&spec(json!({ "spec": pod }), others), &settings());
    found.iter().map(ToString::to_string).collect()
}

/// Violations of a workspace of a template with this pod.
fn of_workspace(pod: Value, given: Value) -> Vec<String> {
    let template = spec(json!({ "spec": pod }), json!({"allowCustomInitContainers": true}));
    let mut workspace = json!({"displayName": "w"});
    for (key, value) in given.as_object().unwrap() {
        workspace[key] = value.clone();
    }
    let given: WorkspaceSpec = serde_json::from_value(workspace).unwrap();
    let effective = effective(&given, Some(&template), &settings());
    let found = with_workspace(&given, &effective);
    found.iter().map(ToString::to_string).collect()
}

fn sidecar(fields: Value) -> Value {
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    let mut sidecar = json!({
        "name": "sidecar", "image": "r/sidecar:1", "resources": {"requests": amounts, "limits": amounts},
    });
    for (key, value) in fields.as_object().unwrap() {
        sidecar[key] = value.clone();
    }
    sidecar
}

#[test]
fn a_sidecar_with_a_volume_and_the_home_passes() {
    let pod = json!({
        "containers": [
            sidecar(json!({
                "env": [
                    {"name": "SHELL_TEXT", "value": "${HOME} {print} {{escaped.name}}"},
                    {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
                ],
                "ports": [{"name": "postgresql", "containerPort": 5432}],
                "volumeMounts": [
                    {"name": "files", "mountPath": "/files"}, {"name": "workspace-storage", "mountPath": "/home/jovyan"},
                ],
            })),
            {"name": "workspace", "livenessProbe": {"tcpSocket": {"port": "http"}}},
        ],
        "initContainers": [sidecar(json!({"name": "clone"}))],
        "volumes": [{"name": "files", "emptyDir": {}}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
    });
    assert_eq!(lines(pod, json!({})), [""; 0]);
}

/// The value at this path, alone in an object, of the type that a `PodSpec` takes there. `base`: what is around it.
fn alone(field: &str, base: impl Fn(Value) -> Value) -> Value {
    let samples = [json!("sample"), json!(true), json!(7), json!({}), json!([])];
    let set = |value: Value| {
        let keys = field.rsplit('.');
        base(keys.fold(value, |inner, key| json!({ key: inner })))
    };
    let is_read = |pod: &Value| {
        let read = serde_json::from_value::<PodSpec>(pod.clone());
        read.is_ok_and(|read| {
            json!(read)
                .to_string()
                .contains(field.rsplit('.').next().unwrap())
        })
    };
    samples.into_iter().map(set).find(is_read).unwrap()
}

#[test]
fn each_refused_field_is_named_with_what_to_use_instead() {
    let application = |fields: Value| {
        let mut container = json!({"name": "workspace"});
        json_patch::merge(&mut container, &fields);
        json!({ "containers": [container] })
    };
    let pods = refused::OF_POD.map(|(field, remedy)| (alone(field, |fields| fields), "", field, remedy));
    let of_application = refused::OF_APPLICATION
        .map(|(field, remedy)| (alone(field, application), "containers[0].", field, remedy));
    for (pod, at, field, remedy) in pods.into_iter().chain(of_application) {
        let found = lines(pod.clone(), json!({}));
        let is_told = |line: &&String| {
            line.starts_with(&format!("spec.podTemplate.spec.{at}{field}: "))
                && line.ends_with(&format!("must not be set in a podTemplate: {remedy}"))
        };
        assert_eq!(found.iter().filter(is_told).count(), 1, "{pod}: {found:#?}");
    }
}

#[test]
fn a_refused_field_is_named_with_its_value_and_volumes_with_those_to_use_instead() {
    let found = lines(
        json!({
            "serviceAccountName": "admin",
            "containers": [{"name": "workspace", "image": "other:1", "resources": {"claims": [{"name": "gpu"}]}}],
            "volumes": [{"name": "files", "csi": {"driver": "d"}}, {"name": "more", "nfs": {"server": "s", "path": "/"}},
                {"name": "own", "ephemeral": {}}],
        }),
        json!({}),
    );
    for expected in [
        r#"spec.podTemplate.spec.serviceAccountName: "admin" must not be set in a podTemplate: use serviceAccount"#,
        r#"spec.podTemplate.spec.containers[0].image: "other:1" must not be set in a podTemplate: use spec.defaultImage"#,
        "spec.podTemplate.spec.volumes[0].csi: must not be mounted: use one of configMap, downwardAPI, emptyDir",
        "spec.podTemplate.spec.volumes[1].nfs: must not be mounted: use one of configMap, downwardAPI, emptyDir",
        "spec.podTemplate.spec.volumes[2].ephemeral: must not be mounted: list a disk in spec.volumeClaims",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
    assert!(found.iter().all(|line| !line.contains("claims")), "{found:#?}");
}

#[test]
fn names_are_unique_and_none_is_the_operator_s() {
    let found = lines(
        json!({
            "containers": [
                {"name": "workspace"}, {"name": "workspace"}, sidecar(json!({})), sidecar(json!({"name": "Sidecar", "image": ""})),
            ],
            "initContainers": [sidecar(json!({})), sidecar(json!({"name": "workspace"}))],
            "volumes": [
                {"name": "shm", "emptyDir": {}}, {"name": "workspace-storage", "emptyDir": {}}, {"name": "jupyter-k8s-run", "emptyDir": {}},
                {"name": "mine", "emptyDir": {}}, {"name": "mine", "emptyDir": {}},
            ],
        }),
        json!({}),
    );
    for field in [
        "containers[1].name",
        "containers[3].name",
        "containers[3].image",
        "initContainers[0].name",
        "initContainers[1].name",
        "volumes[0].name",
        "volumes[1].name",
        "volumes[2].name",
        "volumes[4].name",
    ] {
        let field = format!("spec.podTemplate.spec.{field}: ");
        assert!(
            found.iter().any(|line| line.starts_with(&field)),
            "{field}: {found:#?}"
        );
    }
}

#[test]
fn a_container_mounts_volumes_of_the_pod_template_and_the_home_alone() {
    let mounts = |mounts: Value, name: &str| {
        let container = if name == "workspace" {
            json!({"name": name, "volumeMounts": mounts})
        } else {
            sidecar(json!({ "volumeMounts": mounts }))
        };
        let pod = json!({"containers": [container], "volumes": [{"name": "files", "emptyDir": {}}]});
        lines(
            pod,
            json!({"defaultVolumes": [{"name": "data", "persistentVolumeClaimName": "c", "mountPath": "/data"}]}),
        )
    };
    let one = |name: &str, path: &str| json!([{"name": name, "mountPath": path}]);
    for container in ["workspace", "sidecar"] {
        assert_eq!(mounts(one("files", "/files"), container), [""; 0], "{container}");
        assert_eq!(
            mounts(one("workspace-storage", "/backup"), container),
            [""; 0],
            "{container}"
        );
        for name in ["shm", "data", "jupyter-k8s-keys", "missing"] {
            let found = mounts(one(name, "/x"), container).join("\n");
            assert!(
                found.contains("must be a volume of spec.podTemplate, or workspace-storage"),
                "{name}: {found}"
            );
        }
        let twice = json!([{"name": "files", "mountPath": "/x"}, {"name": "files", "mountPath": "//x/"}]);
        assert!(
            mounts(twice, container).join("\n").contains("already: "),
            "{container}"
        );
    }
    let expression = json!([{"name": "workspace-storage", "mountPath": "/x", "subPathExpr": "$(A)"}]);
    assert!(
        mounts(expression, "sidecar")
            .join("\n")
            .contains("is known only once the pod runs: use subPath")
    );
    for path in [
        "/home/jovyan",
        "/home/./jovyan/",
        "/data",
        "/dev/shm",
        "/run/workspace",
        "/tmp",
    ] {
        assert_eq!(mounts(one("files", path), "workspace").len(), 1, "{path}");
    }
    assert_eq!(mounts(one("files", "/home/jovyan"), "sidecar"), [""; 0]);
}

#[test]
fn texts_are_fixed() {
    let found = lines(
        json!({
            "containers": [sidecar(json!({
                "args": ["--name={workspace.name}"],
                "envFrom": [{"secretRef": {"name": "creds-{course}"}}, {"configMapRef": {"name": "{owner.slug}"}}],
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "{x}", "key": "k"}}}],
            }))],
            "volumes": [
                {"name": "a", "secret": {"secretName": "{x}"}}, {"name": "b", "configMap": {"name": "{x}"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data-{course}"}},
                {"name": "d", "projected": {"sources": [{"secret": {"name": "{x}"}}]}},
            ],
            "imagePullSecrets": [{"name": "{x}"}],
        }),
        json!({}),
    );
    assert!(
        found
            .iter()
            .any(|line| line.contains("has the variable {workspace.name}, and podTemplate knows none")),
        "{found:#?}"
    );
    let fixed: Vec<_> = found
        .iter()
        .filter(|line| line.contains("must be fixed text"))
        .collect();
    assert_eq!(fixed.len(), 8, "{found:#?}");
}

#[test]
fn keys_of_metadata_are_set_once() {
    let metadata = json!({
        "labels": {"team": "ml", "other": "x"},
        "annotations": {"example.org/a": "x", "example.org/b": "x", "node.k8s.io/x": "x"},
    });
    let others = json!({
        "baseLabels": [{"name": "team", "value": "ml"}], "baseAnnotations": [{"name": "example.org/a", "value": "y"}],
    });
    let found: Vec<_> = template(&spec(json!({ "metadata": metadata }), others), &settings())
        .into_iter()
        .map(|it| it.field)
        .collect();
    assert_eq!(
        found,
        [
            "spec.podTemplate.metadata.labels[team]",
            "spec.podTemplate.metadata.annotations[example.org/a]",
            "spec.podTemplate.metadata.annotations[node.k8s.io/x]",
        ]
    );
}

#[test]
fn the_rest_of_the_template_uses_no_name_port_or_place_of_it() {
    let pod = json!({
        "containers": [
            sidecar(json!({"ports": [{"containerPort": 9000}]})),
            {"name": "workspace", "volumeMounts": [{"name": "files", "mountPath": "/files"}]},
        ],
        "volumes": [{"name": "files", "emptyDir": {}}],
    });
    let volume =
        |name: &str, path: &str| json!([{"name": name, "persistentVolumeClaimName": "c", "mountPath": path}]);
    for (others, field) in [
        (json!({"defaultPort": 9000}), "spec.defaultPort"),
        (
            json!({"defaultInitContainers": [{"name": "sidecar", "image": "i"}]}),
            "spec.defaultInitContainers[0].name",
        ),
        (
            json!({"defaultVolumes": volume("files", "/x")}),
            "spec.defaultVolumes[0].name",
        ),
        (
            json!({"defaultVolumes": volume("x", "/files/")}),
            "spec.defaultVolumes[0].mountPath",
        ),
        (
            json!({"primaryStorage": {"defaultMountPath": "/files"}}),
            "spec.primaryStorage.defaultMountPath",
        ),
    ] {
        let found = lines(pod.clone(), others);
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("{field}: ")),
            "{field}: {found:#?}"
        );
    }
    let port = json!({"containers": [sidecar(json!({"ports": [{"containerPort": 8888}]}))]});
    assert_eq!(lines(port.clone(), json!({"defaultPort": 9000})), [""; 0]);
    let found = lines(port, json!({}));
    assert!(
        found[0].starts_with("spec.podTemplate.spec.containers[0].ports: \"8888\""),
        "{found:?}"
    );
}

#[test]
fn a_workspace_adds_nothing_under_a_name_of_it() {
    let pod = || {
        json!({
            "containers": [sidecar(json!({"ports": [{"containerPort": 9000}]}))],
            "initContainers": [sidecar(json!({"name": "clone"}))],
            "volumes": [{"name": "files", "emptyDir": {}}],
        })
    };
    let fine = json!({
        "port": 9001, "initContainers": [{"name": "own", "image": "i"}],
        "volumes": [{"name": "own", "persistentVolumeClaimName": "c", "mountPath": "/x"}],
    });
    assert_eq!(of_workspace(pod(), fine), [""; 0]);
    let found = of_workspace(
        pod(),
        json!({
            "port": 9000, "initContainers": [{"name": "clone", "image": "i"}, {"name": "sidecar", "image": "i"}],
            "volumes": [{"name": "files", "persistentVolumeClaimName": "c", "mountPath": "/x"}],
        }),
    );
    let fields: Vec<_> = found.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        fields,
        [
            "spec.initContainers[0].name",
            "spec.initContainers[1].name",
            "spec.volumes[0].name",
            "spec.port"
        ]
    );
}

#[test]
fn a_template_of_64_kib_is_the_largest() {
    let of_size = |size: usize| {
        let template = |text: &str| {
            spec(
                json!({"spec": {"containers": [sidecar(json!({"args": [text, text]}))]}}),
                json!({}),
            )
        };
        let rest = serde_json::to_vec(&template("")).unwrap().len();
        lines(
            json!({"containers": [sidecar(json!({"args": ["x".repeat((size - rest) / 2), "x".repeat((size - rest).div_ceil(2))]}))]}),
            json!({}),
        )
    };
    assert_eq!(of_size(64 * 1024), [""; 0]);
    assert!(of_size(64 * 1024 + 1)[0].contains("more than the maximum 65536"));
}
