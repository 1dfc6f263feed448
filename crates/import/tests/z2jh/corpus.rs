//! Values made up in the shape of public ones, one feature each -> what is lost, and a text that comes out (pure).

use import::Hub;

use super::{CLAIM, hubs, lost, servers, z2jh};
use crate::shapes::told_once;

/// Feature, fate of the hub, values beside an image, beginnings of the paths that are lost, and a text of the files.
pub(super) type Feature = (
    &'static str,
    Hub,
    &'static str,
    &'static [&'static str],
    &'static str,
);

/// Values of lines `path: value`, with an image.
fn values(lines: &str) -> String {
    let mut root = serde_json::json!({"singleuser": {"image": {"name": "r.example.org/a", "tag": "1"}}});
    for line in lines.lines() {
        let (path, value) = line.split_once(": ").unwrap();
        let mut at = &mut root;
        for key in path.split('.') {
            at = &mut at[key];
        }
        let value: serde_json::Value = serde_saphyr::from_str(value).unwrap();
        match (at.as_object_mut(), value) {
            (Some(known), serde_json::Value::Object(more)) => known.extend(more),
            (_, value) => *at = value,
        }
    }
    root.to_string()
}

#[test]
fn each_feature_comes_over_or_is_lost_by_name() {
    let homes = CLAIM
        .replace("claim-alice", "homes")
        .replace("annotations", "labels");
    let mut wrong = Vec::new();
    for (feature, hub, lines, expected, part) in servers::FEATURES.iter().chain(hubs::FEATURES) {
        let values = values(lines);
        let files = [
            ("values.yaml", values.as_str()),
            ("pvcs.json", CLAIM),
            ("homes.json", homes.as_str()),
        ];
        let import = match z2jh(*hub, &files) {
            Ok(import) => import,
            Err(error) => {
                wrong.push(format!("{feature}: {error}"));
                continue;
            }
        };
        let whole = serde_saphyr::from_str(&values).unwrap();
        if let Err(error) = told_once(&import, &[(&whole, "Values values.yaml")]) {
            wrong.push(format!("{feature}: {error}"));
        }
        let found: Vec<_> = lost(&import).map(|entry| entry.path.as_str()).collect();
        let is_expected = |path: &&str| expected.iter().any(|start| path.starts_with(start));
        let is_found = |start: &&str| found.iter().any(|path| path.starts_with(start));
        if !found.iter().all(is_expected) || !expected.iter().all(is_found) {
            wrong.push(format!("{feature}: lost are {found:?}, not {expected:?}"));
        }
        if !import.files.iter().any(|file| file.text.contains(part)) {
            wrong.push(format!("{feature}: no file holds {part}"));
        }
        if import.files.iter().any(|file| file.text.contains("never-shown")) {
            wrong.push(format!("{feature}: a file shows a credential"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
