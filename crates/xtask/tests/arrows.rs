//! Dependencies between crates, and imports between modules -> violations of the layers (IO).
//!
//! Crates may depend on each other as docs/architecture.md says. Modules may import only modules further down the list of their crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// Allowed dependencies of each crate in the table.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads rows such as ``| `crates/cli` | what it does | api, rules |``; the last cell of such a row is the list.
fn allowed(page: &str) -> Arrows {
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

/// Reads `cargo metadata --no-deps`: members of the workspace and their arrows to other members, with the kind of each.
fn actual(metadata: &Value) -> BTreeMap<String, Vec<(String, bool)>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let arrows = |package: &Value| {
        let dependencies = list(&package["dependencies"]).into_iter();
        // Only members are named by path.
        dependencies
            .filter(|one| one["path"].is_string())
            .map(|one| (text(&one["name"]), one["kind"] == "dev"))
            .collect()
    };
    list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["name"]), arrows(package)))
        .collect()
}

/// The violations. Every crate may have a dev-dependency on testkit, except the crates that testkit depends on.
fn forbidden(allowed: &Arrows, actual: &BTreeMap<String, Vec<(String, bool)>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, arrows) in actual {
        let Some(list) = allowed.get(from) else {
            wrong.push(format!("{from} is not in the table of docs/architecture.md"));
            continue;
        };
        for (to, dev) in arrows {
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
        let server = servers.iter().find(|server| list.contains(**server));
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

/// All files and folders below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| [below(&entry.path()), vec![entry.path()]].concat())
        .collect()
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
fn files_in_the_table_of_a_crate_are_in_that_crate() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (mut files, mut seen, mut missing) = (Vec::new(), 0, Vec::new());
    for line in page.lines() {
        if let Some((name, _)) = line.strip_prefix("**").and_then(|line| line.split_once("**")) {
            files = below(&root().join("crates").join(name));
            assert!(!files.is_empty(), "{name} is no crate");
        } else if line.starts_with("## ") {
            files.clear();
        }
        if files.is_empty() || !line.starts_with("| `") {
            continue;
        }
        let quoted = line.split('`').skip(1).step_by(2);
        for name in quoted.filter(|name| Path::new(name).extension().is_some_and(|end| end == "rs")) {
            seen += 1;
            missing.extend((!files.iter().any(|path| path.ends_with(name))).then_some(name));
        }
    }
    assert!(missing.is_empty(), "docs/architecture.md names {missing:?}");
    assert!(seen > 40, "the tables were read: {seen}");
}

#[test]
fn a_module_with_submodules_is_a_folder_with_mod_rs() {
    let all = [below(&root().join("crates")), below(&root().join("e2e"))].concat();
    let is_beside_its_folder =
        |path: &&PathBuf| path.extension().is_some_and(|end| end == "rs") && path.with_extension("").is_dir();
    let wrong: Vec<_> = all.iter().filter(is_beside_its_folder).collect();
    assert!(wrong.is_empty(), "move to <folder>/mod.rs: {wrong:?}");
}

#[test]
fn a_forbidden_arrow_an_unlisted_crate_and_a_stale_row_are_reported() {
    let page = "| `crates/api` | the contract | - |\n| `crates/cli` | a | pipe | api |\n| `crates/old` | x | - |\ntext\n";
    let package = |name: &str, to: &str, kind: Value| serde_json::json!({"name": name, "dependencies": [{"name": to, "path": "/x", "kind": kind}, {"name": "serde", "kind": null}]});
    let metadata = serde_json::json!({"packages": [
        package("api", "testkit", "dev".into()),
        package("cli", "api", Value::Null),
        package("cli", "api", Value::Null),
        package("new", "api", Value::Null),
    ]});
    let wrong = forbidden(&allowed(page), &actual(&metadata));
    let expected = [
        "api depends on testkit",
        "new is not in the table of docs/architecture.md",
        "old is in the table of docs/architecture.md but is no crate",
    ];
    assert_eq!(wrong, expected);
}

/// The modules in the order that a crate's `lib.rs` states: lines such as ``//! - `router`: routes of each listener`` below a line that
/// says `from top to bottom`. `None` where there is no such list.
fn layers(lib: &str) -> Option<Vec<&str>> {
    let (_, list) = lib.split_once("from top to bottom")?;
    let list = list.lines().skip(1).take_while(|line| line.starts_with("//!"));
    let names = list.filter_map(|line| Some(line.strip_prefix("//! - `")?.split_once('`')?.0));
    Some(names.collect())
}

/// The modules that `lib.rs` declares, apart from those of tests.
fn declared(lib: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in lib.lines() {
        let item = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        if let Some(name) = item.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'))
            && !is_test
        {
            names.insert(name);
        }
        is_test = line == "#[cfg(test)]";
    }
    names
}

/// Code without comments and without items under `#[cfg(test)]`.
fn production(code: &str) -> String {
    let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        // The item ends at the first `;` or `}` in the column where it begins.
        let indent = line.len() - line.trim_start().len();
        for line in lines.by_ref() {
            let is_item = line.len() - line.trim_start().len() == indent;
            if is_item && (line.ends_with(';') || line.ends_with('}')) {
                break;
            }
        }
    }
    kept
}

