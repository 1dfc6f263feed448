//! Requirements, variables and labels -> violations (tests).

use serde_json::{Value, json};

use super::*;

fn requirement(name: &str, required: bool, regex: Option<&str>) -> Requirement {
    Requirement {
        name: name.into(),
        required,
        regex: regex.map(str::to_owned),
    }
}

fn variables(list: Value) -> Vec<EnvVar> {
    serde_json::from_value(list).unwrap()
}

fn given(requirement: Requirement, list: Value) -> Vec<String> {
    let list = variables(list);
    let environment = Environment {
        effective: &list,
        given: &list,
        profile: None,
    };
    env(&[requirement], &environment)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_whole_value_must_match() {
    let team = || requirement("TEAM", true, Some("[a-z]+|x1"));
    for value in ["ml", "x1"] {
        assert_eq!(
            given(team(), json!([{"name": "TEAM", "value": value}])),
            [""; 0],
            "{value}"
        );
    }
    for value in ["", "ml1", "1ml", "x12", "ml\n", "\nml", "ml\nx1", "ML"] {
        let found = given(team(), json!([{"name": "TEAM", "value": value}]));
        assert_eq!(found.len(), 1, "{value:?}");
        assert!(found[0].starts_with("spec.env[0].value: "), "{found:?}");
    }
    assert_eq!(
        given(team(), json!([{"name": "TEAM", "value": "ml1"}])),
        [
            r#"spec.env[0].value: "ml1" is the value of TEAM and does not match /[a-z]+|x1/ as a whole, which the template requires: choose another value"#
        ]
    );
}

#[test]
fn required_variables_must_exist_and_optional_ones_may_be_absent() {
    assert_eq!(
        given(requirement("TEAM", true, Some("a")), json!([])),
        [
            "spec.env[TEAM]: lacks the variable TEAM, which the template requires: add it, with a value that matches /a/ as a whole"
        ]
    );
    assert_eq!(given(requirement("TEAM", false, Some("a")), json!([])), [""; 0]);
    assert_eq!(
        given(requirement("TEAM", true, None), json!([{"name": "TEAM"}])),
        [""; 0]
    );
}

#[test]
fn a_value_from_a_reference_does_not_match() {
    let from = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    assert!(given(requirement("A", false, Some(".*")), from.clone())[0].contains("comes from elsewhere"));
    assert_eq!(given(requirement("A", true, None), from), [""; 0]);
    let other = json!([{"name": "B", "value": "@"}, {"name": "A", "value": "x$(B)"}]);
    assert!(given(requirement("A", false, Some("[^@]*")), other)[0].contains("refers to another"));
    let escaped = json!([{"name": "A", "value": "x$$(B) $("}]);
    assert_eq!(given(requirement("A", false, Some("[^@]*")), escaped), [""; 0]);
}

#[test]
fn doubled_dollars_are_literals_as_in_kubernetes() {
    for (value, refers) in [
        ("$(B)", true),
        ("$$(B)", false),
        ("$$$(B)", true),
        ("$$$$(B)", false),
        ("$$x$(B)", true),
        ("$x$(B)", true),
        ("$(B", false),
        ("é$", false),
        ("$(B $(C)", true),
    ] {
        assert_eq!(refers_to_another(value), refers, "{value}");
    }
}

#[test]
fn a_profile_s_value_is_held_to_it_too_and_named() {
    let wins = variables(json!([{"name": "A", "value": "2"}]));
    let own = variables(json!([{"name": "A", "value": "1"}]));
    let environment = Environment {
        effective: &own,
        given: &own,
        profile: Some(("gpu", &wins)),
    };
    let found = env(&[requirement("A", false, Some("1"))], &environment);
    assert!(
        found[0]
            .to_string()
            .starts_with(r#"spec.executionProfileRef: "gpu" sets the variable A"#)
    );
}

#[test]
fn labels_are_required_and_matched_by_key() {
    let requirements = [
        requirement("example.org/cost", true, Some("[0-9]{4}")),
        requirement("tier", false, Some("gold")),
    ];
    let labels_of = |pairs: &[(&str, &str)]| {
        let map = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        labels(&requirements, &map, &[])
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(labels_of(&[("example.org/cost", "1234")]), [""; 0]);
    let found = labels_of(&[("example.org/cost", "12345"), ("tier", "golden")]);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with(r#"metadata.labels[example.org/cost]: "12345" does not match"#));
    assert!(labels_of(&[])[0].contains("lacks the label example.org/cost"));
}

fn label(name: &str, value: &str) -> Label {
    Label {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

#[test]
fn a_template_s_own_labels_satisfy_what_it_requires_and_a_workspace_s_win() {
    let requirements = [requirement("tier", true, Some("gold|iron"))];
    let message = |own: &[(&str, &str)], base: &[Label]| {
        let own = own
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let found = labels(&requirements, &own, base);
        found.first().map(ToString::to_string)
    };
    assert_eq!(message(&[], &[label("tier", "gold")]), None);
    assert_eq!(message(&[("tier", "iron")], &[label("tier", "lead")]), None);
    assert!(message(&[("tier", "lead")], &[label("tier", "gold")]).is_some());
    let expanded = message(&[], &[label("tier", "lead")]).unwrap();
    assert!(
        expanded.starts_with(
            r#"metadata.labels[tier]: "lead" is the template's value (spec.baseLabels) and does not match"#
        ),
        "{expanded}"
    );
}

#[test]
fn bad_patterns_and_names_are_violations_of_the_template() {
    let found = of_template(&WorkspaceTemplateSpec {
        env_requirements: vec![
            requirement("A", false, Some("(")),
            requirement("B", false, Some("a)|(b")),
            requirement("C", false, Some(&format!("({}{{1000}}){{1000}}", "\\pL"))),
            requirement("D=", false, Some("(?=x)")),
            requirement("E", false, Some("x")),
        ],
        label_requirements: vec![
            requirement("-x", true, None),
            requirement("tier", false, Some("gold")),
        ],
        environment_variables: variables(json!([{"name": "E", "value": "xx"}, {"name": "A", "value": "1"}])),
        base_labels: vec![
            label("tier", "{course}"),
            label("tier", "lead"),
            label("-y", "gold"),
        ],
        ..WorkspaceTemplateSpec::default()
    });
    let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "spec.envRequirements[0].regex",
            "spec.envRequirements[1].regex",
            "spec.envRequirements[2].regex",
            "spec.envRequirements[3].name",
            "spec.envRequirements[3].regex",
            "spec.labelRequirements[0].name",
            "spec.environmentVariables[0].value",
            "spec.baseLabels[1].value",
        ]
    );
    assert!(found.iter().all(|it| !it.message.contains('\n')), "{found:?}");
}
