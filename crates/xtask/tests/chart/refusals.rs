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
