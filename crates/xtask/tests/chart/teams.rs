//! userNamespaces -> namespaces with a team's quota, limits and templates (IO: runs `helm`).

use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::render::{of_kind, refused, strings, with_values};

fn with(teams: &Value) -> Vec<Value> {
    with_values(json!({ "userNamespaces": teams }), &[]).unwrap()
}

/// Objects of this kind in a namespace, without those that only exist during `helm test`.
fn within<'a>(objects: &'a [Value], kind: &str, namespace: &str) -> Vec<&'a Value> {
    let mut found = of_kind(objects, kind);
    found.retain(|object| {
        let metadata = &object["metadata"];
        metadata["namespace"] == namespace && metadata["annotations"].get("helm.sh/hook").is_none()
    });
    found
}

/// The permissions of a role: resources, verbs and names of each rule.
fn granted(role: &Value) -> Vec<[String; 3]> {
    let rules = role["rules"].as_array().unwrap().iter();
    let text = |rule: &Value, key: &str| strings(&rule[key]).join(" ");
    rules
        .map(|rule| ["resources", "verbs", "resourceNames"].map(|key| text(rule, key)))
        .collect()
}

#[test]
fn a_namespace_that_exists_is_left_alone_and_gets_what_is_in_it() {
    let objects = with(&json!([
        {"name": "team-a", "create": false, "users": ["alice"], "quota": {"pods": 5}, "limits": {"max": {"cpu": 4}}},
        {"name": "team-b", "labels": {"cost-centre": "7", "pod-security.kubernetes.io/enforce": "baseline"}},
        {"name": "default", "create": false},
    ]));
    let namespaces = of_kind(&objects, "Namespace");
    assert_eq!(namespaces.len(), 1, "{namespaces:?}");
    let labels = &namespaces[0]["metadata"]["labels"];
    assert_eq!(labels["cost-centre"], "7");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");
    for kind in ["RoleBinding", "ResourceQuota", "LimitRange"] {
        assert_eq!(within(&objects, kind, "team-a").len(), 1, "{kind}");
        assert!(within(&objects, kind, "team-b").is_empty(), "{kind}");
    }
}

#[test]
fn a_quota_counts_workspaces_by_the_name_under_which_the_api_server_has_them() {
    let objects = with(&json!([{
        "name": "team-a",
        "quota": {"workspaces": 20, "requests.cpu": 40, "requests.storage": "200Gi"},
        "limits": {
            "defaultRequest": {"cpu": "100m"}, "default": {"cpu": 1, "memory": "1Gi"}, "max": {"cpu": 4}, "min": {"cpu": "10m"},
        },
    }]));
    let names = api::Workspace::crd().spec;
    let counted = format!("count/{}.{}", names.names.plural, names.group);
    let hard = json!({counted: "20", "requests.cpu": "40", "requests.storage": "200Gi"});
    assert_eq!(
        within(&objects, "ResourceQuota", "team-a")[0]["spec"]["hard"],
        hard
    );
    let limits = &within(&objects, "LimitRange", "team-a")[0]["spec"]["limits"];
    assert_eq!(limits.as_array().map(Vec::len), Some(1));
    assert_eq!(limits[0]["type"], "Container");
    assert_eq!(limits[0]["default"], json!({"cpu": 1, "memory": "1Gi"}));
    assert_eq!(limits[0]["defaultRequest"], json!({"cpu": "100m"}));
}

