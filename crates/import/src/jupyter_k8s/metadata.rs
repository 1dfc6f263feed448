//! Labels, references and volumes that several kinds have in common -> parts of ours (pure).

use api::names::{HOME_VOLUME, SHM_VOLUME};
use serde_json::Value;

use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::pod_template::POD;
use crate::read::Object;
use crate::secrets::{check_credential, check_text};
use crate::texts::change_texts;

/// Beginnings of keys that the old operator writes; in the second group they are this product's as well.
const RECORDS: [&str; 2] = ["workspace.jupyter.org/", "workspaces.jupyter.org/"];
/// Labels by which an administrator chose a default template.
const CHOSEN: [&str; 2] = [
    "workspace.jupyter.org/default-template",
    "workspace.jupyter.org/default-cluster-template",
];
/// Fields with commands, in Workspaces and templates.
const COMMANDS: [&str; 8] = [
    "spec.containerConfig",
    "spec.lifecycle",
    "spec.readinessProbe",
    "spec.initContainers",
    "spec.defaultContainerConfig",
    "spec.defaultLifecycle",
    "spec.defaultReadinessProbe",
    "spec.defaultInitContainers",
];

/// Fields with quantities that move as they are.
const QUANTITIES: [&str; 3] = ["spec.resourceBounds", "spec.primaryStorage", "spec.storage.size"];

/// Labels move, except those of the old operator.
pub(super) fn maps(number: usize, object: &Object, to: Target, ledger: &mut Ledger, draft: &mut Draft) {
    let stays = Fate::new(Outcome::Stays, "the old operator's record");
    for map in ["labels", "annotations"] {
        let at = Path::of("metadata").key(map);
        for (key, value) in at.get(&object.value).as_object().into_iter().flatten() {
            let leaf = at.key(key);
            if RECORDS.iter().any(|start| key.starts_with(start)) {
                if !CHOSEN.contains(&key.as_str()) {
                    ledger.tell(number, &leaf, &stays);
                }
            } else if map == "labels" && value.is_string() {
                draft.put([(number, leaf.clone())], to, leaf, value.clone());
            }
        }
    }
}

/// A reference of an object to another one: its name, and the namespace if it says one.
pub(super) fn reference<'o>(object: &'o Object, field: &str) -> Option<(Option<&'o str>, &'o str)> {
    let reference = Path::of(field).get(&object.value);
    let name = reference.as_str().or_else(|| reference["name"].as_str())?;
    let namespace = reference["namespace"].as_str();
    Some((namespace.filter(|namespace| !namespace.is_empty()), name))
}

/// Says of a reference to an access strategy of the input what takes its place. `is_taken`: the template has what it does to pods.
pub(super) fn strategy(number: usize, field: &str, is_taken: bool, ledger: &mut Ledger) {
    let fate = if is_taken {
        let why = "the default WorkspaceManager routes; what its WorkspaceAccessStrategy did is told there";
        Fate::new(Outcome::SameByDefault, why)
    } else {
        let why = "its template has the pod of another access strategy: write what this one adds into a template of its own";
        Fate::new(Outcome::Lost, why)
    };
    ledger.tell(number, &Path::of(field), &fate);
}

/// Where the old product's own form reported its last use, if a detection does not say where in the answer.
pub(super) fn last_use(object: &Object, field: &str, to: Target, draft: &mut Draft) {
    let detection = Path::of(field).key("detection");
    let request = detection.key("httpGet");
    let path = request.key("path").get(&object.value).as_str();
    let place = request.key("lastActivityTimestamp").key("responseBodyPath");
    if path.is_some_and(|path| !path.ends_with("/api/status")) && place.get(&object.value).is_null() {
        let at = detection.key("lastActivityTimestamp").key("responseBodyPath");
        draft.put([], to, at, "lastActiveTimestamp");
    }
}

/// What a volume that every pod had there is called here.
pub(super) fn own_volume(name: &str) -> Option<String> {
    match name {
        HOME_VOLUME => Some(HOME_VOLUME.to_owned()),
        "workspace-shm" => Some(SHM_VOLUME.to_owned()),
        _ => None,
    }
}

/// Commands show no credentials, no template has a text that begins an escape, and a number is a quantity as well.
pub(super) fn adapt(to: Target, draft: &mut Draft) {
    draft.change(to, |at, value| {
        let is_in = |fields: &[&str]| {
            let mut fields = fields.iter();
            fields.any(|field| at.below(&Path::of(field)).is_some())
        };
        match value {
            value if is_in(&[POD]) && !at.ends_with("image") => {
                change_texts(value, &|text| check_credential(text).map(|()| None))
            }
            Value::Number(number) if is_in(&QUANTITIES) => Ok(Some(number.to_string().into())),
            Value::String(text) if is_in(&COMMANDS) && !at.ends_with("image") => {
                if to == Target::Template {
                    check_text(text)?;
                } else {
                    check_credential(text)?;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    });
}
