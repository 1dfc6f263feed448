//! renderings -> the checked-in files in `golden` (IO: runs `helm`).
//!
//! `default.yaml` is whole. The file of another rendering has the objects that differ from those in `default.yaml`, whole, and at its head the
//! names of those that it lacks: together they are the rendering.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::render::{Rendering, here, parse, rendering};

/// Renderings with a file. Those of the other examples are bound by the other tests alone.
const KEPT: [&str; 12] = [
    "default",
    "path-mode",
    "everything",
    "operator-and-webhook",
    "cluster-half",
    "values-local",
    "one-namespace",
    "bundled-provider",
    "ingress",
    "gateway-api",
    "k3s",
    "openshift",
];

/// Texts of objects by kind, namespace and name.
fn parts(rendering: &Rendering) -> BTreeMap<String, String> {
    let texts = rendering
        .text
        .split("---\n")
        .filter(|text| !text.trim().is_empty());
    let named = texts.filter_map(|text| {
        let object: Value = parse(text).into_iter().next()?;
        let place = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let key = format!("{} {place}/{name}", object["kind"].as_str()?);
        Some((key, text.trim_end().to_owned()))
    });
    named.collect()
}

fn golden(rendering: &Rendering, default: &BTreeMap<String, String>) -> String {
    let own = parts(rendering);
    let mut text = String::new();
    let is_default = rendering.name == "default";
    for key in default.keys().filter(|key| !own.contains_key(*key)) {
        let _ = writeln!(text, "# Without {key}");
    }
    for (key, object) in &own {
        if is_default || default.get(key) != Some(object) {
            let _ = writeln!(text, "---\n{object}");
        }
    }
    text
}

#[test]
fn every_rendering_is_the_checked_in_one() {
    let default = parts(rendering("default"));
    let mut different = Vec::new();
    for name in KEPT {
        let file = here(&format!("golden/{name}.yaml"));
        let now = golden(rendering(name), &default);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &now).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        if kept != now {
            let line = kept
                .lines()
                .zip(now.lines())
                .position(|(one, other)| one != other);
            let line = line.unwrap_or_else(|| kept.lines().count().min(now.lines().count()));
            let of = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
            different.push(format!("{name}.yaml:{}: {} -> {}", line + 1, of(&kept), of(&now)));
        }
    }
    let files = fs::read_dir(here("golden")).unwrap();
    assert_eq!(files.count(), KEPT.len(), "a file in golden is of no rendering");
    assert!(
        different.is_empty(),
        "if these changes are wanted, write the files by UPDATE_EXPECT=1 and review them: {different:#?}"
    );
}
