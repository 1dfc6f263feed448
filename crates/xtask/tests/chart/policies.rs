//! rendered admission policies and webhooks -> the accounts, kinds and fields that they cover (IO: runs `helm`).

use std::collections::BTreeSet;

use api::names;
use serde_json::{Value, json};

use crate::render::{list, name, named, of_kind, rendering, renderings, rights, strings, with, yaml};

#[test]
fn every_policy_refuses_fails_closed_and_has_its_binding() {
    for one in renderings() {
        let policies = of_kind(&one.objects, "ValidatingAdmissionPolicy");
        let bindings = of_kind(&one.objects, "ValidatingAdmissionPolicyBinding");
        assert_eq!(policies.len(), bindings.len(), "{}", one.name);
        assert!(
            !policies.is_empty() || one.name == "one-namespace",
            "{}",
            one.name
        );
        for policy in policies {
            let name = name(policy);
            assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{name}");
            let spec = &named(&one.objects, "ValidatingAdmissionPolicyBinding", name)["spec"];
            assert_eq!(spec["policyName"], name);
            assert_eq!(spec["validationActions"], json!(["Deny"]), "{name}");
            for validation in list(&policy["spec"]["validations"]) {
                assert_eq!(validation["reason"], "Forbidden", "{name}");
                let texts = [&validation["message"], &validation["messageExpression"]];
                assert!(texts.iter().any(|it| it.is_string()), "{name}: {validation}");
            }
        }
    }
}

fn text(policy: &str) -> String {
    let objects = &rendering("default").objects;
    named(
        objects,
        "ValidatingAdmissionPolicy",
        &format!("jupyter-k8s-{policy}"),
    )["spec"]
        .to_string()
}

#[test]
fn the_policy_lists_exactly_the_annotations_of_users_and_webhook() {
    let owners = text("owners");
    let (_, keys) = owners.split_once("|| key in [").unwrap();
    let (keys, _) = keys.split_once(']').unwrap();
    let listed: BTreeSet<_> = keys.split(',').map(|key| key.trim().trim_matches('\'')).collect();
    let expected = [
        names::CREATED_BY,
        names::ASSIGNED_BY,
        names::LAST_UPDATED_BY,
        names::ATTESTED_TEMPLATE,
        names::RESTARTED_AT,
        names::KEEP_UNTIL,
    ];
    assert_eq!(listed, BTreeSet::from(expected));
}

/// What the API server takes for an expression grows with the keys that it visits, and too much of it refuses the request: a stop, too.
#[test]
fn no_policy_visits_keys_of_users_beyond_their_maximum() {
    let max = names::MAX_ANNOTATIONS;
    let guards = [
        (
            "nnotations.all(",
            vec![
                format!("variables.foreign<={max}&&"),
                "!variables.annotationsFit||".to_owned(),
                format!("variables.others>{max}||"),
            ],
        ),
        ("abels.all(", vec!["!variables.labelsFit||".to_owned()]),
    ];
    let mut visits = 0;
    for one in renderings() {
        for policy in of_kind(&one.objects, "ValidatingAdmissionPolicy") {
            let spec = &policy["spec"];
            let all = list(&spec["variables"]).chain(list(&spec["validations"]));
            for expression in all.filter_map(|it| it["expression"].as_str()) {
                for (visit, guards) in &guards {
                    let Some((before, _)) = expression.split_once(visit) else {
                        continue;
                    };
                    visits += 1;
                    let flat = before.replace([' ', '\n'], "");
                    let is_guarded = guards.iter().any(|guard| flat.contains(guard));
                    assert!(is_guarded, "{}: {expression}", name(policy));
                }
            }
        }
    }
    assert!(visits >= 10, "{visits}");
    for policy in ["owners", "gateway-writes", "operator-writes"] {
        let text = text(policy);
        let (_, keys) = text.split_once("variables.annotations.size() - [").unwrap();
        let (keys, _) = keys.split_once(']').unwrap();
        let keys: BTreeSet<_> = keys.split(',').map(|key| key.trim().trim_matches('\'')).collect();
        assert_eq!(keys, BTreeSet::from(names::RECORDS), "{policy}");
    }
    let bound = format!("variables.sameAnnotations || variables.foreign <= {max}");
    assert!(text("owners").contains(&bound));
}

#[test]
fn the_policy_of_manifests_names_each_level() {
    let text = text("manifests");
    let last = names::MAX_MANIFEST_LEVELS + 1;
    assert!(text.contains(&format!("type(v{last}) != map && type(v{last}) != list")));
    assert!(!text.contains(&format!("v{}", last + 1)));
    assert!(text.contains(&format!("more than {} levels deep", names::MAX_MANIFEST_LEVELS)));
}

