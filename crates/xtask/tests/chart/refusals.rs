//! Bad values in `refusals.yaml` -> each is refused with the text beside it (IO: runs `helm`).

use std::thread;

use serde_json::{Value, json};

use crate::render::{read, with};

/// Why these values are no case of a refusal with this text.
fn problem(case: &Value) -> Option<String> {
    let (values, expected) = (&case["values"], case["says"].as_str().unwrap());
    match with(values, &[]) {
        Ok(_) => Some(format!("accepted: {values}")),
        Err(reason) if reason.contains(expected) => None,
        Err(reason) => Some(format!("{values}: no {expected:?} in {reason}")),
    }
}

/// What is said of each of these, by several helms at once.
fn of_each(cases: &[Value], judge: fn(&Value) -> Option<String>) -> Vec<String> {
    thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(4));
        let running: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().filter_map(judge).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn bad_values_are_refused_with_field_and_rule() {
    let tables: Value = serde_saphyr::from_str(&read("crates/xtask/tests/chart/refusals.yaml")).unwrap();
    let refused = tables["refused"].as_array().unwrap();
    assert!(refused.len() > 60, "{}", refused.len());
    let problems = of_each(refused, problem);
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Whether this line is of this rule: it has the rule's texts between the actions of the template, in this order.
fn is_line_of(rule: &str, line: &str) -> bool {
    let mut rest = line;
    let texts = rule
        .split("{{")
        .map(|part| part.split_once("}}").map_or(part, |(_, text)| text));
    texts.into_iter().all(|text| {
        let found = rest.split_once(text);
        rest = found.map_or(rest, |(_, after)| after);
        found.is_some()
    })
}

#[test]
fn each_rule_between_values_is_a_sentence_that_a_case_reads() {
    let schema = read("charts/jupyter-k8s/values.schema.json");
    assert!(
        !schema.contains("\"if\":"),
        "Helm says of a conditional that `then` did not match: write a sentence"
    );
    let rules = read("charts/jupyter-k8s/templates/_combinations.tpl");
    let rules: Vec<_> = rules.lines().filter(|line| line.starts_with("  - ")).collect();
    assert!(rules.len() > 30, "{rules:#?}");

    let tables: Value = serde_saphyr::from_str(&read("crates/xtask/tests/chart/refusals.yaml")).unwrap();
    let said = of_each(tables["refused"].as_array().unwrap(), |case| {
        with(&case["values"], &[]).err()
    });
    let lines: Vec<_> = said.iter().flat_map(|text| text.lines()).collect();
    for rule in rules {
        assert!(
            lines.iter().any(|line| is_line_of(rule, line)),
            "no case of refusals.yaml is refused by {rule}"
        );
        assert!(rule.matches(": ").count() > 1, "field: rule: remedy, not {rule}");
    }
}

#[test]
fn good_values_beside_them_are_accepted() {
    let tables: Value = serde_saphyr::from_str(&read("crates/xtask/tests/chart/refusals.yaml")).unwrap();
    let problems = of_each(tables["accepted"].as_array().unwrap(), |values| {
        with(values, &[])
            .err()
            .map(|reason| format!("{values}: {reason}"))
    });
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn all_missing_values_are_reported_at_once() {
    let nothing = json!({
        "image": {"registry": ""}, "routing": {"baseDomain": ""}, "proxy": {"tls": {"secretName": ""}}, "oidc": {"issuerUrl": ""},
    });
    let reason = with(&nothing, &[]).unwrap_err();
    for setting in [
        "image.registry",
        "routing.baseDomain",
        "proxy.tls.secretName",
        "oidc.issuerUrl",
    ] {
        assert!(reason.contains(setting), "{setting}: {reason}");
    }
}
