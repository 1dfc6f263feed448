//! Managers and workspaces -> routes or violations (tests).

use api::{Workspace, WorkspaceManager};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::effective::effective;
use crate::settings::Settings;
use crate::violation::Violation;

fn settings() -> Settings {
    Settings::parse("{defaultImage: i, gatewayAddress: 'https://gateway.system.svc:8443/verify'}").unwrap()
}

fn workspace(variables: &Value) -> Workspace {
    serde_json::from_value(json!({
        "metadata": {
            "name": "demo", "namespace": "team", "uid": "u-1",
            "annotations": {api::names::CREATED_BY: "alice"},
        },
        "spec": {"displayName": "d", "port": 9000, "variables": variables},
    }))
    .unwrap()
}

fn ingress() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "namespace": "elsewhere",
            "labels": {"a": "b", "workspaces.jupyter.org/workspace": "another"},
            "annotations": {"example.com/auth": "{authentication.address}", "example.com/port": "{service.port}"},
        },
        "spec": {"rules": [{"host": "{workspace.host}", "http": {"paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "{service.name}", "port": {"number": "{service.port}"}}},
        }]}}]},
    })
}

fn manager(resources: &[Value], authentication: &Value) -> WorkspaceManager {
    serde_json::from_value(json!({
        "metadata": {"name": "main"},
        "spec": {
            "routing": {"baseDomain": "b.org", "custom": {"resources": resources}},
            "authentication": authentication,
        },
    }))
    .unwrap()
}

fn forward() -> Value {
    json!({"forwardAuth": {"address": "http://auth.sso.svc/verify", "authResponseHeaders": ["X-User"]}})
}

fn rendered(manager: &WorkspaceManager, variables: &Value) -> Result<Routes, Vec<Violation>> {
    let (workspace, settings) = (workspace(variables), settings());
    let effective = effective(&workspace.spec, None, &settings);
    render(&workspace, &effective, manager, &settings).map(|(routes, _)| routes)
}

fn only(manager: &WorkspaceManager) -> RenderedObject {
    match rendered(manager, &json!({})).unwrap() {
        Routes::Objects(mut routes) if routes.len() == 1 => routes.remove(0),
        other => panic!("{other:?}"),
    }
}

fn faults(manager: &WorkspaceManager) -> String {
    Violations::from_list(check(manager, &settings()))
        .map(|all| all.to_string())
        .unwrap_or_default()
}

#[test]
fn a_manifest_becomes_the_workspace_s_own_object() {
    let route = only(&manager(&[ingress()], &forward()));
    assert_eq!(route.kind.to_string(), "networking.k8s.io/v1 Ingress");
    assert_eq!(route.name, "workspace-demo");
    assert_eq!(
        Value::Object(route.labels),
        json!({"a": "b"}),
        "our own keys are ours"
    );
    assert_eq!(
        route.annotations["example.com/auth"],
        "http://auth.sso.svc/verify"
    );
    assert_eq!(
        route.annotations["example.com/port"], "9000",
        "annotations are texts"
    );
    let rule = &route.body["spec"]["rules"][0];
    assert!(rule["host"].as_str().unwrap().starts_with("demo-"), "{rule}");
    assert_eq!(
        rule["http"]["paths"][0]["backend"],
        json!({"service": {"name": "workspace-demo", "port": {"number": 9000}}})
    );
    assert!(!route.body.contains_key("metadata"));
}

#[test]
fn managers_with_traefik_routing_have_no_route_objects() {
    let fed = json!({
        "metadata": {"name": "main"},
        "spec": {"routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}}},
    });
    let fed: WorkspaceManager = serde_json::from_value(fed).unwrap();
    assert_eq!(rendered(&fed, &json!({})).unwrap(), Routes::NoObjects);
    assert_eq!(check(&fed, &settings()), []);
}

#[test]
fn only_allowed_kinds_are_routes_and_the_message_says_what_to_do() {
    for (version, kind, text) in [
        ("v1", "Secret", "can never be a route"),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "can never be a route",
        ),
        ("projectcontour.io/v1", "HTTPProxy", "setting routeKinds"),
        ("networking.k8s.io/v1beta1", "Ingress", "setting routeKinds"),
    ] {
        let mut other = ingress();
        other["apiVersion"] = json!(version);
        other["kind"] = json!(kind);
        let manager = manager(&[other], &forward());
        let found = faults(&manager);
        assert!(
            found.starts_with("spec.routing.custom.resources[0].kind: "),
            "{found}"
        );
        assert!(found.contains(text) && found.contains(kind), "{found}");
        assert!(matches!(
            rendered(&manager, &json!({})).unwrap(),
            Routes::Unknown(_)
        ));
    }
}

