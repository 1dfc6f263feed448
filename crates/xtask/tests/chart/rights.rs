//! rendered roles -> verbs and objects one by one, credentials only where they are needed (IO: runs `helm`).
//!
//! `accounts.rs` compares each account with its reviewed file; roles of users are in `golden`.

use serde_json::Value;

use crate::render::{
    SYSTEM, list, name, named, of_kind, parse, rendering, renderings, strings, text_of, with,
};

fn roles(objects: &[Value]) -> Vec<&Value> {
    [of_kind(objects, "ClusterRole"), of_kind(objects, "Role")].concat()
}

fn bindings(objects: &[Value]) -> Vec<&Value> {
    [
        of_kind(objects, "ClusterRoleBinding"),
        of_kind(objects, "RoleBinding"),
    ]
    .concat()
}

#[test]
fn roles_name_their_verbs_and_objects_one_by_one() {
    for one in renderings() {
        for role in roles(&one.objects) {
            for rule in list(&role["rules"]) {
                let parts = [&rule["apiGroups"], &rule["resources"], &rule["verbs"]];
                assert!(
                    parts.iter().all(|part| !part.to_string().contains('*')),
                    "{}: {rule}",
                    name(role)
                );
                if strings(&rule["resources"]).contains(&"secrets") {
                    assert_eq!(role["kind"], "Role", "{rule}");
                    let by_name = !strings(&rule["resourceNames"]).is_empty();
                    assert!(by_name || strings(&rule["verbs"]) == ["create"], "{rule}");
                }
                assert!(
                    !strings(&rule["verbs"]).contains(&"impersonate"),
                    "only impersonation Any has it: {rule}"
                );
            }
        }
    }
    let any = with(&serde_json::json!({"portal": {"impersonation": "Any"}}), &[]).unwrap();
    let portal = named(&any, "ClusterRole", "jupyter-k8s-portal").to_string();
    assert!(portal.contains("\"impersonate\""), "{portal}");
}

#[test]
fn the_proxy_holds_no_kubernetes_credentials() {
    for one in renderings() {
        let mut deployments = of_kind(&one.objects, "Deployment").into_iter();
        let Some(proxy) = deployments.find(|deployment| name(deployment) == "jupyter-k8s-proxy") else {
            continue;
        };
        let pod = &proxy["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert!(!pod["volumes"].to_string().contains("serviceAccountToken"));
        for binding in bindings(&one.objects) {
            let mut subjects = list(&binding["subjects"]);
            assert!(
                subjects.all(|subject| subject["name"] != pod["serviceAccountName"]),
                "{binding}"
            );
        }
    }
}

#[test]
fn every_kind_that_the_operator_writes_is_bounded_by_its_policy() {
    for one in renderings() {
        let policies = of_kind(&one.objects, "ValidatingAdmissionPolicy");
        let Some(policy) = policies
            .iter()
            .find(|policy| name(policy) == "jupyter-k8s-operator")
        else {
            continue;
        };
        let bounds = &policy["spec"]["matchConstraints"]["resourceRules"];
        let role = named(&one.objects, "ClusterRole", "jupyter-k8s-operator");
        let mut children = 0;
        for rule in list(&role["rules"]) {
            let writes = strings(&rule["verbs"])
                .iter()
                .any(|verb| ["create", "patch", "delete"].contains(verb));
            let group = strings(&rule["apiGroups"])[0];
            if !writes || ["workspaces.jupyter.org", "events.k8s.io"].contains(&group) {
                continue;
            }
            for resource in strings(&rule["resources"]) {
                let is_bounded = list(bounds).any(|bound| {
                    let covers = |field: &str, wanted: &str| {
                        strings(&bound[field])
                            .iter()
                            .any(|one| *one == wanted || *one == "*")
                    };
                    covers("apiGroups", group) && covers("resources", resource)
                });
                assert!(is_bounded, "{}: {group}/{resource}", one.name);
                children += 1;
            }
        }
        assert!(children > 5, "{}", one.name);
    }
}

#[test]
fn administrators_of_the_installation_have_the_role_everywhere_and_may_connect() {
    let objects = &rendering("everything").objects;
    let binding = of_kind(objects, "ClusterRoleBinding")
        .into_iter()
        .find(|binding| {
            list(&binding["subjects"]).any(|subject| subject["name"] == "oidc:platform")
                && binding["roleRef"]["name"] == "jupyter-k8s-administrator"
        });
    let subjects: Vec<&str> = list(&binding.unwrap()["subjects"])
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(subjects, ["oidc:carol", "oidc:platform"]);
    let manager = &named(objects, "WorkspaceManager", "default")["spec"]["authorization"];
    assert_eq!(strings(&manager["adminUsers"]), ["oidc:carol"]);
    assert_eq!(strings(&manager["adminGroups"]), ["oidc:platform", "oidc:ops"]);
}

#[test]
fn a_namespace_that_exists_is_left_alone_and_gets_what_is_in_it() {
    let objects = &rendering("everything").objects;
    let made: Vec<&str> = of_kind(objects, "Namespace").into_iter().map(name).collect();
    assert_eq!(made, ["team-a"], "team-b has create: false");
    let enforced =
        &named(objects, "Namespace", "team-a")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(enforced, "restricted");
    let inside = |kind: &str| {
        let all = of_kind(objects, kind).into_iter();
        let places = all.map(|object| object["metadata"]["namespace"].as_str().unwrap());
        places.filter(|place| *place != SYSTEM).collect::<Vec<_>>()
    };
    assert_eq!(inside("ResourceQuota"), ["team-a"]);
    assert_eq!(inside("LimitRange"), ["team-a"]);
    assert!(inside("RoleBinding").contains(&"team-b"));
}

#[test]
fn roles_can_be_rendered_apart_and_the_rest_has_none() {
    let values = crate::render::here("values/default.yaml");
    let values = ["-f", values.to_str().unwrap()];
    let render = |more: &[&str]| parse(&text_of(".", &[&values[..], more].concat()).unwrap());
    let all = render(&[]);
    let rest = render(&["--set", "rbac.create=false"]);
    let apart = render(&["--show-only", "templates/rbac/*"]);
    let is_role = |object: &&Value| object["kind"].as_str().is_some_and(|kind| kind.contains("Role"));
    assert!(!rest.iter().any(|object| is_role(&object)));
    assert!(
        apart.iter().all(|object| is_role(&object)) && apart.len() > 10,
        "{}",
        apart.len()
    );
    assert_eq!(rest.len() + apart.len(), all.len());
}
