//! Dependencies between crates -> those that docs/architecture.md does not allow (IO).

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use tree::{below, root};

/// Allowed dependencies of each crate in the table.
type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// Reads rows such as ``| `crates/cli` | what it does | api, rules |``; the last cell of such a row is the list.
fn allowed(page: &str) -> Dependencies {
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    rows.filter_map(|row| {
        let (folder, cells) = row.split_once("` | ")?;
        let name = folder
            .strip_prefix("crates/")
            .or_else(|| (folder == "e2e").then_some("e2e"))?;
        let (_, list) = cells.rsplit_once(" | ")?;
        let list = list
            .split(", ")
            .filter(|one| *one != "-")
            .map(str::to_owned)
            .collect();
        Some((name.to_owned(), list))
    })
    .collect()
}

/// Reads `cargo metadata --no-deps`: members of the workspace and their dependencies on other members, with the kind of each.
fn actual(metadata: &Value) -> BTreeMap<String, Vec<(String, bool)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let dependencies_of = |package: &Value| {
        let dependencies = list(&package["dependencies"]).into_iter();
        // Only members are named by path.
        dependencies
            .filter(|one| one["path"].is_string())
            .map(|one| (text(&one["name"]), one["kind"] == "dev"))
            .collect()
    };
    list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["name"]), dependencies_of(package)))
        .collect()
}

/// The violations. Every crate may have a dev-dependency on testkit, except the crates that testkit depends on.
fn forbidden(allowed: &Dependencies, actual: &BTreeMap<String, Vec<(String, bool)>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, dependencies) in actual {
        let Some(list) = allowed.get(from) else {
            wrong.push(format!("{from} is not in the table of docs/architecture.md"));
            continue;
        };
        for (to, dev) in dependencies {
            let test_help = *dev && to == "testkit" && from != "api";
            if !list.contains(to) && !test_help {
                wrong.push(format!("{from} depends on {to}"));
            }
        }
    }
    let gone = allowed.keys().filter(|name| !actual.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name} is in the table of docs/architecture.md but is no crate")));
    wrong
}

#[test]
fn crates_depend_on_each_other_only_as_the_architecture_allows() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata = serde_json::from_slice(&output.stdout).unwrap();
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (allowed, actual) = (allowed(&page), actual(&metadata));
    assert!(
        actual["gateway"].contains(&("rules".to_owned(), false)),
        "{actual:?}"
    );
    let wrong = forbidden(&allowed, &actual);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_dependency_between_servers_none_on_the_tool_and_no_cycle() {
    let allowed = allowed(&fs::read_to_string(root().join("docs/architecture.md")).unwrap());
    let servers = ["operator", "webhook", "gateway"];
    for (from, list) in &allowed {
        assert!(!list.contains("xtask"), "{from} -> xtask");
        // The benchmark measures servers.
        let server = servers
            .iter()
            .find(|server| from != "bench" && list.contains(**server));
        assert_eq!(server, None, "{from} -> a server");
        assert!(
            list.iter().all(|to| !allowed[to].contains(from)),
            "{from} and one of {list:?} point at each other"
        );
    }
    for (from, to) in [("kit", "api"), ("api", "rules"), ("e2e", "rules")] {
        assert!(!allowed[from].contains(to), "{from} -> {to}");
    }
}

#[test]
fn files_and_folders_that_the_architecture_names_are_there() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let there = [
        below(&root().join("crates")),
        below(&root().join("e2e")),
        below(&root().join("charts")),
    ]
    .concat();
    let quoted = page.split('`').skip(1).step_by(2);
    let named: Vec<&str> = quoted
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "rs") || name.ends_with('/'))
        .collect();
    let missing = named
        .iter()
        .filter(|name| !there.iter().any(|path| path.ends_with(name)));
    let missing: Vec<_> = missing.filter(|name| !name.starts_with('/')).collect();
    assert!(missing.is_empty(), "docs/architecture.md names {missing:?}");
    assert!(named.len() > 40, "the map was read: {named:?}");
}

#[test]
fn libraries_that_are_optimised_for_tests_exist() {
    let [manifest, lock] =
        ["Cargo.toml", "Cargo.lock"].map(|file| fs::read_to_string(root().join(file)).unwrap());
    let optimised = manifest
        .lines()
        .filter_map(|line| line.strip_suffix(" = { opt-level = 1 }"));
    let unknown: Vec<&str> = optimised
        .clone()
        .filter(|name| !lock.contains(&format!("\nname = \"{name}\"\n")))
        .collect();
    assert!(unknown.is_empty() && optimised.count() > 20, "{unknown:?}");
}