#[test]
fn only_with_retention_the_operator_may_delete_workspaces_that_are_stopped_and_announced() {
    for enabled in [false, true] {
        let objects = with(&json!({"retention": {"enabled": enabled}}), &[]).unwrap();
        let role = named(&objects, "ClusterRole", "jupyter-k8s-operator");
        let may = rights(role)
            .iter()
            .any(|[verb, _, resource, _]| (*verb, *resource) == ("delete", "workspaces"));
        assert_eq!(may, enabled);
        let settings = named(&objects, "ConfigMap", "jupyter-k8s-settings")["data"].to_string();
        assert_eq!(settings.contains("deletesStopped: true"), enabled);
        let policy = named(
            &objects,
            "ValidatingAdmissionPolicy",
            "jupyter-k8s-operator-writes",
        );
        let expressions: Vec<_> = list(&policy["spec"]["validations"])
            .filter_map(|it| it["expression"].as_str())
            .collect();
        assert_eq!(
            expressions[0].contains("'workspaces'"),
            enabled,
            "{}",
            expressions[0]
        );
        let bound = expressions.iter().filter(|it| it.contains("deletesAt"));
        let bounds: Vec<_> = bound.collect();
        assert_eq!(bounds.len(), usize::from(enabled));
        for expression in bounds {
            for part in [
                "desiredStatus",
                "'Stopped'",
                "?observedGeneration",
                "?preconditions.?uid",
                "?preconditions.?resourceVersion",
            ] {
                assert!(expression.contains(part), "{part}: {expression}");
            }
        }
    }
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
fn every_field_of_a_workspace_or_profile_that_can_name_a_secret_or_a_claim_is_one_that_the_policies_read() {
    let of = |kind: &str, wanted: &[&str]| {
        let crd = yaml(&format!("charts/jupyter-k8s/crds/{kind}.yaml"));
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
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
        of("workspaces", &secrets),
        [
            "spec.env[].valueFrom.secretKeyRef",
            "spec.initContainers[].envFrom[].secretRef",
            "spec.initContainers[].env[].valueFrom.secretKeyRef",
        ]
    );
    assert_eq!(
        of("workspaceexecutionprofiles", &secrets),
        [
            "spec.env[].valueFrom.secretKeyRef",
            "spec.imagePullSecrets",
            "spec.secretMounts[].secretName",
        ]
    );
    let claims = ["claimName", "persistentVolumeClaim", "persistentVolumeClaimName"];
    // A new one must also be added to jk8s.celClaims.
    assert_eq!(
        of("workspaces", &claims),
        [
            "spec.storage.claimName",
            "spec.volumes[].persistentVolumeClaimName"
        ]
    );
    for (policy, parts) in [
        (
            "secrets",
            &[
                "variables.spec.?env",
                "container.?env.",
                "container.?envFrom",
                "variables.spec.?secretMounts",
                "variables.spec.?imagePullSecrets",
            ][..],
        ),
        (
            "references",
            &[
                "storage.claimName",
                "persistentVolumeClaimName",
                "templateRef",
                "managerRef",
                "executionProfileRef",
            ],
        ),
    ] {
        for part in parts {
            assert!(text(policy).contains(part), "{policy}: {part}");
        }
    }
}

#[test]
fn without_a_webhook_no_user_writes_that_one_attested_a_template() {
    let rule = |values: &str, policy: &str| {
        let policy = named(&rendering(values).objects, "ValidatingAdmissionPolicy", policy);
        let start = format!("metadata.annotations[{}]", names::ATTESTED_TEMPLATE);
        let is_about = |rule: &&Value| rule["message"].as_str().unwrap_or_default().starts_with(&start);
        let rule = list(&policy["spec"]["validations"]).find(is_about).unwrap();
        rule["expression"].as_str().unwrap().to_owned()
    };
    let alone = rule("cluster-half", "jupyter-k8s-owners.jupyter-k8s-system");
    assert!(
        alone.starts_with("variables.annotations[?"),
        "also at creation: {alone}"
    );
    let whole = rule("default", "jupyter-k8s-owners");
    assert_eq!(whole, format!("request.operation != 'UPDATE' || {alone}"));
}

#[test]
fn admission_fails_closed_in_namespaces_and_leaves_the_ca_to_the_webhook() {
    for (kind, path) in [
        ("MutatingWebhookConfiguration", "/mutate"),
        ("ValidatingWebhookConfiguration", "/validate"),
    ] {
        let configuration = named(&rendering("default").objects, kind, "jupyter-k8s-webhook");
        let first = &configuration["webhooks"][0];
        assert_eq!(first["failurePolicy"], "Fail");
        let excluded = &first["namespaceSelector"]["matchExpressions"][0];
        assert_eq!(excluded["operator"], "NotIn");
        assert_eq!(
            strings(&excluded["values"]),
            ["kube-system", "jupyter-k8s-system"]
        );
        for webhook in list(&configuration["webhooks"]) {
            assert_eq!(webhook["clientConfig"]["service"]["path"], path);
            assert!(webhook["clientConfig"]["caBundle"].is_null());
            assert_eq!(webhook["sideEffects"], "None");
        }
    }
}
