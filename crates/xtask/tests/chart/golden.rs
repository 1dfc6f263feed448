//! renderings -> the checked-in files in `golden` (IO: runs `helm` and `diff`).
//!
//! `default.yaml` is whole. The file of another rendering names the objects that it lacks, and has the lines that differ from `default.yaml`.
//! An object `x.namespace` differs from `x` there. The dashboard, which templates leave as it is, is in none of the files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::render::{Folder, Rendering, here, parse, read, rendering};

/// Renderings with a file, each of another kind. Those of the other examples are bound by the other tests alone.
const KEPT: [&str; 8] = [
    "default",
    "path-mode",
    "everything",
    "operator-and-webhook",
    "cluster-half",
    "one-namespace",
    "openshift",
    "pre-pull",
];

/// A file of the chart that is text in an object.
const DASHBOARD: &str = "monitoring/dashboard.json";

/// Texts of objects by kind, namespace and name.
fn parts(rendering: &Rendering) -> BTreeMap<String, String> {
    let dashboard = read(&format!("charts/jupyter-k8s/{DASHBOARD}"));
    let dashboard: Vec<_> = dashboard.lines().map(|line| format!("    {line}")).collect();
    let text = rendering
        .text
        .replace(&dashboard.join("\n"), &format!("    # {DASHBOARD}"));
    let texts = text.split("---\n").filter(|text| !text.trim().is_empty());
    let named = texts.filter_map(|text| {
        let object: Value = parse(text).into_iter().next()?;
        let place = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let key = format!("{} {place}/{name}", object["kind"].as_str()?);
        Some((key, text.trim_end().to_owned()))
    });
    named.collect()
}

/// Objects one after the other, each below a line with its kind, namespace and name.
fn listed<'a>(objects: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut text = String::new();
    for (key, object) in objects {
        let _ = writeln!(text, "---\n# {key}\n{object}");
    }
    text
}

/// Lines that differ, below the object in which they are. Without numbers of lines, which each change of the default would move.
fn differences(default: &str, own: &str) -> String {
    let folder = Folder::new();
    let files = [("default", default), ("own", own)].map(|(name, text)| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file
    });
    let output = Command::new("diff").arg("-U1").args(files).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "diff: {output:?}");
    let says = String::from_utf8(output.stdout).unwrap();
    let mut text = String::new();
    // The first two lines name the files.
    for line in says.lines().skip(2) {
        let Some(place) = line.strip_prefix("@@ -") else {
            let _ = writeln!(text, "{line}");
            continue;
        };
        let number = place.split([',', ' ']).next().unwrap();
        let before = default.lines().take(number.parse().unwrap());
        let object = before
            .zip(default.lines().skip(1))
            .filter(|(line, _)| *line == "---");
        let _ = writeln!(
            text,
            "@@ {}",
            object.last().map_or("", |(_, key)| key.trim_start_matches("# "))
        );
    }
    text
}

fn golden(rendering: &Rendering, default: &BTreeMap<String, String>) -> String {
    let own = parts(rendering);
    if rendering.name == "default" {
        return listed(own.iter());
    }
    // Cluster-wide objects of an installation in one namespace have its name after a dot.
    let counterpart = |key: &'_ String| {
        let same = default.get_key_value(key);
        same.or_else(|| default.get_key_value(key.rsplit_once('.')?.0))
    };
    let compared = own.keys().filter_map(|key| Some((key, counterpart(key)?)));
    let compared: BTreeMap<_, _> = compared.collect();
    let mut text = String::new();
    for key in default.keys() {
        if !compared.values().any(|(of_default, _)| *of_default == key) {
            let _ = writeln!(text, "Without {key}");
        }
    }
    let common = listed(compared.iter().map(|(key, (_, object))| (*key, *object)));
    text + &differences(&common, &listed(own.iter()))
}

/// The file of a rendering, below `golden`.
fn file(name: &str) -> String {
    let kind = if name == "default" { "yaml" } else { "diff" };
    format!("{name}.{kind}")
}

#[test]
fn every_rendering_is_the_checked_in_one() {
    let default = parts(rendering("default"));
    let mut different = Vec::new();
    for name in KEPT {
        let file = file(name);
        let path = here("golden").join(&file);
        let now = golden(rendering(name), &default);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &now).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        if kept != now {
            let line = kept
                .lines()
                .zip(now.lines())
                .position(|(one, other)| one != other);
            let line = line.unwrap_or_else(|| kept.lines().count().min(now.lines().count()));
            let of = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
            different.push(format!("{file}:{}: {} -> {}", line + 1, of(&kept), of(&now)));
        }
    }
    let files = fs::read_dir(here("golden")).unwrap();
    assert_eq!(files.count(), KEPT.len(), "a file in golden is of no rendering");
    assert!(
        different.is_empty(),
        "if these changes are wanted, write the files by `UPDATE_EXPECT=1 ./justw test crates chart::golden` and review them: {different:#?}"
    );
}
