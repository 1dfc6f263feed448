//! Bad values in `refusals.yaml` -> each is refused with the text beside it (IO: runs `helm`).

use std::thread;

use serde_json::{Value, json};

use crate::render::{read, text_with, yaml};

/// Headings of the chart's own sentences, in `templates/values/checks.yaml`.
const HEADINGS: [&str; 3] = [
    "settings are not valid:",
    "settings cannot work",
    "required settings are not set:",
];

fn cases(of: &str) -> Vec<Value> {
    let tables = yaml("crates/xtask/tests/chart/refusals.yaml");
    tables[of].as_array().unwrap().clone()
}

/// What is said of each of these, by several helms at once.
fn of_each<T: Send>(cases: &[Value], ask: fn(&Value) -> T) -> Vec<T> {
    thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(4));
        let running: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(ask).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

/// What helm says of the values of a case, or why they are no case of a refusal with its text and its remedy.
fn refusal(case: &Value) -> Result<String, String> {
    let (values, expected) = (&case["values"], case["says"].as_str().unwrap());
    let Err(said) = text_with(values, &[]) else {
        return Err(format!("accepted: {values}"));
    };
    if !said.contains(expected) {
        return Err(format!("{values}: no {expected:?} in {said}"));
    }
    let is_sentence = HEADINGS.iter().any(|heading| said.contains(heading));
    if is_sentence != case["remedy"].is_object() {
        return Err(format!(
            "{values}: a remedy belongs to a sentence, and to nothing else: {said}"
        ));
    }
    if !is_sentence {
        return Ok(said);
    }
    let mut mended = values.clone();
    json_patch::merge(&mut mended, &case["remedy"]);
    match text_with(&mended, &[]) {
        Err(still) => Err(format!("{mended} is what the sentence advises: {still}")),
        Ok(_) => Ok(said),
    }
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
fn each_rule_is_a_sentence_that_a_case_reads_and_its_advice_works() {
    let said = of_each(&cases("refused"), refusal);
    let wrong: Vec<_> = said.iter().filter_map(|one| one.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let lines: Vec<_> = said.iter().flatten().flat_map(|text| text.lines()).collect();

    let rules = read("charts/jupyter-k8s/templates/_combinations.tpl");
    let between = rules.lines().filter(|line| line.starts_with("  - "));
    let table = yaml("charts/jupyter-k8s/value-rules.yaml");
    let single = table["formats"].as_array().unwrap().iter();
    let single = single.map(|rule| format!("must {}", rule["must"].as_str().unwrap()));
    let rules: Vec<_> = between.map(str::to_owned).chain(single).collect();
    assert!(rules.len() > 60, "{rules:#?}");
    for rule in rules {
        assert!(
            lines.iter().any(|line| is_line_of(&rule, line)),
            "no case of refusals.yaml is refused by {rule}"
        );
        assert!(rule.contains(": "), "rule: remedy, not {rule}");
    }
    for rule in table["orders"].as_array().unwrap() {
        let names = rule["order"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|name| format!(".{}", name.as_str().unwrap())).collect();
        let is_said = |line: &&str| {
            line.contains(" must not be more than ")
                && names.iter().filter(|name| line.contains(name.as_str())).count() == 2
        };
        assert!(
            lines.iter().any(is_said),
            "no case of refusals.yaml is refused by {rule}"
        );
    }
}

#[test]
fn the_schema_has_no_rule_of_which_helm_says_nothing() {
    let schema = read("charts/jupyter-k8s/values.schema.json");
    for word in ["\"if\":", "\"not\":"] {
        assert!(
            !schema.contains(word),
            "{word} Helm says that `then` or `not` did not match: write a sentence"
        );
    }
}

#[test]
fn good_values_beside_them_are_accepted() {
    let said = of_each(&cases("accepted"), |values| {
        text_with(values, &[])
            .err()
            .map(|reason| format!("{values}: {reason}"))
    });
    let wrong: Vec<_> = said.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn all_missing_values_are_reported_at_once() {
    let nothing = json!({
        "image": {"registry": ""}, "routing": {"baseDomain": ""}, "proxy": {"tls": {"secretName": ""}}, "oidc": {"issuerUrl": ""},
    });
    let reason = text_with(&nothing, &[]).unwrap_err();
    for setting in [
        "image.registry",
        "routing.baseDomain",
        "proxy.tls.secretName",
        "oidc.issuerUrl",
    ] {
        assert!(reason.contains(setting), "{setting}: {reason}");
    }
}
