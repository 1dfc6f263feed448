//! `singleuser.extraFiles` -> mounts of a Secret, which a step copies from the chart's (pure).
//!
//! The chart has the files in a Secret. What is in them is not read: it may be anything.

use serde_json::json;

use super::common::Chart;
use super::out::Out;
use super::secrets::FILES;
use super::traits::Leaf;
use crate::draft::Target;
use crate::path::{Path, Step};
use crate::pod_template::{APPLICATION, field};
use crate::table::is_empty;

/// Name of its volume.
const VOLUME: &str = "imported-files";
/// Files follow the other volumes and mounts.
const AFTER: usize = 5000;
/// Fields with what is in a file.
const CONTENTS: [&str; 3] = ["stringData", "data", "binaryData"];

/// Takes the files.
pub(super) fn take(chart: Chart<'_>, out: &mut Out<'_>) {
    let files = chart.at("singleuser.extraFiles");
    let volume = field("volumes").index(AFTER);
    let all = files.get(chart.value).as_object().into_iter().flatten();
    let mut first = None;
    for (index, (key, file)) in all.enumerate() {
        let at = files.key(key);
        let has_contents = CONTENTS.iter().any(|field| !is_empty(&file[*field]));
        let Some(path) = file["mountPath"].as_str().filter(|_| has_contents) else {
            continue;
        };
        first.get_or_insert_with(|| at.key("mountPath"));
        let mut item = json!({"key": key, "path": key});
        let mut from = Vec::new();
        for field in CONTENTS.into_iter().chain(["mode"]) {
            from.extend(out.ledger.leaves(out.object, &at.key(field)));
        }
        if !is_empty(&file["mode"]) {
            item["mode"] = file["mode"].clone();
        }
        let of_item = Leaf {
            below: Vec::new(),
            from,
            value: item,
        };
        let dest = volume.key("secret").key("items").index(index);
        out.put(&of_item, Target::Template, dest, of_item.value.clone());
        let mount = Leaf {
            below: vec![Step::Index(index)],
            from: vec![at.key("mountPath")],
            value: json!({"name": VOLUME, "mountPath": path, "subPath": key}),
        };
        let dest = Path::of(APPLICATION).key("volumeMounts").index(AFTER + index);
        out.put(&mount, Target::Template, dest, mount.value.clone());
    }
    if let Some(path) = first {
        let from = [(out.object, path)];
        for (at, text) in [
            (volume.key("name"), VOLUME),
            (volume.key("secret").key("secretName"), FILES),
        ] {
            out.draft.put(from.clone(), Target::Template, at, text);
        }
        out.secrets.has_files = true;
    }
}