#[test]
fn a_team_with_templates_may_use_these_and_no_others_and_the_rest_stays_as_it_is() {
    let objects = with(&json!([
        {"name": "limited", "users": ["alice"], "adminUsers": ["carol"], "templates": ["gpu", "small"]},
        {"name": "nothing", "users": ["bob"], "templates": []},
        {"name": "usual", "users": ["dora"], "adminUsers": ["erik"]},
    ]));
    for (role, user) in [("workspace-user", "alice"), ("workspace-admin", "carol")] {
        let name = format!("jupyter-k8s-{role}-templates");
        let cluster = of_kind(&objects, "ClusterRole");
        let usual = cluster
            .iter()
            .find(|it| it["metadata"]["name"] == format!("jupyter-k8s-{role}"));
        let mut expected = granted(usual.unwrap());
        let templates = |rule: &&mut [String; 3]| rule[0] == "workspacetemplates";
        let rule = expected.iter_mut().find(templates).unwrap();
        assert_eq!(rule[2], "jupyterlab");
        "gpu small".clone_into(&mut rule[2]);
        let roles = within(&objects, "Role", "limited");
        let own = roles
            .iter()
            .find(|it| it["metadata"]["name"] == name.as_str())
            .unwrap();
        assert_eq!(granted(own), expected, "{role}");
        let bindings = within(&objects, "RoleBinding", "limited");
        assert_eq!(
            bindings.len(),
            2,
            "no binding to a role with all templates: {bindings:?}"
        );
        let of_user = |binding: &&&Value| binding["subjects"][0]["name"] == user;
        let binding = bindings.iter().find(of_user).unwrap();
        assert_eq!(binding["roleRef"]["kind"], "Role");
        assert_eq!(binding["roleRef"]["name"], name);
        // The role of a binding cannot change, so each kind of role has a binding of its own name.
        assert_eq!(binding["metadata"]["name"], name);
    }
    let rules = granted(within(&objects, "Role", "nothing")[0]);
    assert!(
        rules.iter().all(|rule| rule[0] != "workspacetemplates"),
        "{rules:?}"
    );
    assert!(within(&objects, "Role", "usual").is_empty());
    for binding in within(&objects, "RoleBinding", "usual") {
        assert_eq!(binding["roleRef"]["kind"], "ClusterRole", "{binding}");
    }
    let default = |name: &str| {
        let namespaces = of_kind(&objects, "Namespace");
        let namespace = namespaces
            .iter()
            .find(|it| it["metadata"]["name"] == name)
            .unwrap();
        namespace["metadata"]["annotations"][api::names::DEFAULT_TEMPLATE].clone()
    };
    assert_eq!(default("limited"), "gpu", "jupyterlab is not for this team");
    assert_eq!(default("usual"), Value::Null);
}

