//! Texts and variables -> expanded texts or errors (tests).

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scope() -> Scope {
    let workspace: api::Workspace = serde_json::from_value(json!({
        "metadata": {
            "name": "lab", "namespace": "team", "uid": "u-1",
            "annotations": {api::names::CREATED_BY: "alice"},
        },
        "spec": {
            "displayName": "d",
            "variables": {"course": "ml", "braces": "{workspace.name}", "workspace.name": "forged", "a.b": "dotted"},
        },
    }))
    .unwrap();
    Scope::for_workspace(&workspace).with("service.port", 8888)
}

fn text(text: &str) -> String {
    expand_text(text, &scope()).unwrap()
}

#[test]
fn names_become_values() {
    for (written, read) in [
        ("{workspace.name}", "lab"),
        ("{workspace.namespace}-{course}", "team-ml"),
        (
            "{owner.name}@{service.name}:{service.port}",
            "alice@workspace-lab:8888",
        ),
        ("{a.b}{course}", "dottedml"),
        ("", ""),
        ("ü{course}ü", "ümlü"),
    ] {
        assert_eq!(text(written), read, "{written}");
    }
}

#[test]
fn every_other_brace_stays() {
    for written in [
        "${course}",
        "${workspace.name}",
        "$${course}",
        "${{course}}",
        "${{workspace.name}}",
        "{unknown}",
        "{ course }",
        "{course",
        "course}",
        "{}",
        "{{}}",
        "}{",
        "{\"a.b\": 1}",
        "{print $1}",
        "{1.5}",
        "{.Values.x}",
        "{{ .Values.x }}",
        "{a..b}",
        "{a.}",
        "{1,3}",
        "{workspace.name",
        "{",
        "}",
        "{-a.b}",
        "{a.-b}",
        "$(course)",
    ] {
        assert_eq!(text(written), written);
    }
}

#[test]
fn doubled_braces_are_literal_ones() {
    for (written, read) in [
        ("{{course}}", "{course}"),
        ("{{workspace.name}}", "{workspace.name}"),
        ("{{no.such.variable}}", "{no.such.variable}"),
        ("{{whatever}}", "{whatever}"),
        ("{{{course}}}", "{{course}}"),
        ("{{course}", "{ml"),
        ("{course}}", "ml}"),
        ("{{course}}{course}", "{course}ml"),
    ] {
        assert_eq!(text(written), read, "{written}");
    }
}

#[test]
fn a_workspace_cannot_give_our_variables_other_values() {
    assert_eq!(text("{workspace.name}"), "lab");
    let mut workspace = api::Workspace::new("lab", api::WorkspaceSpec::default());
    workspace
        .spec
        .variables
        .insert("owner.name".to_owned(), "root".to_owned());
    let error = expand_text("{owner.name}", &Scope::for_workspace(&workspace)).unwrap_err();
    assert!(matches!(error, VariableError::Unknown { .. }), "{error}");
}

#[test]
fn an_unknown_variable_is_named_with_its_field_and_the_valid_ones() {
    let value = json!({"env": [{"value": "a"}, {"value": "x {no.such}"}], "labels": {"{nor.this}": "b"}});
    let faults = expand_value("spec", &value, &scope()).unwrap_err();
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with(
            r#"spec.env[1].value: "x {no.such}" names the unknown variable {no.such}: known are"#
        ),
        "{}",
        lines[0]
    );
    assert!(
        lines[0].contains("workspace.name") && lines[0].contains("{{no.such}}"),
        "{}",
        lines[0]
    );
    assert!(lines[1].starts_with(r"spec.labels[{nor.this}]: "), "{}", lines[1]);
}

#[test]
fn strings_and_keys_are_expanded_wherever_they_are() {
    let value =
        json!({"a": ["{course}", {"{course}-key": "{workspace.name}", "n": 1, "b": true, "z": null}]});
    assert_eq!(
        expand_value("", &value, &scope()).unwrap(),
        json!({"a": ["ml", {"ml-key": "lab", "n": 1, "b": true, "z": null}]})
    );
}

#[test]
fn keys_that_become_the_same_are_refused() {
    let faults = expand_value("m", &json!({"ml": "1", "{course}": "2"}), &scope()).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].to_string().contains("same key"), "{}", faults[0]);
}

#[test]
fn a_whole_value_keeps_its_type_only_in_typed_scopes_and_never_in_metadata() {
    let value = json!({"port": "{service.port}", "text": "p{service.port}", "metadata": {"a": {"b": "{service.port}"}}});
    let typed = scope().typed();
    assert_eq!(
        expand_value("", &value, &typed).unwrap(),
        json!({"port": 8888, "text": "p8888", "metadata": {"a": {"b": "8888"}}})
    );
    assert_eq!(expand_value("", &value, &scope()).unwrap()["port"], "8888");
    let lists = typed.with("authentication.responseHeaders", vec!["X-A", "X-B"]);
    let value =
        json!({"headers": "{authentication.responseHeaders}", "text": "h:{authentication.responseHeaders}"});
    assert_eq!(
        expand_value("", &value, &lists).unwrap(),
        json!({"headers": ["X-A", "X-B"], "text": "h:X-A,X-B"})
    );
}

#[test]
fn a_strict_scope_refuses_values_with_special_characters() {
    let mut workspace = api::Workspace::new("lab", api::WorkspaceSpec::default());
    workspace
        .spec
        .variables
        .insert("x".to_owned(), "a`) || Host(`b".to_owned());
    let scope = Scope::for_workspace(&workspace).strict();
    let error = expand_text("Host(`{x}`)", &scope).unwrap_err().to_string();
    assert!(
        error.contains("{x}") && error.contains("change that value"),
        "{error}"
    );
    assert_eq!(
        expand_text("Host(`{workspace.name}`)", &scope).unwrap(),
        "Host(`lab`)"
    );
}

#[test]
fn the_length_of_an_expanded_text_is_bounded() {
    let mut workspace = api::Workspace::new("lab", api::WorkspaceSpec::default());
    workspace.spec.variables.insert("x".to_owned(), "y".repeat(1024));
    let long = "{x}".repeat(100);
    assert_eq!(
        expand_text(&long, &Scope::for_workspace(&workspace)),
        Err(VariableError::TooLong)
    );
}

#[test]
fn variables_of_a_text_are_listed() {
    let is_key = |name: &str| name == "course";
    assert_eq!(
        names_in("{course} {other} {a.b} {{c.d}} ${e.f}", &is_key),
        ["course", "a.b"]
    );
}

proptest! {
    #[test]
    fn no_value_is_ever_expanded_again(value in "[{}$a-z.]{0,30}", around in "[{}$a-z.]{0,10}") {
        let mut workspace = api::Workspace::new("lab", api::WorkspaceSpec::default());
        workspace.spec.variables.insert("v".to_owned(), value.clone());
        let scope = Scope::for_workspace(&workspace);
        prop_assert_eq!(expand_text("{v}", &scope).unwrap(), value.clone());
        prop_assert_eq!(expand_text("<{v}>", &scope).unwrap(), format!("<{value}>"));
        let _ = expand_text(&around, &scope);
    }
}
