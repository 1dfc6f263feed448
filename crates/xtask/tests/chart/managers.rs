//! rendered settings and permissions -> the operator may write the route kinds (IO: runs `helm`).

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::render::{EXTERNAL, LOCAL, named, of_kind, refusal, strings, template};

fn settings(objects: &[Value]) -> Value {
    let map = named(objects, "ConfigMap", "jupyter-k8s-settings");
    serde_saphyr::from_str(map["data"]["settings.yaml"].as_str().unwrap()).unwrap()
}

/// Groups and plurals that the operator may create and delete, except for its own core kinds.
fn routes_of_operator(objects: &[Value]) -> BTreeSet<(String, String)> {
    let own = [
        "deployments",
        "networkpolicies",
        "services",
        "serviceaccounts",
        "persistentvolumeclaims",
    ];
    let role = named(objects, "ClusterRole", "jupyter-k8s-operator");
    let rules = role["rules"].as_array().unwrap().iter();
    rules
        .filter(|rule| {
            let verbs = strings(&rule["verbs"]);
            // It may change only ConfigMaps with one name.
            verbs.contains(&"watch") && verbs.contains(&"delete") && rule["resourceNames"].is_null()
        })
        .flat_map(|rule| {
            let group = strings(&rule["apiGroups"])[0].to_owned();
            strings(&rule["resources"])
                .into_iter()
                .map(move |resource| (group.clone(), resource.to_owned()))
        })
        .filter(|(group, resource)| !own.contains(&resource.as_str()) && group != "workspaces.jupyter.org")
        .collect()
}

#[test]
fn require_template_reaches_operator_and_webhook() {
    for (values, expected) in [(&EXTERNAL[..], true), (&LOCAL[..], false)] {
        let settings = settings(&template(values).unwrap());
        assert_eq!(settings["requireTemplate"], json!(expected));
    }
    let reason = refusal(&EXTERNAL, "settings.requireTemplate=sometimes");
    assert!(reason.contains("requireTemplate"), "{reason}");
}

#[test]
fn the_operator_knows_which_manager_the_gateway_serves() {
    let other = [&EXTERNAL[..], &["--set", "manager.name=campus"]].concat();
    for (values, name) in [(&EXTERNAL[..], "default"), (&other[..], "campus")] {
        let objects = template(values).unwrap();
        assert_eq!(settings(&objects)["gatewayManager"], json!(name));
        assert_eq!(
            settings(&objects)["defaultManager"],
            Value::Null,
            "the annotation decides"
        );
        let gateway = named(&objects, "Deployment", "jupyter-k8s-gateway");
        let arguments = strings(&gateway["spec"]["template"]["spec"]["containers"][0]["args"]);
        assert!(
            arguments.contains(&format!("--manager={name}").as_str()),
            "{arguments:?}"
        );
    }
}

#[test]
fn in_one_namespace_workspaces_without_a_manager_get_the_release_s_own() {
    let half = ["--set", "scope=Namespace,objects=Namespace,manager.name=team-a"];
    let objects = template(&[&EXTERNAL[..], &half].concat()).unwrap();
    let settings = settings(&objects);
    assert_eq!(settings["defaultManager"], "team-a");
    assert_eq!(settings["gatewayManager"], "team-a");
}

#[test]
fn the_operator_may_read_the_definitions_whose_statuses_it_writes_and_no_other() {
    let objects = template(&EXTERNAL).unwrap();
    let role = named(&objects, "ClusterRole", "jupyter-k8s-operator");
    let rules = role["rules"].as_array().unwrap();
    let of_definitions = |rule: &&Value| strings(&rule["resources"]) == ["customresourcedefinitions"];
    let reading = rules.iter().find(of_definitions).unwrap();
    let has_status = |kind: &CustomResourceDefinition| {
        let schema = kind.spec.versions[0]
            .schema
            .clone()
            .unwrap_or_default()
            .open_api_v3_schema;
        schema.is_some_and(|schema| {
            schema
                .properties
                .is_some_and(|fields| fields.contains_key("status"))
        })
    };
    let written: BTreeSet<_> = api::crds()
        .into_iter()
        .filter(has_status)
        .filter_map(|kind| kind.metadata.name)
        .collect();
    let readable: BTreeSet<_> = strings(&reading["resourceNames"])
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!((readable, strings(&reading["verbs"])), (written, vec!["get"]));
}

