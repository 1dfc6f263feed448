//! Templates whose objects have names -> two of one name, and names of routes, are refused (tests).

use serde_json::{Value, json};

use super::tests::{faults, rendered, settings, template, those, widget};
use super::*;

/// A manifest of this name.
fn named(name: &str) -> Value {
    let mut manifest = widget();
    manifest["metadata"]["name"] = json!(name);
    manifest
}

#[test]
fn two_manifests_of_one_kind_and_name_are_refused() {
    let found = |a: &Value, b: &Value| check_template(&template(&json!([a, b])).spec, &settings());
    let of = |name: &str, manifest: Value| json!({"name": name, "manifest": manifest});
    let other_version = |mut manifest: Value| {
        manifest["apiVersion"] = json!("example.com/v2");
        manifest
    };
    let other_kind = || json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate"});
    let x = || named("x-{workspace.name}");
    for (a, b) in [
        (of("a", x()), of("b", x())),
        (of("a", named("wso-b-{workspace.name}")), of("b", widget())),
        (of("a", widget()), of("b", named("wso-a-{workspace.name}"))),
        (of("a", x()), of("b", other_version(x()))),
    ] {
        let found = found(&a, &b);
        let second = found
            .iter()
            .find(|it| it.field == "spec.objects[1].manifest")
            .unwrap();
        let message = second.to_string();
        assert!(
            message.contains("is the second manifest of this kind and name"),
            "{message}"
        );
    }
    for (a, b) in [
        (of("a", widget()), of("b", widget())),
        (of("a", x()), of("b", widget())),
        (
            of("a", named("wso-a-{workspace.uid}")),
            of("b", named("wso-a-{workspace.name}")),
        ),
        (
            of("a", x()),
            of("b", {
                let mut manifest = other_kind();
                manifest["metadata"] = json!({"name": "x-{workspace.name}"});
                manifest
            }),
        ),
    ] {
        assert_eq!(found(&a, &b), [], "{a} {b}");
    }
}

#[test]
fn two_manifests_of_choices_that_exclude_each_other_may_have_one_name() {
    let found = |first: Value, second: Value| {
        let objects = json!([
            {"name": "a", "when": first, "manifest": named("x-{workspace.name}")},
            {"name": "b", "when": second, "manifest": named("x-{workspace.name}")},
        ]);
        let template = template(&objects);
        let large = json!({"options": {"size": "L"}});
        (
            check_template(&template.spec, &settings()).len(),
            rendered(&template, large),
        )
    };
    let (refused, objects) = found(json!({"size": ["S"]}), json!({"size": ["L", "none"]}));
    assert_eq!(refused, 0);
    let Ok(Objects::These(objects)) = objects else {
        panic!("{objects:?}")
    };
    assert_eq!(objects.len(), 1);
    assert_eq!(found(json!({"size": ["S", "L"]}), json!({"size": ["L"]})).0, 1);
    assert_eq!(found(json!({}), json!({"size": ["L"]})).0, 1);
}

#[test]
fn names_that_choices_make_equal_are_refused_for_that_workspace() {
    let objects = json!([
        {"name": "a", "manifest": named("{volume}-{workspace.name}")},
        {"name": "b", "manifest": named("large-{workspace.name}")},
    ]);
    let template = template(&objects);
    assert_eq!(check_template(&template.spec, &settings()), []);
    let refused = rendered(&template, json!({"options": {"size": "L"}}))
        .unwrap_err()
        .to_string();
    for part in [
        "spec.templateRef: \"t\"",
        "spec.objects[1].manifest: \"large-demo\" is the second manifest of this kind and name",
        "choose otherwise in spec.options",
    ] {
        assert!(refused.contains(part), "{part} is missing in: {refused}");
    }
    let mut small = template.clone();
    let set = small.spec.options[0].choices[0].set.as_mut().unwrap();
    set.variables.insert("volume".to_owned(), "small".to_owned());
    assert_eq!(those(&small, json!({})).len(), 2);
}

#[test]
fn the_name_of_routes_is_refused() {
    let refused = faults(named("workspace-{workspace.name}"));
    let expected =
        "manifest.metadata.name: \"workspace-{workspace.name}\" is the name of routes: choose another";
    assert!(refused.contains(expected), "{refused}");
    assert_eq!(faults(named("workspace-{workspace.name}-x")), "");
    let template = template(&json!([{"name": "a", "manifest": named("{volume}-{workspace.name}")}]));
    let with = |volume: &str| {
        let mut template = template.clone();
        let set = template.spec.options[0].choices[0].set.as_mut().unwrap();
        set.variables.insert("volume".to_owned(), volume.to_owned());
        rendered(&template, json!({}))
    };
    let refused = with("workspace").unwrap_err().to_string();
    assert!(
        refused.contains("\"workspace-demo\" is the name of routes"),
        "{refused}"
    );
    assert!(with("workspaces").is_ok());
}
