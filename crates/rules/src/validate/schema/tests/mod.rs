//! Objects and our schemas -> readable violations (tests).

use std::collections::BTreeSet;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use kube::CustomResourceExt as _;
use serde_json::json;

use super::patterns::{RULES, rule_of};
use super::*;

mod messages;

fn definitions() -> [CustomResourceDefinition; 5] {
    [
        Workspace::crd(),
        WorkspaceTemplate::crd(),
        WorkspaceManager::crd(),
        WorkspaceExecutionProfile::crd(),
        WorkspaceShare::crd(),
    ]
}

fn spec_of(definition: &CustomResourceDefinition) -> Value {
    let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
    version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Calls `take` for each schema below this one. Names of fields are no schemas.
fn each(schema: &Value, take: &mut dyn FnMut(&Map<String, Value>)) {
    let Some(keys) = schema.as_object() else { return };
    take(keys);
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields.for_each(|(_, field)| each(field, take));
    each(&schema["items"], take);
    each(&schema["additionalProperties"], take);
}

#[test]
fn every_pattern_of_our_schemas_has_a_message() {
    let mut written = BTreeSet::new();
    for definition in definitions() {
        each(&spec_of(&definition), &mut |schema| {
            written.extend(schema.get("pattern").and_then(Value::as_str).map(str::to_owned));
        });
    }
    let known: BTreeSet<String> = RULES.iter().map(|(pattern, _)| (*pattern).to_owned()).collect();
    assert_eq!(written, known);
    assert_eq!(known.len(), RULES.len());
    for (pattern, rule) in RULES {
        assert!(rule_of(pattern).is_some(), "{pattern}");
        assert!(rule.starts_with("is no ") && rule.contains(": "), "{rule}");
    }
}

#[test]
fn our_schemas_contain_only_known_keywords_and_cel() {
    let known = [
        "type",
        "format",
        "nullable",
        "description",
        "default",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
    ];
    for definition in definitions() {
        each(&spec_of(&definition), &mut |schema| {
            for (key, value) in schema {
                // A field that accepts a whole number or a text has both types.
                let is_empty = key == "anyOf" && schema.contains_key("x-kubernetes-int-or-string");
                assert!(known.contains(&key.as_str()) || is_empty, "{key}: {value}");
            }
            let format = schema.get("format").and_then(Value::as_str);
            let representable = [None, Some("int32"), Some("int64"), Some("date-time")];
            assert!(representable.contains(&format), "{format:?}");
            let type_ = schema.get("type").and_then(Value::as_str);
            let representable = [
                None,
                Some("string"),
                Some("integer"),
                Some("boolean"),
                Some("array"),
                Some("object"),
            ];
            assert!(representable.contains(&type_), "{type_:?}");
        });
    }
}

fn lines(faults: &Faults) -> Vec<String> {
    faults.violations().map(ToString::to_string).collect()
}

fn message(definition: &CustomResourceDefinition, spec: &Value) -> Vec<String> {
    lines(&Schema::of(definition).faults(spec, None))
}

/// Violations of a workspace with these additional fields.
fn of_workspace(mut spec: Value) -> Vec<String> {
    spec["displayName"] = json!("d");
    message(&Workspace::crd(), &spec)
}

#[test]
fn violations_in_fields_lists_and_maps_are_reported_at_once() {
    let spec = json!({
        "displayName": "a\nb",
        "templateRef": "Big_One",
        "resources": {"limits": {"cpu": "two", "memory": 1, "nvidia.com/gpu": "-1"}},
        "storage": {"size": "10 GB", "mountPath": "home"},
        "volumes": [
            {"name": "a", "mountPath": "/a", "persistentVolumeClaimName": "c"},
            {"name": "B", "mountPath": "/b:c", "persistentVolumeClaimName": "c"},
        ],
    });
    let found = message(&Workspace::crd(), &spec);
    for beginning in [
        r#"spec.displayName: "a\nb" is no line of plain text: "#,
        r#"spec.templateRef: "Big_One" is no name of an object: "#,
        r#"spec.resources.limits.cpu: "two" is no amount: "#,
        r#"spec.resources.limits[nvidia.com/gpu]: "-1" is no amount: "#,
        r#"spec.storage.size: "10 GB" is no amount: "#,
        r#"spec.storage.mountPath: "home" is no place in a container: "#,
        r#"spec.volumes[1].name: "B" is no name: "#,
        r#"spec.volumes[1].mountPath: "/b:c" is no place in a container: "#,
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(beginning)),
            "{beginning}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn an_empty_text_is_reported_as_empty() {
    let found = message(&Workspace::crd(), &json!({"displayName": "", "templateRef": ""}));
    assert_eq!(
        found,
        [
            "spec.displayName: is empty: write a value",
            "spec.templateRef: is empty: write a value"
        ]
    );
}

#[test]
fn an_invalid_time_is_reported_with_an_example() {
    let share = |end: &str| json!({"workspaceRef": "lab", "subjects": [{"kind": "User", "name": "bob"}], "expiresAt": end});
    let found = message(&WorkspaceShare::crd(), &share("tomorrow"));
    assert_eq!(
        found,
        [
            r#"spec.expiresAt: "tomorrow" is no time that can be kept: write it by RFC 3339, such as 2026-12-31T18:00:00Z, before the end of the year 9999; or leave it out"#
        ]
    );
    assert!(message(&WorkspaceShare::crd(), &share("2026-12-31T18:00:00Z")).is_empty());
}

#[test]
fn duplicate_entries_of_a_set_are_reported() {
    let spec = json!({"displayName": "t", "defaultImage": "a", "allowedImages": ["a", "b", "a"]});
    assert_eq!(
        message(&WorkspaceTemplate::crd(), &spec),
        [r#"spec.allowedImages[2]: "a" is set twice: leave one out"#]
    );
}

#[test]
fn valid_values_are_not_reported() {
    for spec in [
        json!({
            "displayName": "Alice's lab – ü", "templateRef": "a.b-c", "port": null, "storage": null, "unknown": "\n",
            "resources": {"limits": {"cpu": 2, "memory": "1.5Gi", "a": null}}, "desiredStatus": null,
            "env": [{"name": "A", "value": ""}, {"name": "B", "value": null}],
            "idleShutdown": {"enabled": true, "idleTimeoutInMinutes": 30},
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
        }),
        json!({"displayName": "d", "readinessProbe": {"httpGet": {"port": 8888}}}),
    ] {
        assert!(
            message(&Workspace::crd(), &spec).is_empty(),
            "{spec}: {:?}",
            message(&Workspace::crd(), &spec)
        );
    }
    let spec = json!({
        "routing": {"baseDomain": "a.example", "custom": {"resources": [{"any": {"thing": [1, null, "x"]}}]}},
        "authentication": {"none": {}},
    });
    let found = message(&WorkspaceManager::crd(), &spec);
    assert!(found.iter().all(|line| !line.contains("any")), "{found:?}");
}

#[test]
fn the_number_of_reported_violations_is_limited() {
    let many = json!({"displayName": "d", "volumes": vec![json!({"mountPath": "x".repeat(1000)}); 1000]});
    let found = message(&Workspace::crd(), &many);
    assert_eq!(found.len(), MAX_FAULTS);
    assert!(found.iter().all(|line| line.len() < 400), "{}", found[0]);
    for (name, shown) in [
        ("x".repeat(1000), format!("limits.{}: ", "x".repeat(SHOWN))),
        ("ü".repeat(1000), format!("limits[{}]: ", "ü".repeat(SHOWN))),
    ] {
        let found = of_workspace(json!({"resources": {"limits": {name: "two"}}}));
        assert!(found[0].contains(&shown), "{}", found[0]);
    }
}

#[test]
fn stored_invalid_values_are_not_reported() {
    let schema = Schema::of(&Workspace::crd());
    let volumes = |paths: Vec<String>| {
        let volumes: Vec<_> = paths.iter().map(|path| json!({"mountPath": path})).collect();
        json!({"volumes": volumes})
    };
    let many: Vec<_> = (0..3 * MAX_FAULTS).map(|number| format!("x{number}")).collect();
    let stored = volumes(many.clone());
    let message = |paths: Vec<String>| {
        let found = schema.faults(&volumes(paths), Some(&stored));
        found
            .violations()
            .map(|one| one.field.clone())
            .filter(|field| field.ends_with("Path"))
            .collect::<Vec<_>>()
    };
    let (first, last) = (many[0].clone(), many[3 * MAX_FAULTS - 1].clone());
    assert!(message(many.clone()).is_empty());
    assert!(message(many[1..].to_vec()).is_empty(), "one is mended");
    assert!(message([vec!["/new".to_owned()], many.clone()].concat()).is_empty());
    let one_more = message([vec!["new".to_owned(), last], many, vec![first]].concat());
    assert_eq!(one_more, ["spec.volumes[0].mountPath"]);
    let other_manager = json!({"storage": {"mountPath": "x1"}});
    let found = schema.faults(&other_manager, Some(&stored));
    let fields: Vec<_> = found.violations().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        ["spec.storage.mountPath"],
        "in another field it is new; what was missing is missing still"
    );
}

#[test]
fn blanks_in_a_url_are_those_of_the_api_server_s_own_patterns() {
    let address = |end: &str| {
        let spec = json!({
            "routing": {"baseDomain": "a.example"}, "authentication": {"forwardAuth": {"address": format!("http://a{end}")}}
        });
        message(&WorkspaceManager::crd(), &spec).is_empty()
    };
    for blank in [" ", "\t", "\n", "\u{c}", "\r"] {
        assert!(!address(blank), "{blank:?}");
    }
    for other in ["", "\u{b}", "\u{85}", "\u{a0}", "\u{2003}"] {
        assert!(address(other), "{other:?}");
    }
}

#[test]
fn violations_of_managers_are_reported() {
    let spec = json!({
        "routing": {"baseDomain": "Example"},
        "authentication": {"forwardAuth": {"address": "auth.example.org"}},
    });
    let found = message(&WorkspaceManager::crd(), &spec);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[1].contains(r#"spec.routing.baseDomain: "Example" is no domain: "#),
        "{found:#?}"
    );
}

#[test]
fn unreadable_values_are_replaced_and_readable_ones_stay() {
    let schema = Schema::of(&Workspace::crd());
    let spec = json!({
        "displayName": 5, "port": "8888", "image": "a b", "desiredStatus": "running", "storage": "10Gi", "shmSize": 0.5,
        "env": [{"name": "A", "value": 1}, "B=c", {"value": "x"}], "nodeSelector": {"a": true},
        "readinessProbe": {"periodSeconds": 3_000_000_000_i64},
    });
    let faults = schema.faults(&spec, None);
    let mut mended = spec.clone();
    faults.make_readable(&mut mended);
    assert_eq!(
        mended,
        json!({
            "displayName": "", "image": "a b", "env": [{"name": "A"}, {"name": ""}, {"name": "", "value": "x"}],
            "nodeSelector": {"a": ""}, "readinessProbe": {},
        })
    );
    let read: Result<api::WorkspaceSpec, _> = serde_json::from_value(mended);
    assert!(read.is_ok(), "{read:?}");
    let about = |field: &str| faults.covers(&Violation::new(field, "", ""));
    assert!(about("spec.env[1]") && about("spec.env[1].name") && about("spec.storage.size"));
    assert!(!about("spec.env") && !about("spec.image") && !about("spec.portal"));
}
