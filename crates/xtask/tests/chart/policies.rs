//! rendered admission policies -> the accounts, kinds and fields that they cover (IO: runs `helm`).

use std::collections::BTreeSet;
use std::fs;

use api::names;
use serde_json::{Value, json};

use crate::render::{EXTERNAL, chart, installations, named, of_kind, strings, template};

const GATEWAY: &str = "'system:serviceaccount:jupyter-k8s-system:jupyter-k8s-gateway'";
const OPERATOR: &str = "'system:serviceaccount:jupyter-k8s-system:jupyter-k8s-operator'";

#[test]
fn every_policy_refuses_and_fails_closed() {
    for objects in installations() {
        let policies = of_kind(&objects, "ValidatingAdmissionPolicy");
        assert_eq!(policies.len(), 9);
        for policy in policies {
            let name = policy["metadata"]["name"].as_str().unwrap();
            assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{name}");
            let binding = named(&objects, "ValidatingAdmissionPolicyBinding", name);
            assert_eq!(
                binding["spec"],
                json!({"policyName": name, "validationActions": ["Deny"]})
            );
            for validation in policy["spec"]["validations"].as_array().unwrap() {
                assert_eq!(validation["reason"], "Forbidden", "{name}");
                let expected = [&validation["message"], &validation["messageExpression"]];
                assert!(expected.iter().any(|it| it.is_string()), "{name}: {validation}");
            }
        }
    }
}

fn spec(objects: &[Value], name: &str) -> Value {
    let name = format!("jupyter-k8s-{name}");
    named(objects, "ValidatingAdmissionPolicy", &name)["spec"].clone()
}

#[test]
fn policies_bound_patches_by_operator_and_gateway() {
    let objects = template(&EXTERNAL).unwrap();
    for (component, account) in [("gateway", GATEWAY), ("operator", OPERATOR)] {
        let bounds = spec(&objects, &format!("{component}-writes"));
        let condition = bounds["matchConditions"][0]["expression"].as_str().unwrap();
        assert!(condition.ends_with(account), "{condition}");
        let rule = &bounds["matchConstraints"]["resourceRules"][0];
        assert_eq!(strings(&rule["apiGroups"]), [names::GROUP]);
        assert_eq!(strings(&rule["resources"]), ["*"]);
        assert_eq!(strings(&rule["operations"]), ["CREATE", "UPDATE", "DELETE"]);
        // No other account is exempt from the rules for users.
        for rules in ["owners", "shares", "secrets", "references"] {
            let condition = &spec(&objects, rules)["matchConditions"][0]["expression"];
            let expected = format!("!(request.userInfo.username in [{OPERATOR}, {GATEWAY}])");
            assert_eq!(*condition, expected, "{rules}");
        }
    }
    let status = spec(&objects, "status");
    assert_eq!(
        strings(&status["matchConstraints"]["resourceRules"][0]["resources"]),
        ["*/status"]
    );
    let others = format!("request.userInfo.username != {OPERATOR}");
    assert_eq!(status["matchConditions"][0]["expression"], others);
}

#[test]
fn the_policy_lists_exactly_the_annotations_of_users_and_webhook() {
    let owners = spec(&template(&EXTERNAL).unwrap(), "owners")["validations"].to_string();
    let (_, list) = owners.split_once("|| key in [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let listed: BTreeSet<_> = list.split(',').map(|key| key.trim().trim_matches('\'')).collect();
    let expected = [
        names::CREATED_BY,
        names::ASSIGNED_BY,
        names::LAST_UPDATED_BY,
        names::ATTESTED_TEMPLATE,
        names::RESTARTED_AT,
    ];
    assert_eq!(listed, BTreeSet::from(expected));
}

/// Paths of fields in a schema with one of these names.
fn fields(path: &str, schema: &Value, wanted: &[&str], found: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if wanted.contains(&name.as_str()) {
            found.insert(path.clone());
        }
        fields(&path, field, wanted, found);
    }
    if schema["items"].is_object() {
        fields(&format!("{path}[]"), &schema["items"], wanted, found);
    }
}

