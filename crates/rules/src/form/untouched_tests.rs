//! Values of every control, sent back as browsers send them -> unchanged workspaces (tests).

use api::Workspace;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::admission::property_tests::objects;

/// Texts that a page, a control or the encoding of a form may change.
fn text() -> impl Strategy<Value = String> {
    const PARTS: [&str; 29] = [
        "a", "B", "7", " ", "\t", "\n", "\r", "\r\n", "\0", "\u{1}", "\u{b}", "\u{1b}", "\u{7f}", "\u{85}",
        "\u{a0}", "\u{2028}", "\u{feff}", "é", "e\u{301}", "🦀", "<", "&amp;", "\"", "'", "+", "%41", ": ",
        "#", "- ",
    ];
    prop::collection::vec(prop::sample::select(&PARTS[..]), 0..8).prop_map(|parts| parts.concat())
}

/// A template whose form has every control.
fn template() -> WorkspaceTemplate {
    objects::template(&json!({
        "displayName": "t", "defaultImage": "uv", "allowCustomImages": true, "allowSecondaryStorages": true,
        "labelRequirements": [{"name": "tier"}, {"name": "example.org/team"}],
        "environmentVariables": [{"name": "COURSE", "value": "{course} {lab.room}"}],
        "resourceBounds": {"gpu": {"max": 2}, "resources": {"example.org/fpga": {"max": 3}}},
        "primaryStorage": {"defaultSize": "1Gi"},
    }))
}

fn form_of(workspace: &Workspace) -> Form {
    let (template, settings) = (template(), objects::settings());
    let offer = Offer {
        template: Some(&template),
        profiles: &[],
        settings: &settings,
    };
    form(&offer, Some(workspace))
}

/// A stored workspace with a text in each place that a control shows, and with what has no control.
fn workspace() -> impl Strategy<Value = Workspace> {
    prop::collection::vec(text(), 24).prop_map(|texts| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap_or_default();
        let object = json!({
            "metadata": {"name": "lab", "namespace": "team", "labels": {"tier": text(), "example.org/team": text(), "own": text()}},
            "spec": {
                "displayName": text(), "templateRef": "t", "image": text(), "shmSize": text(), "port": 9000,
                "resources": {
                    "limits": {"cpu": text(), "memory": text(), "example.org/fpga": text()},
                    "requests": {"cpu": text(), "nvidia.com/gpu": text()},
                },
                "storage": {"mountPath": text(), "subPath": text(), "retain": "Retain"},
                "volumes": [
                    {"name": "a", "persistentVolumeClaimName": text(), "mountPath": text(), "readOnly": true},
                    {"name": "b", "persistentVolumeClaimName": text(), "mountPath": text()},
                ],
                "env": [
                    {"name": "A", "value": text()},
                    {"name": "B", "value": ""},
                    {"name": "C"},
                    {"name": "S", "valueFrom": {"secretKeyRef": {"name": text(), "key": "k", "optional": true}}},
                    {"name": "M", "valueFrom": {"configMapKeyRef": {"name": "m", "key": text()}}},
                    {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": text()}}},
                ],
                "variables": {"course": text(), "lab.room": text()},
                "idleShutdown": {"enabled": true, "idleTimeoutInMinutes": 30},
                "limits": {"startTimeoutMinutes": 20},
                "executionProfileRef": text(),
                "podAnnotations": {"note": text()},
            },
        });
        serde_json::from_value(object).unwrap()
    })
}

/// What a browser sends of a value: HTML's rules for the text of a page, then those for a one-line `<input>`, then those for forms.
fn of_input(value: &str) -> String {
    parsed(value).replace('\n', "")
}

/// The same of a choice, whose value is no text that can be typed.
fn of_option(value: &str) -> String {
    parsed(value).replace('\n', "\r\n")
}

fn parsed(value: &str) -> String {
    let lines = value.replace("\r\n", "\n").replace('\r', "\n");
    lines.replace('\0', "\u{fffd}")
}

/// What a browser sends of an open form that shows `workspace`: every control that can be changed.
fn untouched(form: &Form, workspace: &Workspace) -> Values {
    let shown = values(form, workspace);
    let mut sent = Values::default();
    let mut put = |name: &str, value: String| sent.0.insert(name.to_owned(), value);
    for field in &form.fields {
        let path = field.path.as_str();
        if let Change::Refused(_) = field.change {
            continue;
        }
        match field.kind {
            Kind::Env { .. } | Kind::Volumes { .. } => {
                put(path, String::new());
                let rows = shown
                    .0
                    .iter()
                    .filter(|(name, _)| name.starts_with(&format!("{path}[")));
                for (name, value) in rows {
                    put(name, of_input(value));
                }
                for row in [
                    "name",
                    "value",
                    "persistentVolumeClaimName",
                    "mountPath",
                    "readOnly",
                ] {
                    put(&format!("{path}[63].{row}"), String::new());
                }
            }
            Kind::Choice(_) | Kind::Toggle { .. } => {
                put(path, of_option(shown.get(path).unwrap_or_default()));
            }
            Kind::Text { .. } | Kind::Quantity { .. } | Kind::Number { .. } | Kind::Image { .. } => {
                put(path, of_input(shown.get(path).unwrap_or_default()));
            }
        }
    }
    sent
}