/// The first names of a `use` tree: `a::b` and `{a::b, c::{d, e}}` -> `a`, and `a` and `c`.
fn heads(tree: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|at| at.is_alphanumeric() || *at == '_')
            .collect()
    };
    let Some(group) = tree.strip_prefix('{') else {
        return [name(tree)].into();
    };
    let (mut depth, mut at_name, mut found) = (0_usize, true, BTreeSet::new());
    for (at, character) in group.char_indices() {
        if at_name && !character.is_whitespace() {
            found.insert(name(&group[at..]));
            at_name = false;
        }
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' => at_name = depth == 0,
            _ => {}
        }
    }
    found.remove("");
    found
}

/// Top-level modules that the code of a file names, as `crate::<module>` or with as many `super` as lead there. `depth`: how deep the
/// file's module lies; 1 for one of the top level.
fn imports(code: &str, depth: usize) -> BTreeSet<String> {
    let code = production(code);
    let mut found = BTreeSet::new();
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        let mut rest = code.as_str();
        while let Some(at) = rest.find(&root) {
            let (before, path) = (&rest[..at], &rest[at + root.len()..]);
            if !before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == ':') {
                found.extend(heads(path));
            }
            rest = path;
        }
    }
    found
}

/// The file that only lists the types of state that all modules share: every module imports it, and it names them.
const SHARED_STATE: &str = "context.rs";

/// Files of one crate, by path below `src`, in; arrows from a lower module to a higher one and modules out of the list, out.
fn upward(lib: &str, files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let Some(layers) = layers(lib) else {
        return Vec::new();
    };
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let unlisted = declared(lib).into_iter().filter(|name| place(name).is_none());
    let mut wrong: Vec<_> = unlisted
        .map(|name| format!("lib.rs lists no module {name}"))
        .collect();
    for (path, code) in files {
        let names: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let is_test = names
            .iter()
            .any(|name| name.trim_end_matches(".rs").ends_with("tests"));
        let is_exempt = is_test || path.as_os_str() == SHARED_STATE;
        let (Some(own), false) = (place(names[0].trim_end_matches(".rs")), is_exempt) else {
            continue;
        };
        let depth = names.len() - usize::from(path.ends_with("mod.rs"));
        for import in imports(code, depth) {
            if place(&import).is_some_and(|other| other < own) {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    wrong
}

#[test]
fn modules_import_only_those_further_down_the_list_of_their_crate() {
    let mut with_list = Vec::new();
    for folder in fs::read_dir(root().join("crates")).unwrap().flatten() {
        let source = folder.path().join("src");
        let Ok(lib) = fs::read_to_string(source.join("lib.rs")) else {
            continue;
        };
        if layers(&lib).is_none() {
            continue;
        }
        let rust = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs");
        let files = below(&source).into_iter().filter(rust).map(|path| {
            let code = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&source).unwrap().to_owned(), code)
        });
        let wrong = upward(&lib, &files.collect());
        assert!(wrong.is_empty(), "{}:\n{}", source.display(), wrong.join("\n"));
        with_list.push(folder.file_name());
    }
    for server in ["operator", "webhook", "gateway"] {
        assert!(with_list.contains(&server.into()), "{with_list:?}");
    }
}

#[test]
fn an_upward_import_of_any_form_is_reported_and_one_of_tests_is_not() {
    let lib = "//! Modules from top to bottom:\n//!\n//! - `top`: x\n//! - `middle`: `top` of `low`\n//! - `low`: x\n\nmod low;\nmod middle;\npub mod top;\n#[cfg(test)]\nmod fixtures;\n";
    assert_eq!(layers(lib).unwrap(), ["top", "middle", "low"]);
    assert_eq!(layers("//! nothing\nmod a;"), None);
    let judged = |path: &str, code: &str| upward(lib, &[(path.into(), code.to_owned())].into());
    let report = ["middle.rs imports top"];
    for code in [
        "use crate::top::Thing;",
        "use crate::top;",
        "use crate::{low, top};",
        "use crate::{\n    low::{self, a},\n    top::{b, c},\n};",
        "pub(crate) use crate::{top as other};",
        "fn f() { crate::top::f() }",
        "fn f(of: &crate::top::Thing) {}",
        "use super::top::Thing;",
        "use super::{low, top};",
        "#[cfg(test)]\nuse crate::low;\nuse crate::top;",
        "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n\nuse crate::top;",
    ] {
        assert_eq!(judged("middle.rs", code), report, "{code}");
    }
    for code in [
        "use crate::low::Thing;",
        "use crate::low::top;",
        "use crate::{low::{top, a}, middle};",
        "use other::top;",
        "use othercrate::top;",
        "//! crate::top\n// crate::top",
        "#[cfg(test)]\nmod tests {\n    use crate::top;\n}",
        "#[cfg(test)]\nuse crate::top;\nfn f() {}",
    ] {
        assert!(judged("middle.rs", code).is_empty(), "{code}");
    }
    let deep = "use super::super::top;";
    assert_eq!(judged("middle/a.rs", deep), ["middle/a.rs imports top"]);
    assert_eq!(judged("middle/mod.rs", "use super::top;").len(), 1);
    assert!(judged("middle/a.rs", "use super::top;").is_empty(), "middle::top");
    assert!(judged("middle/tests.rs", deep).is_empty() && judged("middle/a_tests.rs", deep).is_empty());
    assert!(judged("top.rs", "use crate::{low, middle};").is_empty());
    let unlisted = format!("{lib}mod new;\n");
    assert_eq!(
        upward(&unlisted, &BTreeMap::new()),
        ["lib.rs lists no module new"]
    );
}