#[test]
fn every_field_of_a_workspace_that_can_name_a_secret_or_a_claim_is_one_that_the_policies_read() {
    let crd = fs::read_to_string(chart().join("crds/workspaces.yaml")).unwrap();
    let crd: Value = serde_saphyr::from_str(&crd).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let of = |wanted: &[&str]| {
        let mut found = BTreeSet::new();
        fields("spec", schema, wanted, &mut found);
        found.into_iter().collect::<Vec<_>>()
    };
    let secrets = [
        "secret",
        "secretRef",
        "secretKeyRef",
        "secretName",
        "imagePullSecrets",
    ];
    // A new one must also be added to jk8s.celSecrets.
    assert_eq!(
        of(&secrets),
        [
            "spec.env[].valueFrom.secretKeyRef",
            "spec.initContainers[].envFrom[].secretRef",
            "spec.initContainers[].env[].valueFrom.secretKeyRef",
        ]
    );
    let claims = ["claimName", "persistentVolumeClaim", "persistentVolumeClaimName"];
    // A new one must also be added to jk8s.celClaims.
    assert_eq!(
        of(&claims),
        [
            "spec.storage.claimName",
            "spec.volumes[].persistentVolumeClaimName",
        ]
    );
    let objects = template(&EXTERNAL).unwrap();
    let secrets = spec(&objects, "secrets").to_string();
    for part in ["variables.spec.?env", "container.?env.", "container.?envFrom"] {
        assert!(secrets.contains(part), "{part}");
    }
    let references = spec(&objects, "references").to_string();
    for part in [
        "storage.claimName",
        "persistentVolumeClaimName",
        "templateRef",
        "managerRef",
        "executionProfileRef",
    ] {
        assert!(references.contains(part), "{part}");
    }
    // Each authorizer check costs 350,000 of the 10,000,000 that a policy may use, and an expression may have two.
    for policy in of_kind(&objects, "ValidatingAdmissionPolicy") {
        let (mut all, name) = (0, &policy["metadata"]["name"]);
        let spec = &policy["spec"];
        let lists = [&spec["variables"], &spec["validations"], &spec["matchConditions"]];
        for one in lists.iter().filter_map(|list| list.as_array()).flatten() {
            let questions = one["expression"].as_str().unwrap().matches(".check(").count();
            assert!(questions <= 2, "{name}: {one}");
            all += questions;
        }
        assert!(all <= 28, "{name}: {all}");
    }
}

#[test]
fn namespaces_of_the_platform_can_be_closed_to_the_operator() {
    let set = ["--set", "operator.forbiddenNamespaces={argocd,cert-manager}"];
    let objects = template(&[&EXTERNAL[..], &set].concat()).unwrap();
    let first = spec(&objects, "operator")["validations"][0]["expression"].clone();
    let first = first.as_str().unwrap();
    for namespace in ["kube-system", "jupyter-k8s-system", "argocd", "cert-manager"] {
        assert!(first.contains(&format!("'{namespace}'")), "{first}");
    }
}

#[test]
fn with_known_api_server_networks_egress_is_limited() {
    let parts = ["operator", "webhook", "gateway"];
    let network_policies = |values: &[&str]| {
        let objects = template(values).unwrap();
        parts.map(|part| named(&objects, "NetworkPolicy", &format!("jupyter-k8s-{part}"))["spec"].clone())
    };
    let known = [
        &EXTERNAL[..],
        &[
            "--set",
            "networkPolicy.apiServer.networks={10.0.0.1,fd00::/64}",
            "--set",
            "manager.networkPolicy.dns.ports={5353}",
        ],
    ]
    .concat();
    let of_workspaces = json!([{
        "namespaceSelector": {},
        "podSelector": {"matchExpressions": [{"key": names::WORKSPACE_LABEL, "operator": "Exists"}]},
    }]);
    let api_server = json!([{"ipBlock": {"cidr": "10.0.0.1/32"}}, {"ipBlock": {"cidr": "fd00::/64"}}]);
    let [operator, webhook, gateway] = network_policies(&known);
    for network_policy in [&operator, &webhook, &gateway] {
        assert_eq!(strings(&network_policy["policyTypes"]), ["Ingress", "Egress"]);
        let rules = network_policy["egress"].as_array().unwrap();
        assert_eq!(rules[0]["ports"][0]["port"], 5353);
        assert!(rules[0]["to"].is_array());
        assert_eq!(rules[1]["to"], api_server);
        assert!(rules.iter().all(|rule| rule["to"].is_array()), "{rules:?}");
    }
    assert_eq!(webhook["egress"].as_array().unwrap().len(), 2);
    assert_eq!(operator["egress"].as_array().unwrap().len(), 3);
    for network_policy in [&operator, &gateway] {
        assert_eq!(network_policy["egress"][2]["to"], of_workspaces);
    }
    assert_eq!(
        gateway["egress"][3]["ports"],
        json!([{"port": 443, "protocol": "TCP"}])
    );
}

#[test]
fn a_user_namespace_can_protect_workspaces_from_evictions() {
    let set = |entry: &str| {
        let values = format!("userNamespaces=[{entry}]");
        template(&[&EXTERNAL[..], &["--set-json", &values]].concat()).unwrap()
    };
    let budget = |objects: &[Value]| {
        let budgets = of_kind(objects, "PodDisruptionBudget");
        let mut budgets = budgets.into_iter();
        budgets
            .find(|it| it["metadata"]["namespace"] == "team-a")
            .cloned()
    };
    assert_eq!(budget(&set(r#"{"name": "team-a"}"#)), None);
    let spec = budget(&set(r#"{"name": "team-a", "disruptionBudget": true}"#)).unwrap()["spec"].clone();
    // A number: for others Kubernetes asks the controller of the pods, which must have a scale.
    assert_eq!(spec["minAvailable"], 1_000_000);
    assert_eq!(
        spec["selector"]["matchExpressions"][0],
        json!({"key": names::WORKSPACE_LABEL, "operator": "Exists"})
    );
}
