//! objects of the cluster -> refusals before anything is written (IO: runs `helm`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::render::{EXTERNAL, chart, named, of_kind, template};

/// Plural and kind of what the chart looks up, by group and version.
const KINDS: [(&str, &str, &str); 7] = [
    (
        "workspaces.jupyter.org/v1alpha1",
        "workspacetemplates",
        "WorkspaceTemplate",
    ),
    (
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
    ),
    ("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass"),
    ("v1", "namespaces", "Namespace"),
    (
        "workspaces.jupyter.org/v1alpha1",
        "workspacemanagers",
        "WorkspaceManager",
    ),
    ("cert-manager.io/v1", "issuers", "Issuer"),
];

/// Answer of an API server with these objects of the kinds above.
fn answer(path: &str, objects: &[Value]) -> Option<Value> {
    let group = |version: &str| {
        format!(
            "{}/{version}",
            if version.contains('/') { "/apis" } else { "/api" }
        )
    };
    let resources: Vec<_> = KINDS
        .iter()
        .filter(|(version, ..)| path == group(version))
        .map(|(_, plural, kind)| {
            json!({"name": plural, "kind": kind, "namespaced": *kind == "Issuer", "verbs": ["get", "list"]})
        })
        .collect();
    if !resources.is_empty() {
        let version = path.trim_start_matches("/apis/").trim_start_matches("/api/");
        return Some(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources,
        }));
    }
    KINDS.iter().find_map(|(version, plural, kind)| {
        let rest = path.strip_prefix(&group(version))?.trim_start_matches('/');
        // Objects of a namespace are distinguished by their names alone.
        let rest = match rest
            .strip_prefix("namespaces/")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((_, within)) => within,
            None => rest,
        };
        let of_kind = || objects.iter().filter(|object| object["kind"] == *kind);
        match rest.strip_prefix(plural)?.strip_prefix('/') {
            None => Some(json!({
                "kind": format!("{kind}List"), "apiVersion": version, "items": of_kind().collect::<Vec<_>>(),
            })),
            Some(name) => of_kind()
                .find(|object| object["metadata"]["name"] == name)
                .cloned(),
        }
    })
}

/// An API server with these objects, until the process ends; returns its address.
fn serve(objects: Vec<Value>) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let target = head
                .first()
                .and_then(|line| line.split(' ').nth(1))
                .unwrap_or_default();
            let path = target.split('?').next().unwrap();
            let none = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
            let (status, body) = match answer(path, &objects) {
                Some(found) => ("200 OK", found),
                None => ("404 Not Found", none),
            };
            let body = body.to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

/// The result of the chart on a cluster with these objects.
pub(crate) fn on(objects: Vec<Value>, more: &[&str]) -> Result<Vec<Value>, String> {
    let server = format!("--kube-apiserver={}", serve(objects));
    let cluster = [
        "--dry-run=server",
        "--kubeconfig=/dev/null",
        &server,
        "--api-versions=workspaces.jupyter.org/v1alpha1/WorkspaceTemplate",
        "--api-versions=workspaces.jupyter.org/v1alpha1/WorkspaceManager",
    ];
    template(&[&EXTERNAL[..], &cluster, more].concat())
}

fn defaults() -> Value {
    let values = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    serde_saphyr::from_str(&values).unwrap()
}

/// The chart's default template as stored in a cluster, after `change`.
fn stored(change: impl FnOnce(&mut Value)) -> Vec<Value> {
    let mut spec = defaults()["templates"]["jupyterlab"].clone();
    change(&mut spec);
    let metadata = json!({"name": "jupyterlab"});
    vec![json!({"kind": "WorkspaceTemplate", "apiVersion": KINDS[0].0, "metadata": metadata, "spec": spec})]
}

#[test]
fn a_template_that_is_changed_under_its_name_is_refused_with_the_field_and_what_to_do() {
    for (setting, expected) in [
        (
            r#"templates.jupyterlab.primaryStorage.defaultSize="6Gi""#,
            r#"templates.jupyterlab.primaryStorage.defaultSize: "6Gi" is "5Gi" in the cluster"#,
        ),
        (
            "templates.jupyterlab.allowCustomImages=true",
            r#"templates.jupyterlab.allowCustomImages: "true" is not set in the cluster"#,
        ),
        (
            r#"templates.jupyterlab.baseAnnotations=[
                {"name": "cluster-autoscaler.kubernetes.io/safe-to-evict", "value": "false"},
                {"name": "karpenter.sh/do-not-disrupt", "value": "maybe"}
            ]"#,
            r#"templates.jupyterlab.baseAnnotations[1].value: "maybe" is "true" in the cluster"#,
        ),
        (
            r#"templates.jupyterlab.allowedImages=["uv"]"#,
            "templates.jupyterlab.allowedImages: has 1 entries in place of 0 in the cluster",
        ),
    ] {
        let reason = on(stored(|_| ()), &["--is-upgrade", "--set-json", setting]).unwrap_err();
        let cure = ", and the spec of a template, except its presentation, never changes: give the new one another name, such as \
                    jupyterlab-v2, and keep this entry";
        assert!(
            reason.contains(expected) && reason.contains(cure),
            "{setting}: {reason}"
        );
    }
}

