//! values -> accepted, or refused with the wrong setting (IO: runs `helm`).

use std::collections::BTreeSet;

use kube::CustomResourceExt as _;
use serde_json::Value;

use crate::render::{EXTERNAL, LOCAL, chart, of_kind, refusal, run, template};

#[test]
fn lint_accepts_every_way_of_installing() {
    for values in [&EXTERNAL[..], &LOCAL[..], &[]] {
        let output = run(&[&["lint", "--strict", "."], values].concat());
        assert!(
            output.status.success(),
            "{values:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn a_misspelt_key_is_refused_by_name_at_every_level() {
    for (setting, key) in [
        ("gatewey.replicas=1", "gatewey"),
        ("gateway.replica=1", "replica"),
        ("oidc.issuerURL=https://id.example.com", "issuerURL"),
        ("proxy.tls.secret=tls", "secret"),
        ("settings.defaultStorage.path=/home", "path"),
        ("templates.small.displayname=Small", "displayname"),
        ("userNamespaces[0].namespace=team", "namespace"),
    ] {
        let reason = refusal(&EXTERNAL, setting);
        assert!(
            reason.contains(&format!("Additional property {key} is not allowed")),
            "{setting}: {reason}"
        );
    }
}

#[test]
fn all_missing_values_are_reported_at_once() {
    let reason = template(&[]).unwrap_err();
    for setting in [
        "image.registry",
        "routing.baseDomain",
        "proxy.tls.secretName",
        "oidc.issuerUrl",
    ] {
        assert!(reason.contains(setting), "{setting}: {reason}");
    }
    let reason = template(&EXTERNAL[..6]).unwrap_err();
    assert!(
        reason.contains("oidc.issuerUrl") && !reason.contains("image.registry"),
        "{reason}"
    );
}

#[test]
fn further_identity_providers_are_checked_and_reach_the_gateway_with_their_secrets() {
    let one = |fields: &str| format!(r#"oidc.others=[{{"name":"partners","clientId":"c",{fields}}}]"#);
    let at = r#""issuerUrl":"https://p.example/x""#;
    for (others, expected) in [
        (one(r#""issuerUrl":"http://p.example""#), "issuerUrl"),
        (
            one(r#""issuerUrl":"https://p.Workspaces.example.org""#),
            "outside routing.baseDomain",
        ),
        (
            one(&format!(r#"{at},"caSecretName":"a","caConfigMapName":"b""#)),
            "exclude each other",
        ),
        (
            one(&format!(r#"{at},"allowedEmailDomains":["*.example.org"]"#)),
            "allowedEmailDomains",
        ),
        (one(&format!(r#"{at},"groupClaim":"g""#)), "groupClaim"),
        (one(at).replace("partners", "main"), "name"),
    ] {
        let mut arguments = EXTERNAL.to_vec();
        arguments.extend(["--set-json", &others]);
        let reason = template(&arguments).unwrap_err();
        assert!(reason.contains(expected), "{others}: {reason}");
    }
    let others = one(&format!(r#"{at},"clientSecretName":"s","groupsPrefix":"p:""#));
    let mut arguments = EXTERNAL.to_vec();
    arguments.extend(["--set-json", &others]);
    let objects = template(&arguments).unwrap();
    let map = of_kind(&objects, "ConfigMap")
        .into_iter()
        .find(|map| map["data"].get("providers.json").is_some())
        .unwrap();
    let list: Value = serde_json::from_str(map["data"]["providers.json"].as_str().unwrap()).unwrap();
    assert_eq!(
        list[0]["clientSecretFile"],
        "/etc/oidc-others/partners/clientSecret"
    );
    assert_eq!(list[0]["groupsPrefix"], "p:");
    assert!(list[0].get("clientSecretName").is_none());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let under = refusal(
        &EXTERNAL,
        "oidc.issuerUrl=https://login.Workspaces.example.org:8443/x",
    );
    assert!(
        under.contains("oidc.issuerUrl") && under.contains("outside routing.baseDomain"),
        "{under}"
    );
    let under = refusal(&LOCAL, "identity.host=id.workspaces.localhost");
    assert!(under.contains("identity.host"), "{under}");
    let both = refusal(&LOCAL, "oidc.issuerUrl=https://id.example.com");
    assert!(both.contains("identity.enabled"), "{both}");
    let both = refusal(&LOCAL, "oidc.caConfigMapName=ca");
    assert!(
        both.contains("oidc.caSecretName") && both.contains("oidc.caConfigMapName"),
        "{both}"
    );
}

#[test]
fn every_default_is_in_the_schema_and_every_setting_has_a_default() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let values: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap();
    compare("", &schema["properties"], &values);
    let pods = &schema["definitions"]["pods"]["properties"];
    compare("pods.", pods, &values["pods"]);
    for component in [
        "proxy",
        "gateway",
        "portal",
        "operator",
        "webhook",
        "identity",
        "crds",
        "uninstall",
        "tests",
    ] {
        for (key, _) in pods.as_object().unwrap() {
            let is_missing = match component {
                "identity" => key == "strategy",
                "crds" | "uninstall" | "tests" => {
                    ["strategy", "revisionHistoryLimit"].contains(&key.as_str())
                }
                _ => false,
            };
            let property = &schema["properties"][component]["properties"][key];
            assert_eq!(property.is_null(), is_missing, "{component}.{key}");
        }
    }
}

/// Keys of `values` must be exactly those that the schema's properties name, level by level. Components take what `pods` has by default.
fn compare(path: &str, properties: &Value, values: &Value) {
    let (Some(properties), Some(values)) = (properties.as_object(), values.as_object()) else {
        return;
    };
    let is_from_parent = |property: &Value| {
        let of = property["$ref"].as_str().unwrap_or_default();
        of.starts_with("#/definitions/pods/") || of == "#/definitions/serviceAccount"
    };
    let known = properties
        .iter()
        .filter(|(_, property)| !is_from_parent(property));
    let known: BTreeSet<_> = known.map(|(key, _)| key).collect();
    let given: BTreeSet<_> = values.keys().collect();
    assert_eq!(known, given, "below `{path}`");
    for (key, value) in values {
        compare(&format!("{path}{key}."), &properties[key]["properties"], value);
    }
}

#[test]
fn the_schema_of_templates_knows_every_field_of_the_custom_resource() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let ours: BTreeSet<_> = schema["definitions"]["template"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let crd = serde_json::to_value(api::WorkspaceTemplate::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let theirs: BTreeSet<_> = spec.as_object().unwrap().keys().cloned().collect();
    assert_eq!(ours, theirs);
}