#[test]
fn a_route_needs_an_authentication_service() {
    let mut open = ingress();
    open["metadata"]["annotations"] = json!({});
    let found = faults(&manager(std::slice::from_ref(&open), &forward()));
    assert!(
        found.starts_with("spec.authentication.forwardAuth: is used by no manifest"),
        "{found}"
    );
    let found = faults(&manager(std::slice::from_ref(&open), &json!({"gateway": {}})));
    assert!(
        found.starts_with("spec.authentication.gateway: is used by no manifest"),
        "{found}"
    );
    assert_eq!(
        faults(&manager(std::slice::from_ref(&open), &json!({"none": {}}))),
        "",
        "said explicitly"
    );
    assert_eq!(
        faults(&manager(std::slice::from_ref(&open), &json!({"application": {}}))),
        ""
    );
    let none = faults(&manager(&[ingress()], &json!({"none": {}})));
    assert!(
        none.contains("unknown variable {authentication.address}"),
        "{none}"
    );
}

#[test]
fn the_gateway_s_address_comes_from_the_settings() {
    let manager = manager(&[ingress()], &json!({"gateway": {}}));
    let route = only(&manager);
    assert_eq!(
        route.annotations["example.com/auth"],
        "https://gateway.system.svc:8443/verify"
    );
    let settings = Settings::parse("defaultImage: i").unwrap();
    let found = Violations::from_list(check(&manager, &settings))
        .unwrap()
        .to_string();
    assert!(found.contains("gatewayAddress"), "{found}");
}

#[test]
fn workspace_variables_are_expanded_in_routes_without_special_meaning() {
    let mut personal = ingress();
    personal["spec"]["rules"][0]["host"] = json!("{team}.{workspace.host}");
    personal["metadata"]["annotations"]["example.com/x"] = json!("Header(`{team}`)");
    let manager = manager(&[personal], &forward());
    assert_eq!(faults(&manager), "");
    let Routes::Objects(routes) = rendered(&manager, &json!({"team": "blue"})).unwrap() else {
        panic!()
    };
    assert_eq!(routes[0].annotations["example.com/x"], "Header(`blue`)");
    let found = rendered(&manager, &json!({"team": "a`) || Host(`b"})).unwrap_err();
    let found = found[0].to_string();
    assert!(
        found.starts_with("WorkspaceManager main: spec.routing.custom.resources[0]"),
        "{found}"
    );
    assert!(found.contains("{team}"), "{found}");
}

#[test]
fn in_folders_of_one_host_the_url_ends_in_the_workspace_s_path() {
    let mut manager = manager(&[], &json!({"gateway": {}}));
    manager.spec.routing.custom = None;
    manager.spec.routing.traefik = Some(api::manager::Traefik {});
    manager.spec.routing.mode = api::manager::RoutingMode::Path;
    let (workspace, settings) = (workspace(&json!({})), settings());
    let effective = effective(&workspace.spec, None, &settings);
    let now = |manager: &WorkspaceManager| {
        render(&workspace, &effective, manager, &settings)
            .unwrap()
            .1
            .unwrap()
    };
    assert_eq!(now(&manager), "https://b.org/workspaces/team/demo/");
    manager.spec.routing.port = Some(8443);
    assert_eq!(now(&manager), "https://b.org:8443/workspaces/team/demo/");
}

#[test]
fn a_url_template_replaces_the_usual_url() {
    let mut manager = manager(&[ingress()], &forward());
    let (workspace, settings) = (workspace(&json!({})), settings());
    let effective = effective(&workspace.spec, None, &settings);
    let now = |manager: &WorkspaceManager| {
        render(&workspace, &effective, manager, &settings)
            .unwrap()
            .1
            .unwrap()
    };
    assert!(now(&manager).starts_with("https://demo-") && now(&manager).ends_with(".b.org/"));
    let custom = manager.spec.routing.custom.as_mut().unwrap();
    custom.url_template = Some("https://hub.b.org/{workspace.namespace}/{workspace.name}/".to_owned());
    assert_eq!(now(&manager), "https://hub.b.org/team/demo/");
    for (template, text) in [
        ("ftp://x/{workspace.name}", "must be a URL"),
        ("https://{workspace.nmae}/", "unknown variable"),
        ("https://hub.b.org{hub.path}", "must have a / between"),
        ("https://hub.{hub.path}.b.org/", "must have a / between"),
    ] {
        manager.spec.routing.custom.as_mut().unwrap().url_template = Some(template.to_owned());
        assert!(faults(&manager).contains(text), "{template}");
    }
}

