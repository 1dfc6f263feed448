//! One schema violation -> one message (tests).

use serde_json::json;

use super::*;

#[test]
fn messages_about_texts_and_numbers_contain_the_remedy() {
    for (spec, expected) in [
        (
            json!({"image": 5}),
            r#"spec.image: "5" is no text: put it in quotes"#,
        ),
        (
            json!({"image": ["uv"]}),
            "spec.image: is no text: write one value",
        ),
        (
            json!({"port": "8888"}),
            r#"spec.port: "8888" is a text: write the number without quotes"#,
        ),
        (
            json!({"port": "http"}),
            r#"spec.port: "http" is no whole number: write digits alone, without quotes and without a unit"#,
        ),
        (
            json!({"port": 80.5}),
            r#"spec.port: "80.5" is no whole number: write digits alone, without quotes and without a unit"#,
        ),
        (
            json!({"port": 80}),
            r#"spec.port: "80" is less than the minimum 1024: choose 1024 to 65535"#,
        ),
        (
            json!({"port": 99_999_999_999_i64}),
            r#"spec.port: "99999999999" is more than the maximum 65535: choose 1024 to 65535"#,
        ),
        (
            json!({"port": 1e30}),
            r#"spec.port: "1e+30" is more than the maximum 65535: choose 1024 to 65535"#,
        ),
        (
            json!({"limits": {"startTimeoutMinutes": "5m"}}),
            r#"spec.limits.startTimeoutMinutes: "5m" is no whole number: write how many minutes, such as 30, without a unit"#,
        ),
        (
            json!({"readinessProbe": {"periodSeconds": 3_000_000_000_i64, "tcpSocket": {"port": 1}}}),
            r#"spec.readinessProbe.periodSeconds: "3000000000" is more than the maximum 2147483647: choose 2147483647 or less"#,
        ),
    ] {
        assert_eq!(of_workspace(spec.clone()), [expected], "{spec}");
    }
}

#[test]
fn bounds_are_checked_for_a_number_in_quotes() {
    assert_eq!(
        of_workspace(json!({"port": "80"})),
        [
            r#"spec.port: "80" is a text: write the number without quotes"#,
            r#"spec.port: "80" is less than the minimum 1024: choose 1024 to 65535"#,
        ]
    );
}

#[test]
fn messages_about_enums_lists_and_objects_contain_the_remedy() {
    for (spec, expected) in [
        (
            json!({"idleShutdown": {"enabled": "true"}}),
            r#"spec.idleShutdown.enabled: "true" is a text: write it without quotes"#,
        ),
        (
            json!({"idleShutdown": {"enabled": "yes"}}),
            r#"spec.idleShutdown.enabled: "yes" is neither true nor false: write one of them, without quotes"#,
        ),
        (
            json!({"desiredStatus": "running"}),
            r#"spec.desiredStatus: "running" may not be written here: choose one of Running, Stopped"#,
        ),
        (
            json!({"env": {"A": "b"}}),
            "spec.env: is no list: write each entry on a line of its own, with '- ' in front",
        ),
        (
            json!({"env": [{"value": "b"}]}),
            "spec.env[0].name: is missing: set it",
        ),
        (
            json!({"env": [null]}),
            "spec.env[0]: is empty: write a value, or leave it out",
        ),
        (
            json!({"env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]}),
            r#"spec.env[2].name: "A" is set twice: leave one out"#,
        ),
        (
            json!({"storage": "10Gi"}),
            r#"spec.storage: "10Gi" holds no fields: write its own on lines below it (claimName, mountPath, retain, size, storageClassName, subPath)"#,
        ),
        (
            json!({"nodeSelector": "gpu"}),
            r#"spec.nodeSelector: "gpu" holds no fields: write 'name: value' on lines below it, or {}"#,
        ),
        (
            json!({"resources": {"limits": {"cpu": 0.5}}}),
            r#"spec.resources.limits.cpu: "0.5" is no whole number of at most 18 digits: put it in quotes"#,
        ),
        (
            json!({"resources": {"limits": {"cpu": 1e30}}}),
            r#"spec.resources.limits.cpu: "1e+30" is no whole number of at most 18 digits: put it in quotes"#,
        ),
        (
            json!({"resources": {"limits": {"cpu": true}}}),
            r#"spec.resources.limits.cpu: "true" is neither a whole number nor a text: write one of them"#,
        ),
    ] {
        assert_eq!(of_workspace(spec.clone()), [expected], "{spec}");
    }
}

#[test]
fn sizes_and_missing_fields_are_reported() {
    let long = message(&Workspace::crd(), &json!({"displayName": "ü".repeat(101)}));
    let expected = format!(
        r#"spec.displayName: "{}" has 101 characters, more than the maximum 100: shorten it"#,
        "ü".repeat(SHOWN)
    );
    assert_eq!(long, [expected]);
    let many: Vec<_> = (0..65).map(|n| json!({"name": format!("A{n}")})).collect();
    assert_eq!(
        of_workspace(json!({"env": many})),
        ["spec.env: has 65 entries, more than the maximum 64: leave some out"]
    );
    for nothing in [json!({}), json!({"displayName": null})] {
        assert_eq!(
            message(&Workspace::crd(), &nothing),
            ["spec.displayName: is missing: set it"]
        );
    }
    assert_eq!(
        message(&Workspace::crd(), &Value::Null),
        ["spec: is missing: set it"]
    );
    let text = message(&Workspace::crd(), &json!("text"));
    assert!(
        text[0].starts_with(r#"spec: "text" holds no fields: "#),
        "{text:?}"
    );
}
