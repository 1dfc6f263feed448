//! keys without a value -> a message or a default, never a template error (IO: runs `helm`).

use serde_json::{Value, json};

use crate::render::{chart, with_values};

/// Keys that the schema or `jk8s.missing` requires.
const REQUIRED: [&str; 4] = [
    "image.registry",
    "routing.baseDomain",
    "oidc.issuerUrl",
    "proxy.tls.secretName",
];

/// All keys of values.yaml by their path, in the order of their depth.
fn paths(values: &Value) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = vec![vec![]];
    let mut at = 0;
    while at < found.len() {
        let inner = found[at].iter().fold(values, |value, key| &value[key]);
        for key in inner.as_object().into_iter().flat_map(serde_json::Map::keys) {
            let path = found[at].iter().chain([key]).cloned().collect();
            found.push(path);
        }
        at += 1;
    }
    found.remove(0);
    found
}

/// Values in which these keys are null.
fn nulls<'a>(paths: impl IntoIterator<Item = &'a [String]>) -> Value {
    let mut values = json!({});
    for path in paths {
        let (last, around) = path.split_last().unwrap();
        let map = around.iter().fold(&mut values, |value, key| {
            let map = value.as_object_mut().unwrap();
            map.entry(key).or_insert_with(|| json!({}))
        });
        map[last] = Value::Null;
    }
    values
}

/// Keys that are refused without a value.
fn needed() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(chart().join("templates/_checks_empty.tpl")).unwrap();
    let (_, list) = text.split_once("{{- define \"jk8s.neededKeys\" -}}").unwrap();
    let (list, _) = list.split_once("{{-").unwrap();
    let keys = list.split_whitespace();
    keys.map(|path| path.split('.').map(str::to_owned).collect())
        .collect()
}

fn defaults() -> Value {
    let values = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    serde_saphyr::from_str(&values).unwrap()
}

#[test]
fn a_needed_key_without_a_value_is_refused_by_a_sentence() {
    let needed = needed();
    let known = paths(&defaults());
    for path in &needed {
        assert!(known.contains(path), "no key {}", path.join("."));
    }
    // All at once: keys of which none is below another.
    let mut rest = needed;
    while !rest.is_empty() {
        let is_above = |one: &Vec<String>, other: &Vec<String>| one != other && other.starts_with(one);
        let (later, now): (Vec<_>, Vec<_>) = rest
            .iter()
            .cloned()
            .partition(|path| rest.iter().any(|other| is_above(path, other)));
        let values = nulls(now.iter().map(Vec::as_slice));
        let reason = with_values(values, &[]).unwrap_err();
        for path in now {
            let line = format!(
                "  - {}: has no value (null): leave the key out for its default",
                path.join(".")
            );
            assert!(reason.contains(&line), "{line}: {reason}");
        }
        rest = later;
    }
}

#[test]
fn every_other_key_without_a_value_renders() {
    let needed = needed();
    let values = defaults();
    let others = paths(&values).into_iter().filter(|path| {
        let text = path.join(".");
        let by_schema =
            text.contains(".resources.") || text.starts_with("images.") || text.starts_with("templates.");
        !by_schema && !needed.contains(path) && !REQUIRED.contains(&text.as_str())
    });
    let others: Vec<Vec<String>> = others.collect();
    assert!(others.len() > 100, "{}", others.len());
    // Keys below another of these are removed with it.
    let tops = others.iter().filter(|path| {
        !others
            .iter()
            .any(|other| other != *path && path.starts_with(other))
    });
    with_values(nulls(tops.map(Vec::as_slice)), &[]).unwrap();
}