#[test]
fn defaults_of_the_api_server_and_other_spellings_of_amounts_are_no_changes() {
    let same = stored(|spec| {
        spec["resourceBounds"]["cpu"]["max"] = json!(4);
        spec["defaultResources"]["limits"]["cpu"] = json!("1000m");
        spec["primaryStorage"]["defaultSize"] = json!("5120Mi");
        spec["primaryStorage"]["retain"] = json!("Delete");
        spec["updatePolicy"] = json!({"defaulted": true});
        spec["presentation"] = json!({"icon": "r", "images": []});
    });
    on(same, &["--is-upgrade"]).unwrap();
    on(
        stored(|_| ()),
        &[
            "--is-upgrade",
            "--set",
            "templates.another.displayName=A,templates.another.defaultImage=uv",
        ],
    )
    .unwrap();
    on(vec![], &[]).unwrap();
}

/// A policy of a release of this chart.
fn policy(release: &str, namespace: &str) -> Value {
    json!({"kind": "ValidatingAdmissionPolicy", "apiVersion": KINDS[2].0, "metadata": {
        "name": format!("{release}-status"),
        "labels": {"app.kubernetes.io/name": "jupyter-k8s"},
        "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace},
    }})
}

#[test]
fn a_second_release_in_a_cluster_is_refused() {
    let mut foreign = policy("other", "elsewhere");
    let reason = on(vec![foreign.clone()], &[]).unwrap_err();
    let expected = r#"release: this cluster has "other" in the namespace "elsewhere" already"#;
    assert!(reason.contains(expected), "{reason}");
    // An upgrade of the existing release, the same release again, and policies of other charts.
    on(vec![foreign.clone()], &["--is-upgrade"]).unwrap();
    on(vec![policy("jupyter-k8s", "jupyter-k8s-system")], &[]).unwrap();
    foreign["metadata"]["labels"] = json!({});
    on(vec![foreign], &[]).unwrap();
}

#[test]
fn a_release_of_the_cluster_and_an_installation_in_one_namespace_exclude_each_other() {
    let in_one = ["--set", "scope=Namespace,objects=Cluster"];
    let reason = on(vec![policy("other", "elsewhere")], &in_one).unwrap_err();
    let expected = r#"release: this cluster has "other" in the namespace "elsewhere" already"#;
    assert!(reason.contains(expected), "{reason}");
    // Applied by kubectl, so without annotations of helm.
    let mut alone = policy("jupyter-k8s", "team-a");
    alone["metadata"]["name"] = json!("jupyter-k8s-status.team-a");
    alone["metadata"]["annotations"] = json!({});
    let reason = on(vec![alone.clone()], &[]).unwrap_err();
    let expected = r#"scope: the namespace "team-a" of this cluster has an installation of its own"#;
    assert!(reason.contains(expected), "{reason}");
    on(vec![alone], &in_one).unwrap();
}

#[test]
fn the_crd_job_has_the_chart_s_priority_class_once_it_exists() {
    let class = |objects: Vec<Value>| {
        let rendered = on(objects, &["--is-upgrade"]).unwrap();
        named(&rendered, "Job", "jupyter-k8s-crds")["spec"]["template"]["spec"]["priorityClassName"].clone()
    };
    assert_eq!(class(vec![]), Value::Null);
    let exists = json!({"kind": "PriorityClass", "apiVersion": KINDS[3].0, "metadata": {"name": "jupyter-k8s-system"}});
    assert_eq!(class(vec![exists]), "jupyter-k8s-system");
    // The others run when the release is there.
    let rendered = template(&EXTERNAL).unwrap();
    let job = &named(&rendered, "Job", "jupyter-k8s-uninstall")["spec"]["template"]["spec"];
    let test = &of_kind(&rendered, "Pod")[0]["spec"];
    for pod in [job, test] {
        assert_eq!(pod["priorityClassName"], "jupyter-k8s-system");
    }
}
