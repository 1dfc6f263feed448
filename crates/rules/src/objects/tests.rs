//! Templates with objects and workspaces -> objects or violations (tests).

use api::{Workspace, WorkspaceTemplate};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::effective::options::resolve;
use crate::settings::Settings;
use crate::violation::Violation;

pub(super) fn settings() -> Settings {
    Settings::parse(
        "{defaultImage: i, objectKinds: [{apiVersion: cert-manager.io/v1, kind: Certificate}, {apiVersion: example.com/v1, kind: Widget}]}",
    )
    .unwrap()
}

fn workspace(spec: Value) -> Workspace {
    let mut spec = spec;
    spec["displayName"] = json!("d");
    let annotations = json!({api::names::CREATED_BY: "alice"});
    serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "team", "uid": "u-1", "annotations": annotations}, "spec": spec,
    }))
    .unwrap()
}

/// A manifest that is right.
pub(super) fn widget() -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"labels": {"a": "{workspace.name}"}},
        "spec": {"of": "{workspace.namespace}/{workspace.name}", "id": "{workspace.uid}", "count": 3, "size": "{{literal}} ${SHELL}"},
    })
}

pub(super) fn template(objects: &Value) -> WorkspaceTemplate {
    serde_json::from_value(json!({
        "metadata": {"name": "t"},
        "spec": {
            "displayName": "t", "defaultImage": "i", "objects": objects,
            "options": [{"name": "size", "choices": [
                {"name": "S", "default": true, "set": {"variables": {"volume": "a 'small' one"}}},
                {"name": "L", "set": {"variables": {"volume": "large"}}},
                {"name": "none"},
            ]}],
        },
    }))
    .unwrap()
}

pub(super) fn rendered(template: &WorkspaceTemplate, spec: Value) -> Result<Objects, Violation> {
    let workspace = workspace(spec);
    let choices = resolve(&template.spec, &workspace.spec.options);
    render_template(&workspace, template, &choices, &settings())
}

pub(super) fn those(template: &WorkspaceTemplate, spec: Value) -> Vec<RenderedObject> {
    match rendered(template, spec).unwrap() {
        Objects::These(objects) => objects,
        Objects::Unknown(why) => panic!("{why}"),
    }
}

/// The violations of one manifest.
pub(super) fn faults(manifest: Value) -> String {
    let template = template(&json!([{"name": "a", "manifest": manifest}]));
    let found = check_template(&template.spec, &settings());
    Violations::from_list(found)
        .map(|all| all.to_string())
        .unwrap_or_default()
}

#[test]
fn a_manifest_becomes_the_workspace_s_own_object() {
    let objects = those(
        &template(&json!([{"name": "w", "manifest": widget()}])),
        json!({}),
    );
    let [object] = objects.as_slice() else {
        panic!("{objects:?}")
    };
    assert_eq!(object.kind.to_string(), "example.com/v1 Widget");
    assert_eq!(object.name, "wso-w-demo");
    assert_eq!(object.labels["a"], "demo");
    assert_eq!(
        Value::Object(object.body.clone()),
        json!({"spec": {"of": "team/demo", "id": "u-1", "count": 3, "size": "{literal} ${SHELL}"}})
    );
}

#[test]
fn a_template_without_objects_has_none_whatever_kinds_are_allowed() {
    assert_eq!(those(&template(&json!([])), json!({})), []);
    assert_eq!(
        check_template(
            &template(&json!([])).spec,
            &Settings::parse("defaultImage: i").unwrap()
        ),
        []
    );
}

#[test]
fn an_object_is_there_only_while_its_condition_holds() {
    let template = template(&json!([
        {"name": "always", "manifest": widget()},
        {"name": "large", "when": {"size": ["L"]}, "manifest": widget()},
    ]));
    let names = |spec: Value| -> Vec<String> {
        those(&template, spec)
            .into_iter()
            .map(|object| object.name)
            .collect()
    };
    assert_eq!(names(json!({})), ["wso-always-demo"]);
    assert_eq!(
        names(json!({"options": {"size": "L"}})),
        ["wso-always-demo", "wso-large-demo"]
    );
}

#[test]
fn a_variable_has_the_fixed_text_of_the_choice_and_never_the_workspace_s() {
    let mut manifest = widget();
    manifest["spec"] = json!({"volume": "{volume}"});
    let template = template(&json!([{"name": "w", "manifest": manifest}]));
    let volume = |spec: Value| those(&template, spec)[0].body["spec"]["volume"].clone();
    assert_eq!(volume(json!({})), "a 'small' one");
    assert_eq!(volume(json!({"options": {"size": "L"}})), "large");
    let own = json!({"options": {"size": "L"}, "variables": {"volume": "of-somebody-else"}});
    assert_eq!(volume(own), "large");
    let own = json!({"options": {"size": "none"}, "variables": {"volume": "of-somebody-else"}});
    let refused = rendered(&template, own).unwrap_err().to_string();
    for part in [
        "spec.templateRef: \"t\"",
        "unknown variable {volume}",
        "spec.options",
    ] {
        assert!(refused.contains(part), "{part} is missing in: {refused}");
    }
}