/// Another value for a control.
fn another(field: &Field) -> &'static str {
    match &field.kind {
        Kind::Quantity { .. } | Kind::Number { .. } => "3",
        Kind::Toggle { .. } => "false",
        Kind::Choice(choices) => match &*choices[0].value {
            "Delete" => "Delete",
            "OnStop" => "OnStop",
            "OwnerOnly" => "OwnerOnly",
            _ => "",
        },
        _ => "typed",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_form_that_is_sent_as_it_was_shown_changes_no_byte(workspace in workspace()) {
        let form = form_of(&workspace);
        let sent = untouched(&form, &workspace);
        prop_assert!(sent.0.len() > 40, "{:?}", sent);
        let back = filled(&form, &sent, Some(&workspace));
        prop_assert_eq!(&back.errors, &[]);
        prop_assert_eq!(&back.workspace, &workspace);
        // It is shown again as it was, and so is what is sent then.
        let again = filled(&form, &back.values, Some(&workspace));
        prop_assert_eq!(&again.values, &back.values);
        prop_assert_eq!(&again.workspace, &workspace);
    }

    #[test]
    fn another_value_in_a_control_changes_that_field_alone(workspace in workspace()) {
        let form = form_of(&workspace);
        let sent = untouched(&form, &workspace);
        let fields = form.fields.iter().filter(|field| sent.get(&field.path).is_some());
        // Of a value of line ends alone a browser sends nothing, so the empty choice is no other one.
        let fields = fields.filter(|field| !matches!(field.kind, Kind::Env { .. } | Kind::Volumes { .. }) && !another(field).is_empty());
        for field in fields {
            let mut sent = sent.clone();
            sent.0.insert(field.path.clone(), another(field).to_owned());
            let changed = filled(&form, &sent, Some(&workspace));
            prop_assert_eq!(&changed.errors, &[], "{}", field.path);
            let (mut before, mut after) = (values(&form, &workspace), values(&form, &changed.workspace));
            prop_assert_eq!(after.0.remove(&field.path).unwrap_or_default(), another(field));
            before.0.remove(&field.path);
            prop_assert_eq!(after, before, "{}", field.path);
        }
    }

    #[test]
    fn another_value_in_a_row_changes_that_part_alone(workspace in workspace()) {
        let form = form_of(&workspace);
        let sent = untouched(&form, &workspace);
        let rows = sent.0.iter().filter(|(name, _)| name.contains("].") && !name.contains("[63]"));
        for (name, _) in rows.filter(|(name, _)| !name.ends_with("readOnly")) {
            let mut sent = sent.clone();
            sent.0.insert(name.clone(), "typed".to_owned());
            let changed = filled(&form, &sent, Some(&workspace)).workspace;
            let (mut before, mut after) = (values(&form, &workspace), values(&form, &changed));
            prop_assert_eq!(after.0.remove(name).unwrap_or_default(), "typed", "{}", name);
            before.0.remove(name);
            prop_assert_eq!(after, before, "{}", name);
            let without = |workspace: &Workspace| {
                let mut spec = serde_json::to_value(&workspace.spec).unwrap();
                for list in ["env", "volumes"] {
                    spec[list] = Value::Null;
                }
                spec
            };
            prop_assert_eq!(without(&changed), without(&workspace));
            let kept = |workspace: &Workspace| (workspace.spec.env[5].value_from.clone(), rows::is_optional(&workspace.spec.env[3]));
            prop_assert_eq!(kept(&changed), kept(&workspace), "{}", name);
        }
    }

    #[test]
    fn values_that_a_browser_does_not_send_back_need_their_base(workspace in workspace()) {
        let form = form_of(&workspace);
        let shown = values(&form, &workspace);
        let sent = untouched(&form, &workspace);
        let alone = filled(&form, &sent, None).values;
        let is_lost = alone.0.iter().any(|(name, value)| shown.get(name).unwrap_or_default() != value);
        prop_assert!(!is_lost || !are_sent_whole(&shown), "{:?}", shown);
    }
}

#[test]
fn a_value_of_64_kib_with_line_ends_stays() {
    let value = "é line\r\n".repeat(8192) + " ";
    let object = json!({"metadata": {"name": "lab"}, "spec": {"displayName": "d", "templateRef": "t", "env": [{"name": "A", "value": value}]}});
    let workspace: Workspace = serde_json::from_value(object).unwrap();
    let form = form_of(&workspace);
    let back = filled(&form, &untouched(&form, &workspace), Some(&workspace));
    assert_eq!(back.workspace, workspace);
}

#[test]
fn blanks_at_the_ends_are_dropped_from_what_is_typed_but_not_from_the_value_of_a_variable() {
    let object = json!({"metadata": {"name": "lab"}, "spec": {"displayName": " d ", "templateRef": "t", "env": [{"name": "A", "value": "1"}]}});
    let workspace: Workspace = serde_json::from_value(object).unwrap();
    let form = form_of(&workspace);
    let mut sent = untouched(&form, &workspace);
    for (name, value) in [
        ("spec.displayName", " e "),
        ("spec.env[0].name", " B "),
        ("spec.env[0].value", " 2 "),
    ] {
        sent.0.insert(name.to_owned(), value.to_owned());
    }
    let spec = filled(&form, &sent, Some(&workspace)).workspace.spec;
    assert_eq!(spec.display_name, "e");
    assert_eq!(
        serde_json::to_value(&spec.env).unwrap(),
        json!([{"name": "B", "value": " 2 "}])
    );
}
