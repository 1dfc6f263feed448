//! A made-up hub -> the files and tables of the folders `golden/z2jh-…`; `UPDATE_EXPECT=1` writes them (IO).

use std::fs;
use std::path::Path;

use import::Hub;

use super::z2jh;
use crate::golden::{compare, table};
use crate::{calls, text};

fn check(hub: Hub, folder: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let names = ["values.yaml", "more.yaml", "pvcs.json"];
    let texts = names.map(|name| fs::read_to_string(root.join("z2jh").join(name)).unwrap());
    let files: Vec<_> = names
        .iter()
        .zip(&texts)
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let import = z2jh(hub, &files).unwrap();
    assert_eq!(
        import,
        z2jh(hub, &files).unwrap(),
        "the same input gives the same bytes"
    );
    let folder = root.join(folder);
    for file in &import.files {
        compare(&folder.join(file.name), &file.text);
    }
    let table = table(&import);
    compare(&folder.join("table.txt"), &table);
    compare(&folder.join("calls.txt"), &calls::of_all(&import));
    // Credentials are nowhere.
    assert_eq!(texts[0].matches("never-shown").count(), 5);
    let written = import.files.iter().map(|file| file.text.as_str());
    for shown in written.chain([table.as_str()]) {
        assert!(!shown.contains("never-shown"), "{shown}");
    }
    let steps = text(&import, "steps.md");
    let warning = steps.find("Never delete a user or a named server");
    assert!(
        warning.is_some_and(|at| at < steps.find("kubectl").unwrap()),
        "{steps}"
    );
}

#[test]
fn a_hub_that_stays_becomes_templates_rights_and_lines_for_its_values() {
    check(Hub::Keep, "z2jh-keep");
}

#[test]
fn a_hub_that_goes_becomes_templates_and_stopped_workspaces_of_its_users() {
    check(Hub::Replace, "z2jh-replace");
}
