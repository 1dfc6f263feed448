//! `portal.impersonation`, `portal.scope` -> permissions of the portal's account (IO: runs `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{EXTERNAL, argument, container, named, of_kind, refused, strings, template, with_values};

pub(crate) const ACCOUNT: &str = "jupyter-k8s-portal";
/// The permissions of the account itself, in an installation of the cluster.
const OWN: [&str; 8] = [
    "workspaces.jupyter.org workspaces: list watch",
    "workspaces.jupyter.org workspaceshares: list watch",
    "rbac.authorization.k8s.io roles,rolebindings,clusterroles,clusterrolebindings: list watch",
    "workspaces.jupyter.org workspacetemplates: list watch",
    "workspaces.jupyter.org workspacemanagers: list watch",
    " namespaces: list watch",
    "authorization.k8s.io subjectaccessreviews: create",
    "authentication.k8s.io users,groups: impersonate:user-info",
];
/// The permissions as the signed-in user; a verb stands for `impersonate-on:user-info:<verb>`.
const ACTIONS: [&str; 9] = [
    "workspaces.jupyter.org workspaces: get create patch delete",
    "workspaces.jupyter.org workspaceshares: get create patch delete",
    "workspaces.jupyter.org workspaceexecutionprofiles: list",
    " pods: list",
    " events: list",
    " resourcequotas: list",
    " limitranges: list",
    "events.k8s.io events: list",
    "metrics.k8s.io pods: list",
];

/// A permission: namespace (empty: the cluster), group, resource, verb.
type Right = (String, String, String, String);

/// One permission for each verb of each resource.
fn listed(place: &str, lines: &[&str], verb: impl Fn(&str) -> String) -> BTreeSet<Right> {
    let of_line = |line: &&str| {
        let (about, verbs) = line.split_once(": ").unwrap();
        let (group, resources) = about.split_once(' ').unwrap();
        let (group, verbs) = (group.to_owned(), verbs.to_owned());
        let resources: Vec<String> = resources.split(',').map(str::to_owned).collect();
        let each = |resource: String| -> Vec<Right> {
            let right = |one: &str| (place.to_owned(), group.clone(), resource.clone(), verb(one));
            verbs.split(' ').map(right).collect()
        };
        resources.into_iter().flat_map(each).collect::<Vec<_>>()
    };
    lines.iter().flat_map(of_line).collect()
}

fn own() -> BTreeSet<Right> {
    listed("", &OWN, str::to_owned)
}

fn actions(place: &str) -> BTreeSet<Right> {
    let on = |verb: &str| format!("impersonate-on:user-info:{verb}");
    let mut all = listed(place, &ACTIONS, on);
    all.extend(listed(place, &[" pods/log,persistentvolumeclaims: get"], on));
    all
}

/// The permission for a self-review of the impersonated user.
fn who_am_i() -> BTreeSet<Right> {
    let line = "authentication.k8s.io selfsubjectreviews: impersonate-on:user-info:create";
    listed("", &[line], str::to_owned)
}

/// All permissions of the account by bound roles. No rule is about single objects.
fn held(objects: &[Value]) -> BTreeSet<Right> {
    let mut held = BTreeSet::new();
    let bindings = [
        of_kind(objects, "ClusterRoleBinding"),
        of_kind(objects, "RoleBinding"),
    ]
    .concat();
    for binding in bindings {
        let is_bound = |subject: &Value| subject["kind"] == "ServiceAccount" && subject["name"] == ACCOUNT;
        if !binding["subjects"].as_array().unwrap().iter().any(is_bound) {
            continue;
        }
        let place = binding["metadata"]["namespace"].as_str().unwrap_or_default();
        let role = of_kind(objects, binding["roleRef"]["kind"].as_str().unwrap())
            .into_iter()
            .find(|role| {
                role["metadata"]["name"] == binding["roleRef"]["name"]
                    && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
            });
        for rule in role.unwrap()["rules"].as_array().unwrap() {
            assert!(rule["resourceNames"].is_null(), "{rule}");
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    for verb in strings(&rule["verbs"]) {
                        held.insert([place, group, resource, verb].map(str::to_owned).into());
                    }
                }
            }
        }
    }
    held
}

fn union(parts: &[BTreeSet<Right>]) -> BTreeSet<Right> {
    parts.iter().flatten().cloned().collect()
}

/// An installation with two teams.
fn teams(portal: &Value) -> Vec<Value> {
    let teams =
        json!([{"name": "team-a", "users": ["alice"]}, {"name": "team-b", "create": false, "groups": ["g"]}]);
    with_values(json!({"portal": portal, "userNamespaces": teams}), &[]).unwrap()
}