#[test]
fn any_other_variable_is_refused_when_the_template_is_written() {
    assert_eq!(faults(widget()), "");
    for name in [
        "owner.name",
        "owner.slug",
        "workspace.host",
        "service.name",
        "pvcs.home",
        "course",
        "a.b",
    ] {
        for text in [format!("{{{name}}}"), format!("x-{{{name}}}-y")] {
            for (field, place) in [
                ("spec.of", json!({"of": text})),
                ("spec", json!({text.as_str(): 1})),
            ] {
                let mut manifest = widget();
                manifest["spec"] = place;
                let found = faults(manifest);
                assert!(
                    found.contains(&format!("spec.objects[0].manifest.{field}")),
                    "{found}"
                );
                let rule = format!("unknown variable {{{name}}}: known are ");
                assert!(
                    found.contains(&rule) && found.contains("workspace.uid"),
                    "{found}"
                );
            }
        }
    }
}

/// A change of the right manifest, and what the refusal says.
type Case = (fn(&mut Value), &'static str);

#[test]
fn what_an_object_must_not_be_is_refused_with_field_rule_and_remedy() {
    let with = |change: fn(&mut Value)| {
        let mut manifest = widget();
        change(&mut manifest);
        faults(manifest)
    };
    let cases: [Case; 15] = [
        (
            |it| it["kind"] = json!("Gadget"),
            "manifest.kind: \"example.com/v1 Gadget\" is not among the kinds that this installation allows (cert-manager.io/v1 Certificate, example.com/v1 Widget): use one of them, or have it added to the setting objectKinds",
        ),
        (
            |it| it["apiVersion"] = json!("example.com/v2"),
            "manifest.kind: \"example.com/v2 Widget\" is not among the kinds",
        ),
        (
            |it| it["kind"] = json!("ClusterRole"),
            "manifest.kind: \"example.com/v1 ClusterRole\" can never be an object of a template",
        ),
        (
            |it| {
                it["apiVersion"] = json!("v1");
                it["kind"] = json!("ConfigMap");
            },
            "can never be an object of a template",
        ),
        (
            |it| it["kind"] = json!("VaultSecret"),
            "can never be an object of a template",
        ),
        (
            |it| it["kind"] = Value::Null,
            "spec.objects[0].manifest: must have apiVersion and kind",
        ),
        (
            |it| *it = json!("text"),
            "spec.objects[0].manifest: must have apiVersion and kind",
        ),
        (
            |it| it["metadata"]["namespace"] = json!("other"),
            "manifest.metadata.namespace: \"other\" must not name another namespace than the workspace's: leave it out",
        ),
        (
            |it| it["metadata"]["name"] = json!("same"),
            "manifest.metadata.name: \"same\" is the same for every workspace: put {workspace.name} into it, or leave it out",
        ),
        (
            |it| it["metadata"]["name"] = json!("{workspace.namespace}"),
            "is the same for every workspace",
        ),
        (
            |it| it["metadata"]["name"] = json!("{workspace.name}_x"),
            "manifest.metadata.name: \"sample_x\" must be a name of at most 253",
        ),
        (
            |it| it["status"] = json!({}),
            "manifest.status: must not be set by a template, because a controller writes it: leave it out",
        ),
        (
            |it| it["metadata"]["ownerReferences"] = json!([]),
            "manifest.metadata.ownerReferences: must not be set by a template: leave it out",
        ),
        (
            |it| it["metadata"]["finalizers"] = json!(["a/b"]),
            "manifest.metadata.finalizers: must not be set by a template: leave it out",
        ),
        (
            |it| it["metadata"]["labels"] = json!({"workspaces.jupyter.org/workspace": "x"}),
            "only the operator sets keys with this prefix: leave it out",
        ),
    ];
    for (change, expected) in cases {
        let found = with(change);
        assert!(found.contains(expected), "{expected}\nis missing in: {found}");
    }
    for change in [
        (|it: &mut Value| it["metadata"]["namespace"] = json!("{workspace.namespace}")) as fn(&mut Value),
        |it| it["metadata"]["name"] = json!("{workspace.name}-x"),
        |it| it["metadata"]["annotations"] = json!({"example.com/x": "y"}),
    ] {
        assert_eq!(with(change), "");
    }
}

#[test]
fn a_kind_that_is_no_longer_allowed_leaves_existing_objects_as_they_are() {
    let template = template(&json!([{"name": "w", "manifest": widget()}]));
    let (workspace, none) = (workspace(json!({})), Settings::parse("defaultImage: i").unwrap());
    let choices = resolve(&template.spec, &workspace.spec.options);
    let Ok(Objects::Unknown(why)) = render_template(&workspace, &template, &choices, &none) else {
        panic!("it is not allowed")
    };
    assert!(why.to_string().contains("setting objectKinds"), "{why}");
}

proptest! {
    /// Whatever a workspace sets, its objects hold no text of its variables and options.
    #[test]
    fn no_text_of_a_workspace_reaches_an_object(name in "[a-z]{1,6}(\\.[a-z]{1,4})?", text in "[a-z{}. ]{0,30}") {
        const OWN: &str = "TEXT-OF-A-PERSON";
        let mut manifest = widget();
        manifest["spec"] = json!({"a": text, "b": [format!("{text}{{{name}}}")], text.as_str(): "{volume}"});
        let template = template(&json!([{"name": "w", "manifest": manifest}]));
        let mut variables = json!({"volume": OWN});
        variables[name.as_str()] = json!(OWN);
        let checked = check_template(&template.spec, &settings());
        match rendered(&template, json!({"variables": variables})) {
            Ok(Objects::These(objects)) => {
                prop_assert_eq!(checked, vec![]);
                let all = format!("{objects:?}");
                prop_assert!(!all.contains(OWN));
            }
            Ok(Objects::Unknown(_)) => prop_assert!(!checked.is_empty()),
            Err(violation) => prop_assert!(false, "{}", violation),
        }
    }
}
