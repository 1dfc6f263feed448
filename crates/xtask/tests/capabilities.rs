//! docs/capabilities.md and docs/refusals.md claim only what a test with that name shows.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The pages with such tables.
const PAGES: [&str; 2] = ["docs/capabilities.md", "docs/refusals.md"];

/// Rows of the product's list that are claimed: none is dropped by the way.
const ROWS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 19, 20, 21, 22, 23, 24, 25, 27, 28, 34, 35, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 65, 74, 75, 76, 77,
    80, 84, 85,
];

/// `path::function` of a claim, as it stands between backquotes.
fn claims(page: &str) -> Vec<(String, String, String)> {
    page.lines()
        .filter(|line| {
            line.starts_with("| ") && line.chars().nth(2).is_some_and(|first| first.is_ascii_digit())
        })
        .flat_map(|line| {
            let row = line
                .trim_start_matches("| ")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned();
            line.split('`')
                .skip(1)
                .step_by(2)
                .filter_map(move |claim| {
                    let (path, function) = claim.split_once("::")?;
                    Some((row.clone(), path.to_owned(), function.to_owned()))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_claimed_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let claims: Vec<_> = PAGES
        .iter()
        .flat_map(|page| {
            let claims = claims(&fs::read_to_string(root.join(page)).unwrap());
            assert!(claims.len() > 10, "{page} lists claims");
            claims
        })
        .collect();
    let missing: BTreeSet<_> =
        claims
            .iter()
            .filter(|(_, path, function)| {
                let source = fs::read_to_string(root.join(path)).unwrap_or_default();
                let Some(at) = source.find(&format!("fn {function}(")) else {
                    return true;
                };
                // The attribute stands right above, with or without `async`.
                let before = &source[..at];
                !before.lines().rev().take(4).any(|line| {
                    line.contains("test]") || line.contains("::test(") || line.contains("proptest!")
                })
            })
            .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn every_row_of_the_table_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    for name in PAGES {
        let page = fs::read_to_string(root.join(name)).unwrap();
        let claimed: BTreeSet<_> = claims(&page).into_iter().map(|(row, ..)| row).collect();
        let rows = page.lines().filter_map(|line| {
            let row = line.strip_prefix("| ")?.split(' ').next()?;
            row.parse::<u32>().ok().map(|_| row.to_owned())
        });
        let unproved: Vec<_> = rows.filter(|row| !claimed.contains(row)).collect();
        assert!(unproved.is_empty(), "rows of {name} without a test: {unproved:?}");
    }
}

/// Whether cargo compiles this file: it is the root of a target, or a file that is compiled declares it as its module.
fn is_compiled(file: &Path) -> bool {
    is_root(file)
        || parents(file).is_some_and(|(name, parents)| {
            let declares = |parent: &PathBuf| {
                let source = fs::read_to_string(parent).unwrap_or_default();
                let called = file
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                let by_path = source.contains(&declaration(called));
                by_path
                    || source.lines().any(|line| {
                        let line = line.trim();
                        let declared = line.strip_suffix(';').and_then(|it| it.rsplit_once("mod "));
                        declared.is_some_and(|(before, it)| it == name && !before.contains("//"))
                    })
            };
            let mut declaring = parents.iter().filter(|parent| declares(parent));
            declaring.any(|parent| is_compiled(parent))
        })
}

/// Whether a file is the root of a library, a program, or a test that cargo finds by itself or is told of.
fn is_root(file: &Path) -> bool {
    let is = |end: &str| file.ends_with(end) && file.exists();
    if is("src/lib.rs") || is("src/main.rs") {
        return true;
    }
    let Some(package) = file.ancestors().find(|folder| folder.join("Cargo.toml").exists()) else {
        return false;
    };
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap_or_default();
    let Ok(inside) = file.strip_prefix(package) else {
        return false;
    };
    if manifest.contains(&format!("path = {:?}", inside.display().to_string())) {
        return true;
    }
    let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
    let found = match parts.as_slice() {
        ["tests", name] => name.strip_suffix(".rs"),
        ["tests", name, "main.rs"] => Some(*name),
        _ => None,
    };
    let told = |name: &str| manifest.contains(&format!("[[test]]\nname = {name:?}"));
    found.is_some_and(|name| !manifest.contains("autotests = false") || told(name))
}

/// How a file beside another is declared by its path.
fn declaration(file: &str) -> String {
    format!("#[path = {file:?}]\n")
}

/// The name of a file's module, and the files that may declare it.
fn parents(file: &Path) -> Option<(String, Vec<PathBuf>)> {
    let file = if file.ends_with("mod.rs") {
        file.parent()?
    } else {
        file
    };
    let folder = file.parent()?;
    let mut parents: Vec<_> = ["mod.rs", "lib.rs", "main.rs"]
        .map(|name| folder.join(name))
        .into();
    parents.push(folder.with_extension("rs"));
    // Beside it, by an attribute `path`.
    let beside = fs::read_dir(folder).into_iter().flatten().flatten();
    let beside = beside.map(|entry| entry.path()).filter(|path| path != file);
    let is_declared_by_path = |path: &PathBuf| {
        let source = fs::read_to_string(path).unwrap_or_default();
        file.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| source.contains(&declaration(name)))
    };
    parents.extend(beside.filter(is_declared_by_path));
    Some((file.file_stem()?.to_str()?.to_owned(), parents))
}

#[test]
fn every_claimed_test_is_in_a_file_that_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let files = PAGES
        .iter()
        .flat_map(|page| claims(&fs::read_to_string(root.join(page)).unwrap()))
        .map(|(_, path, _)| path);
    let left_out: BTreeSet<_> = files.filter(|path| !is_compiled(&root.join(path))).collect();
    assert!(left_out.is_empty(), "no module declares: {left_out:#?}");
}

#[test]
fn a_file_that_no_module_declares_is_found() {
    let folder = std::env::temp_dir().join(format!("xtask-capabilities-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[package]\nname = \"x\"");
    write("tests/suite/main.rs", "mod told;\n// mod silent;\n");
    write("tests/suite/told.rs", "pub(crate) mod deep;\n");
    write("src/lost.rs", "mod deep;\n");
    write("src/lib.rs", "");
    for path in [
        "tests/alone.rs",
        "tests/suite/silent.rs",
        "tests/suite/told/deep.rs",
        "src/lost/deep.rs",
    ] {
        write(path, "");
    }
    let compiled = |path: &str| is_compiled(&folder.join(path));
    assert!(compiled("tests/suite/told.rs") && compiled("tests/suite/told/deep.rs"));
    assert!(compiled("tests/alone.rs") && compiled("src/lib.rs"));
    assert!(!compiled("tests/suite/silent.rs"));
    assert!(!compiled("src/lost.rs") && !compiled("src/lost/deep.rs"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_row_that_is_claimed_is_in_the_table_once_and_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let page = fs::read_to_string(root.join(PAGES[0])).unwrap();
    let listed: Vec<u32> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    assert!(listed.is_sorted_by(|one, next| one < next), "{listed:?}");
    let dropped: Vec<_> = ROWS.iter().filter(|row| !listed.contains(row)).collect();
    assert!(dropped.is_empty(), "claimed and not in the table: {dropped:?}");
}