#[test]
fn the_portals_account_has_exactly_the_rights_of_the_list() {
    let everywhere = union(&[own(), who_am_i(), actions("")]);
    assert_eq!(held(&teams(&json!({}))), everywhere);
    assert_eq!(held(&template(&EXTERNAL).unwrap()), everywhere, "the default");
}

#[test]
fn limited_to_user_namespaces_it_acts_for_users_there_alone() {
    let objects = teams(&json!({"scope": "UserNamespaces"}));
    assert_eq!(
        held(&objects),
        union(&[own(), who_am_i(), actions("team-a"), actions("team-b")])
    );
}

fn without_impersonation() -> BTreeSet<Right> {
    let own = own().into_iter();
    own.filter(|right| !right.3.contains("impersonate")).collect()
}

#[test]
fn with_tokens_of_users_it_has_no_right_to_impersonate_and_only_then_the_gateway_sends_them() {
    for (impersonation, is_sent) in [
        ("Token", true),
        ("Constrained", false),
        ("Any", false),
        ("Off", false),
    ] {
        let objects = teams(&json!({"impersonation": impersonation}));
        let gateway = container(&objects, "jupyter-k8s-gateway");
        let sends = strings(&gateway["args"]).contains(&"--portal-id-tokens");
        assert_eq!(sends, is_sent, "{impersonation}");
        assert_eq!(
            argument(container(&objects, ACCOUNT), "--impersonation"),
            Some(impersonation)
        );
        if is_sent {
            assert_eq!(held(&objects), without_impersonation());
        }
    }
    let disabled = teams(&json!({"impersonation": "Token", "enabled": false}));
    let gateway = container(&disabled, "jupyter-k8s-gateway");
    assert!(!strings(&gateway["args"]).contains(&"--portal-id-tokens"));
}

#[test]
fn switched_off_it_acts_for_no_user() {
    let without = without_impersonation();
    for scope in ["Cluster", "UserNamespaces"] {
        let objects = teams(&json!({"impersonation": "Off", "scope": scope}));
        assert_eq!(held(&objects), without, "{scope}");
        let portal = container(&objects, ACCOUNT);
        assert_eq!(argument(portal, "--impersonation"), Some("Off"));
    }
}

#[test]
fn the_gateway_knows_in_which_namespaces_it_acts() {
    let given = |objects: &[Value]| {
        let gateway = container(objects, "jupyter-k8s-gateway");
        let given = strings(&gateway["args"]).into_iter();
        let given = given.filter_map(|argument| argument.strip_prefix("--portal-acts-in="));
        given.map(str::to_owned).collect::<Vec<_>>()
    };
    for (portal, expected) in [
        (json!({}), &["*"][..]),
        (json!({"impersonation": "Any"}), &["*"]),
        (json!({"impersonation": "Token"}), &["*"]),
        (json!({"scope": "UserNamespaces"}), &["team-a", "team-b"]),
        (json!({"impersonation": "Off"}), &[]),
        (json!({"impersonation": "Off", "scope": "UserNamespaces"}), &[]),
        (json!({"enabled": false}), &[]),
    ] {
        assert_eq!(given(&teams(&portal)), expected, "{portal}");
    }
    for (version, impersonation, expected) in [
        ("1.36.3", "Constrained", &["*"][..]),
        ("1.35.7", "Constrained", &[]),
        ("1.35.7", "Any", &["*"]),
        ("1.35.7", "Token", &["*"]),
    ] {
        let set = format!("portal.impersonation={impersonation}");
        let cluster = [
            "--kube-version",
            version,
            "--api-versions",
            "apps/v1/Deployment",
            "--set",
            &set,
        ];
        let objects = template(&[&EXTERNAL[..], &cluster].concat()).unwrap();
        assert_eq!(given(&objects), expected, "{version} {impersonation}");
    }
}

#[test]
fn the_portal_knows_in_which_namespaces_it_acts() {
    for (portal, expected) in [
        (json!({}), &[][..]),
        (json!({"scope": "UserNamespaces"}), &["team-a", "team-b"]),
        (json!({"impersonation": "Off", "scope": "UserNamespaces"}), &[]),
    ] {
        let objects = teams(&portal);
        let given = strings(&container(&objects, ACCOUNT)["args"]).into_iter();
        let given = given.filter_map(|argument| argument.strip_prefix("--acts-in="));
        assert_eq!(given.collect::<Vec<_>>(), expected, "{portal}");
    }
}