#[test]
fn an_invalid_team_is_refused_with_what_to_do() {
    for (team, expected) in [
        (
            r#""quota":{"count/workspaces.workspace.jupyter.org":5}"#,
            r#"userNamespaces[0].quota: "count/workspaces.workspace.jupyter.org" counts nothing, as no kind has this name: write workspaces"#,
        ),
        (
            r#""quota":{"cpus":5}"#,
            r#"userNamespaces[0].quota: "cpus" is no name of a quota: write requests.cpu or limits.cpu"#,
        ),
        (
            r#""quota":{"count/workspaces":5}"#,
            r#"userNamespaces[0].quota: "count/workspaces" is no name of a quota: write workspaces"#,
        ),
        (
            r#""quota":{"count/deployments":5}"#,
            "as no kind of the core group has this name: add the group, such as count/deployments.apps",
        ),
        (
            r#""quota":{"nvidia.com/gpu":1}"#,
            r#"userNamespaces[0].quota: "nvidia.com/gpu" counts nothing, as quotas of such resources are about requests alone: write requests.nvidia.com/gpu"#,
        ),
        (
            r#""quota":{"somethings":1}"#,
            r#"userNamespaces[0].quota: "somethings" is no name of a quota: write one of workspaces, cpu, memory"#,
        ),
        (
            r#""quota":{"workspaces":5,"count/workspaces.workspaces.jupyter.org":5}"#,
            "are the same: leave one of them out",
        ),
        (
            r#""quota":{"workspaces":"many"}"#,
            r#"userNamespaces[0].quota.workspaces: "many" is no quantity of Kubernetes"#,
        ),
        (
            r#""limits":{"default":{"cpu":2},"max":{"cpu":1}}"#,
            r#"userNamespaces[0].limits.default.cpu: "2" is more than userNamespaces[0].limits.max.cpu ("1")"#,
        ),
        (
            r#""limits":{"defaultRequest":{"memory":"2Gi"},"default":{"memory":"1Gi"}}"#,
            "lower the one or raise the other",
        ),
        (
            r#""limits":{"defaultRequest":{"cpu":4},"max":{"cpu":2}}"#,
            r#"userNamespaces[0].limits.defaultRequest.cpu: "4" is more than userNamespaces[0].limits.max.cpu ("2")"#,
        ),
        (
            r#""create":false,"labels":{"a":"b"}"#,
            r#"userNamespaces[0].labels: "a" would be set on a namespace that this release does not make (create: false): set them with kubectl label namespace team-a"#,
        ),
        (
            r#""labels":{"app.kubernetes.io/name":"b"}"#,
            r#"userNamespaces[0].labels: "app.kubernetes.io/name" is a label that the chart sets itself"#,
        ),
        (
            r#""templates":["GPU"]"#,
            r#"userNamespaces[0].templates[0]: "GPU" is no name of a Kubernetes object"#,
        ),
    ] {
        let reason = refused(&format!(r#"userNamespaces=[{{"name":"team-a",{team}}}]"#));
        assert!(reason.contains(expected), "{team}: {reason}");
    }
    let unbounded = json!({
        "settings": {"requireTemplate": false},
        "userNamespaces": [{"name": "team-a", "templates": ["small"]}],
    });
    let reason = with_values(unbounded, &[]).unwrap_err();
    let expected =
        r#"userNamespaces[0].templates: "small" bounds no user while settings.requireTemplate is false"#;
    assert!(reason.contains(expected), "{reason}");
}

#[test]
fn administrators_of_the_installation_have_the_role_everywhere_and_may_connect() {
    let values = json!({
        "administrators": {"users": ["carol"], "groups": ["oidc:platform"]},
        "manager": {"authorization": {"adminGroups": ["oidc:support"]}},
    });
    let objects = with_values(values, &[]).unwrap();
    let authorization = &of_kind(&objects, "WorkspaceManager")[0]["spec"]["authorization"];
    assert_eq!(authorization["adminUsers"], json!(["carol"]));
    assert_eq!(
        authorization["adminGroups"],
        json!(["oidc:platform", "oidc:support"])
    );
    let role = "jupyter-k8s-administrator";
    let of = |objects: &[Value], kind: &str| {
        let mut found = of_kind(objects, kind).into_iter();
        found.find(|one| one["metadata"]["name"] == role).cloned()
    };
    let binding = of(&objects, "ClusterRoleBinding").unwrap();
    assert_eq!(binding["roleRef"]["name"], role);
    let subjects = binding["subjects"].as_array().unwrap().iter();
    let names: Vec<_> = subjects
        .map(|subject| subject["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["carol", "oidc:platform"]);
    let granted = granted(&of(&objects, "ClusterRole").unwrap());
    for [resources, verbs] in [
        ["workspaces", "administer share assign-owner"],
        ["workspacetemplates workspacemanagers", "get list use"],
    ] {
        let all = [resources, verbs, ""].map(str::to_owned);
        assert!(granted.contains(&all), "{all:?}: {granted:?}");
    }
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        let by_default = of(&with(&json!([])), kind);
        assert!(by_default.is_none(), "{by_default:?}");
    }
    let one = json!({"scope": "Namespace", "administrators": {"users": ["carol"]}});
    let reason = with_values(one, &[]).unwrap_err();
    assert!(
        reason.contains(r#"administrators: "carol" would administer all namespaces"#),
        "{reason}"
    );
    let groups = |prefix: &str| (0..20).map(|it| format!("{prefix}{it}")).collect::<Vec<_>>();
    let many = json!({
        "administrators": {"groups": groups("a")},
        "manager": {"authorization": {"adminGroups": groups("b")}},
    });
    let reason = with_values(many, &[]).unwrap_err();
    let expected = "administrators.groups: 40 groups with those of manager.authorization.adminGroups";
    assert!(reason.contains(expected), "{reason}");
    let anonymous =
        json!([{"name": "team-a", "adminUsers": ["system:anonymous"], "groups": ["system:unauthenticated"]}]);
    let reason = with_values(json!({"userNamespaces": anonymous}), &[]).unwrap_err();
    for expected in [
        r#"userNamespaces[0].adminUsers[0]: "system:anonymous" is every client that does not sign in"#,
        r#"userNamespaces[0].groups[0]: "system:unauthenticated" is every client that does not sign in"#,
    ] {
        assert!(reason.contains(expected), "{reason}");
    }
}