#[test]
fn one_template_of_the_chart_is_the_default_of_the_cluster_unless_none_is_wanted() {
    let marked = |values: &[&'static str]| -> Vec<String> {
        let objects = template(values).unwrap();
        let templates = of_kind(&objects, "WorkspaceTemplate").into_iter();
        templates
            .filter(|it| it["metadata"]["labels"][api::names::DEFAULT_TEMPLATE_LABEL] == "true")
            .map(|it| it["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(marked(&EXTERNAL), ["jupyterlab"]);
    let none = [&EXTERNAL[..], &["--set", "defaultTemplate="]].concat();
    assert_eq!(marked(&none), Vec::<String>::new());
}

#[test]
fn the_templates_of_the_chart_have_other_names_than_those_of_the_samples() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/samples");
    let samples = std::fs::read_dir(samples)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let samples = samples.filter(|path| path.is_file());
    let samples: Vec<Value> = samples
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let manifests = text.split("\n---\n");
            manifests
                .map(|one| serde_saphyr::from_str(one).unwrap())
                .collect::<Vec<Value>>()
        })
        .collect();
    let names = |objects: &[Value]| -> BTreeSet<String> {
        let templates = of_kind(objects, "WorkspaceTemplate");
        let names = templates
            .iter()
            .map(|it| it["metadata"]["name"].as_str().unwrap());
        names.map(str::to_owned).collect()
    };
    let (ours, theirs) = (names(&template(&EXTERNAL).unwrap()), names(&samples));
    assert!(ours.contains("jupyterlab"), "{ours:?}");
    assert!(theirs.contains("production-notebook-template"), "{theirs:?}");
    assert!(ours.is_disjoint(&theirs), "{ours:?}, {theirs:?}");
}

#[test]
fn the_operator_may_write_the_kinds_of_routes_that_are_allowed_and_no_other() {
    let pair = |group: &str, resource: &str| (group.to_owned(), resource.to_owned());
    let objects = template(&EXTERNAL).unwrap();
    assert_eq!(
        routes_of_operator(&objects),
        BTreeSet::from([
            pair("networking.k8s.io", "ingresses"),
            pair("traefik.io", "ingressroutes"),
            pair("traefik.io", "middlewares"),
            pair("gateway.networking.k8s.io", "httproutes"),
        ])
    );
    assert_eq!(settings(&objects)["routeKinds"].as_array().map(Vec::len), Some(4));
    let one = [
        &EXTERNAL[..],
        &[
            "--set-json",
            r#"settings.routeKinds=[{"apiVersion":"projectcontour.io/v1","kind":"HTTPProxy","resource":"httpproxies"}]"#,
        ],
    ]
    .concat();
    let objects = template(&one).unwrap();
    assert_eq!(
        routes_of_operator(&objects),
        BTreeSet::from([pair("projectcontour.io", "httpproxies")])
    );
    assert_eq!(
        settings(&objects)["routeKinds"],
        json!([{"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy"}])
    );
    let none = [&EXTERNAL[..], &["--set-json", "settings.routeKinds=[]"]].concat();
    let objects = template(&none).unwrap();
    assert_eq!(routes_of_operator(&objects), BTreeSet::new());
    assert_eq!(settings(&objects)["routeKinds"], json!([]));
}

#[test]
fn a_core_kind_as_a_route_is_refused_before_anything_is_installed() {
    let secret = r"settings.routeKinds[0].apiVersion=v1,settings.routeKinds[0].kind=Secret,settings.routeKinds[0].resource=secrets";
    let reason = refusal(&EXTERNAL, secret);
    assert!(reason.contains("routeKinds"), "{reason}");
}

#[test]
fn the_manager_has_the_network_policy_that_is_set() {
    let policy = |values: &[&str]| {
        let objects = template(values).unwrap();
        named(&objects, "WorkspaceManager", "default")["spec"]["networkPolicy"].clone()
    };
    let usual = json!({"enabled": true, "ingressFrom": [], "egress": "PublicInternet", "notPublic": [], "dns": {"to": [], "ports": [53]}});
    assert_eq!(policy(&EXTERNAL), usual);
    let set = |set| [&EXTERNAL[..], &["--set", set]].concat();
    assert_eq!(
        policy(&set("manager.networkPolicy.egress=None"))["egress"],
        "None"
    );
    let public = "manager.networkPolicy.notPublic={30.0.0.0/8,2600:1f14::/32}";
    assert_eq!(
        policy(&set(public))["notPublic"],
        json!(["30.0.0.0/8", "2600:1f14::/32"])
    );
    let reason = refusal(&EXTERNAL, "manager.networkPolicy.notPublic={pods}");
    assert!(
        reason.contains(r#"manager.networkPolicy.notPublic[0]: "pods" is no network"#),
        "{reason}"
    );
}