#[test]
fn only_any_gives_the_right_to_impersonate_every_user_and_never_service_accounts() {
    let any = held(&teams(&json!({"impersonation": "Any"})));
    let classic: Vec<_> = any
        .iter()
        .filter(|right| right.3.contains("impersonate"))
        .map(|right| (right.1.as_str(), right.2.as_str(), right.3.as_str()))
        .collect();
    assert_eq!(
        classic,
        [("", "groups", "impersonate"), ("", "users", "impersonate")]
    );
    for objects in crate::render::installations() {
        for role in [of_kind(&objects, "ClusterRole"), of_kind(&objects, "Role")].concat() {
            for rule in role["rules"].as_array().unwrap() {
                assert!(!strings(&rule["verbs"]).contains(&"impersonate"), "{rule}");
            }
        }
    }
}

#[test]
fn scopes_that_limit_nothing_are_refused() {
    let reason = refused(r#"portal={"scope":"UserNamespaces"}"#);
    assert!(
        reason.contains("portal.scope: the portal would act for no user"),
        "{reason}"
    );
    for impersonation in ["Any", "Token"] {
        let portal = json!({"scope": "UserNamespaces", "impersonation": impersonation});
        let reason = refused(&format!("portal={portal}"));
        assert!(
            reason.contains("portal.scope: UserNamespaces limits constrained impersonation alone"),
            "{reason}"
        );
    }
    let reason = refused(r#"portal.impersonation="Always""#);
    assert!(reason.contains("impersonation"), "{reason}");
    let one = [
        &EXTERNAL[..],
        &["--set", "scope=Namespace,portal.impersonation=Any"],
    ]
    .concat();
    let reason = template(&one).unwrap_err();
    assert!(
        reason.contains("portal.impersonation: with Any, users who may create pods in this namespace"),
        "{reason}"
    );
}

#[test]
fn in_one_namespace_the_cluster_says_as_whom_it_acts_and_the_namespace_for_what() {
    let half = |objects: &str, more: &[&str]| {
        let scope = format!("scope=Namespace,objects={objects}");
        template(&[&EXTERNAL[..], &["--set", &scope], more].concat()).unwrap()
    };
    let whole = half("All", &[]);
    let system = "jupyter-k8s-system";
    let own = listed(
        system,
        &[
            "workspaces.jupyter.org workspaces: list watch",
            "workspaces.jupyter.org workspaceshares: list watch",
            "rbac.authorization.k8s.io roles,rolebindings: list watch",
            "authorization.k8s.io localsubjectaccessreviews: create",
        ],
        str::to_owned,
    );
    let of_cluster = listed(
        "",
        &[
            "authentication.k8s.io users,groups: impersonate:user-info",
            "workspaces.jupyter.org workspacetemplates,workspacemanagers: get list watch",
        ],
        str::to_owned,
    );
    assert_eq!(
        held(&whole),
        union(&[own.clone(), of_cluster, who_am_i(), actions(system)])
    );
    assert_eq!(
        held(&half("Namespace", &[])),
        union(&[own, actions(system)]),
        "the namespace's half names no user"
    );
    assert_eq!(
        argument(container(&whole, ACCOUNT), "--watch-namespace"),
        Some(system)
    );
    let off = half("Cluster", &["--set", "portal.impersonation=Off"]);
    let roles = of_kind(&off, "ClusterRole");
    let text = serde_json::to_string(&roles).unwrap();
    assert!(!roles.is_empty() && !text.contains("impersonate"), "{text}");
}

#[test]
fn users_of_a_namespace_read_logs_only_where_the_values_say_so() {
    let teams = json!([
        {"name": "team-a", "logs": true, "users": ["alice"], "adminGroups": ["g"]},
        {"name": "team-b", "users": ["bob"]},
    ]);
    let objects = with_values(json!({"userNamespaces": teams}), &[]).unwrap();
    let about_logs = |role: &&&Value| {
        let rules = role["rules"].as_array().unwrap();
        let readable = rules
            .iter()
            .filter(|rule| strings(&rule["verbs"]).contains(&"get"));
        readable
            .flat_map(|rule| strings(&rule["resources"]))
            .any(|one| one == "pods/log")
    };
    let roles = [of_kind(&objects, "Role"), of_kind(&objects, "ClusterRole")].concat();
    let found: Vec<_> = roles.iter().filter(about_logs).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["metadata"]["namespace"], "team-a");
    let binding = named(&objects, "RoleBinding", "jupyter-k8s-workspace-logs");
    let names: Vec<_> = binding["subjects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| {
            (
                subject["kind"].as_str().unwrap(),
                subject["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(names, [("User", "alice"), ("Group", "g")]);
    assert_eq!(binding["roleRef"]["name"], found[0]["metadata"]["name"]);
}