#[test]
fn external_routing_has_no_objects_and_only_the_url_of_its_template() {
    let with = |routing: Value| -> WorkspaceManager {
        let authentication = json!({"application": {}});
        serde_json::from_value(json!({
            "metadata": {"name": "main"}, "spec": {"routing": routing, "authentication": authentication},
        }))
        .unwrap()
    };
    let (workspace, settings) = (workspace(&json!({"hub.path": "user/alice/"})), settings());
    let effective = effective(&workspace.spec, None, &settings);
    let now = |manager: &WorkspaceManager| render(&workspace, &effective, manager, &settings);
    for routing in [
        json!({"external": {}}),
        json!({"baseDomain": "b.org", "external": {}}),
    ] {
        let manager = with(routing);
        assert_eq!(faults(&manager), "");
        assert_eq!(now(&manager).unwrap(), (Routes::External, None));
    }
    let template = |text: &str| with(json!({"external": {"urlTemplate": text}}));
    let hub = template("https://hub.b.org/{hub.path}");
    assert_eq!(faults(&hub), "");
    let url = Some("https://hub.b.org/user/alice/".to_owned());
    assert_eq!(now(&hub).unwrap(), (Routes::External, url));
    for (text, fault) in [
        ("javascript:{workspace.uid}", "must be a URL"),
        ("https://{workspace.nmae}/", "unknown variable"),
        ("https://hub.b.org{hub.path}", "must have a / between"),
        ("https://hub.{hub.path}.b.org/", "must have a / between"),
        ("https://{workspace.host}/", "unknown variable"),
    ] {
        let manager = template(text);
        let found = faults(&manager);
        assert!(
            found.starts_with("spec.routing.external.urlTemplate: "),
            "{found}"
        );
        assert!(found.contains(fault), "{found}");
        assert!(matches!(now(&manager).unwrap(), (Routes::Unknown(_), None)));
    }
    let based =
        with(json!({"baseDomain": "b.org", "external": {"urlTemplate": "https://{workspace.host}/"}}));
    assert_eq!(faults(&based), "");
    let missing = now(&template("https://hub.b.org/{hub.other}")).unwrap_err();
    assert!(missing[0].to_string().contains("{hub.other}"), "{missing:?}");
}

#[test]
fn a_host_or_path_shared_by_equal_names_in_two_namespaces_is_refused() {
    let with = |host: &str, path: &str| {
        let mut manifest = ingress();
        let rule = &mut manifest["spec"]["rules"][0];
        rule["host"] = json!(host);
        rule["http"]["paths"][0]["path"] = json!(path);
        manifest["spec"]["tls"] = json!([{"hosts": [host]}]);
        faults(&manager(&[manifest], &forward()))
    };
    for (host, path) in [
        ("{workspace.host}", "/"),
        ("{workspace.host}", "/{workspace.name}"),
        ("{workspace.uid}.b.org", "/"),
        ("{workspace.name}.{workspace.namespace}.b.org", "/"),
        ("hub.b.org", "/{workspace.namespace}/{workspace.name}/"),
        ("hub.b.org", "/"),
    ] {
        assert_eq!(with(host, path), "", "{host}{path}");
    }
    for host in [
        "{workspace.name}.b.org",
        "{service.name}.{routing.baseDomain}",
        "{workspace.name}-{course}.b.org",
        // `a-b` in `c`, and `a` in `b-c`.
        "{workspace.name}-{workspace.namespace}.b.org",
        "{workspace.namespace}{service.name}.b.org",
        // `a` in `443-b`, and `a-443` in `b`.
        "{workspace.name}-{routing.port}-{workspace.namespace}.b.org",
        "{workspace.name}-x{{workspace.namespace}}.b.org",
    ] {
        let found = with(host, "/");
        for field in ["spec.rules[0].host", "spec.tls[0].hosts[0]"] {
            let expected =
                format!("resources[0].{field}: \"{host}\" can be the same for workspaces of two namespaces");
            assert!(found.contains(&expected), "{expected} is missing in: {found}");
        }
    }
    let found = with("hub.b.org", "/{workspace.name}/");
    assert!(
        found.contains("resources[0].spec.rules[0].http.paths[0].path: "),
        "{found}"
    );
}

proptest! {
    #[test]
    fn validation_of_manifests_never_panics_and_valid_ones_render(kind in "\\PC{0,9}", text in "\\PC{0,40}", key in "\\PC{0,20}") {
        let manifest = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": {"name": text, "labels": {key: text}}, "spec": {text.clone(): [text]},
        });
        let manager = manager(&[manifest, ingress()], &forward());
        let sound = check(&manager, &settings()).is_empty();
        let unknown = matches!(rendered(&manager, &json!({})), Ok(Routes::Unknown(_)));
        prop_assert_eq!(sound, !unknown);
    }
}

#[test]
fn two_manifests_of_one_kind_and_name_are_refused() {
    let named = |name: &str| {
        let mut manifest = ingress();
        manifest["metadata"]["name"] = json!(name);
        manifest
    };
    let usual = named("workspace-{workspace.name}");
    let found = faults(&manager(&[ingress(), usual], &forward()));
    let expected = "spec.routing.custom.resources[1]: \"workspace-{workspace.name}\" is the second manifest of this kind and name";
    assert!(found.contains(expected), "{found}");
    let two = manager(
        &[named("{workspace.name}-auth"), named("{workspace.name}-{course}")],
        &forward(),
    );
    assert_eq!(faults(&two), "");
    let of = |course: &str| rendered(&two, &json!({"course": course}));
    assert!(matches!(of("r"), Ok(Routes::Objects(routes)) if routes.len() == 2));
    let refused = of("auth").unwrap_err()[0].to_string();
    let expected = "resources[1]: \"demo-auth\" is the second manifest of this kind and name";
    assert!(refused.contains(expected), "{refused}");
}
