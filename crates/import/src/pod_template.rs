//! Volumes, mounts and containers of a pod -> a template's `podTemplate` (pure).
//!
//! A volume, a mount or a probe comes over as a whole or is lost: half of one would be another one.

use std::collections::BTreeSet;

use api::names::{APPLICATION_CONTAINER, SHM_PATH, is_own_volume};
use rules::Violation;
use serde_json::Value;

use crate::container::{self, Known, Out};
use crate::draft::{Draft, Target};
use crate::ledger::Ledger;
use crate::path::Path;
use crate::table::{Place, is_empty};

/// The pod of a template.
pub(crate) const POD: &str = "spec.podTemplate";
/// The application's container, which comes first.
pub(crate) const APPLICATION: &str = "spec.podTemplate.spec.containers[0]";

/// What a container beside the application asks for, where the source has no amount: `podTemplate` must have one.
const REQUESTS: [(&str, &str); 2] = [("cpu", "10m"), ("memory", "64Mi")];

/// Why a mount is lost that names no volume.
pub(crate) const NAMELESS: &str = "a mount must name its volume";
/// Why a mount is lost whose volume is not there.
pub(crate) const UNKNOWN: &str = "the pod has no volume of this name";
/// Why a volume is lost that nothing mounts.
pub(crate) const UNMOUNTED: &str = "no container that comes over mounts it";
/// Why a field of a volume or mount is lost.
pub(crate) const NO_SETTING: &str = "a home, a disk, a Secret and /dev/shm have no such setting here: write volume and mount into the template's podTemplate";

/// A field of the pod.
pub(crate) fn field(name: &str) -> Path {
    Path::of("spec.podTemplate.spec").key(name)
}

/// A volume's name: that of an own volume of every pod is another one.
pub(crate) fn volume_name(name: &str) -> String {
    if is_own_volume(name) {
        format!("imported-{name}")
    } else {
        name.to_owned()
    }
}

/// Puts what is at the place's root as a whole. `name`: its name here, if it has one.
pub(crate) fn put_whole(
    place: &Place<'_>,
    name: Option<&str>,
    dest: Path,
    ledger: &Ledger,
    draft: &mut Draft,
) {
    let leaves = ledger.leaves(place.object, place.root);
    let from = leaves.into_iter().map(|leaf| (place.object, leaf));
    let mut value = place.root.get(place.value).clone();
    remove_nulls(&mut value);
    if let (Some(name), Some(fields)) = (name, value.as_object_mut()) {
        fields.insert("name".to_owned(), name.into());
    }
    draft.put(from, Target::Template, dest, value);
}

/// Null says nothing, and is no value of these fields.
pub(crate) fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, inner| !inner.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// Puts a container that runs beside the application or before it. `volumes`: what a volume that it may mount is called here.
pub(crate) fn container(
    place: &Place<'_>,
    dest: &Path,
    volumes: impl Fn(&str) -> Option<String>,
    known: &Known,
    out: &mut Out<'_>,
) {
    container::container(place, (Target::Template, dest), false, volumes, known, out);
    let amounts = place.root.key("resources");
    let name = (place.object, place.root.key("name"));
    for (resource, request) in missing_requests(amounts.get(place.value)) {
        let at = dest.key("resources").key("requests").key(resource);
        out.draft.put([name.clone()], Target::Template, at, request);
    }
}

/// Requests that `podTemplate` needs beside these amounts.
pub(crate) fn missing_requests(amounts: &Value) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_set = |name: &str| {
        let mut maps = ["requests", "limits"].into_iter();
        maps.any(|map| container::quantity(&amounts[map][name]).is_some())
    };
    let missing: Vec<_> = REQUESTS.into_iter().filter(|(name, _)| !is_set(name)).collect();
    missing.into_iter()
}

/// Names the application's container, if something of the source is in it.
pub(crate) fn name_application(draft: &mut Draft) {
    if draft.has(Target::Template, APPLICATION) {
        let at = Path::of(APPLICATION).key("name");
        draft.put([], Target::Template, at, APPLICATION_CONTAINER);
    }
}

/// Drops what breaks rules in the template, and volumes that nothing mounts then.
pub(crate) fn settle(draft: &mut Draft, check: impl Fn(&Value) -> Vec<Violation>) -> Result<(), Violation> {
    draft.settle(Target::Template, |template| {
        let mut found = check(template);
        for violation in found.iter_mut().filter(|it| is_of_mount(&it.field)) {
            violation
                .message
                .push_str("; its volume is lost, or is none of the pod");
        }
        if found.is_empty() {
            unmounted(template)
        } else {
            found
        }
    })?;
    draft.prune(Target::Template, APPLICATION);
    Ok(())
}

/// Whether a field is a mount's volume. A rule is broken by its name alone where the volume is not there.
fn is_of_mount(field: &str) -> bool {
    field.starts_with("spec.podTemplate.") && field.contains(".volumeMounts[") && field.ends_with("].name")
}

fn unmounted(template: &Value) -> Vec<Violation> {
    let pod = &template["spec"]["podTemplate"]["spec"];
    let list = |name: &str| pod[name].as_array().into_iter().flatten();
    let mounted = mounted_by(list("containers").chain(list("initContainers")));
    let volumes = list("volumes").enumerate();
    let others =
        volumes.filter(|(_, volume)| volume["name"].as_str().is_none_or(|name| !mounted.contains(name)));
    let violation = |(index, _)| {
        let at = field("volumes").index(index);
        Violation::new(at.to_string(), "", "is mounted by no container that comes over")
    };
    others.map(violation).collect()
}

/// Whether a field of a workspace, a template or a profile says all of a mount of the application: a whole claim, a whole Secret, shared memory.
pub(crate) fn is_plain(mount: &Value, volume: &Value) -> bool {
    let is_whole = is_whole(mount);
    if let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() {
        return is_whole && !name.is_empty();
    }
    if volume["secret"]["secretName"].is_string() {
        let mut fields = volume["secret"].as_object().into_iter().flatten();
        let is_usual = |(name, value): (&String, &Value)| {
            name == "secretName" || is_empty(value) || is_usual_secret(name, value)
        };
        return is_whole && fields.all(is_usual);
    }
    volume["emptyDir"].is_object() && is_at(mount, SHM_PATH)
}

/// Whether a mount is of a volume as a whole.
pub(crate) fn is_whole(mount: &Value) -> bool {
    let folders = ["subPath", "subPathExpr"];
    folders.iter().all(|field| is_empty(&mount[*field]))
}

/// Whether a field of a volume of a Secret is so without being written.
pub(crate) fn is_usual_secret(name: &str, value: &Value) -> bool {
    (name == "defaultMode" && *value == 0o644) || (name == "optional" && *value == false)
}

/// Whether a mount is at this path.
pub(crate) fn is_at(mount: &Value, wanted: &str) -> bool {
    mount["mountPath"].as_str().map(|path| path.trim_end_matches('/')) == Some(wanted)
}

/// Names of the volumes that the containers of a list mount.
pub(crate) fn mounted_by<'v>(containers: impl IntoIterator<Item = &'v Value>) -> BTreeSet<&'v str> {
    let mounts = containers
        .into_iter()
        .flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten());
    mounts.filter_map(|mount| mount["name"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_that_nothing_mounts_is_found() {
        let pod = json!({
            "volumes": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
            "containers": [{"volumeMounts": [{"name": "a"}]}], "initContainers": [{"volumeMounts": [{"name": "c"}]}],
        });
        let found = unmounted(&json!({"spec": {"podTemplate": {"spec": pod}}}));
        let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["spec.podTemplate.spec.volumes[1]"]);
        assert!(unmounted(&json!({"spec": {}})).is_empty());
    }

    #[test]
    fn a_container_asks_for_what_it_names_no_amount_of() {
        for (amounts, expected) in [
            (json!(null), vec![("cpu", "10m"), ("memory", "64Mi")]),
            (json!({"limits": {"cpu": 1}}), vec![("memory", "64Mi")]),
            (
                json!({"limits": {"cpu": "many"}, "requests": {"memory": "1Gi"}}),
                vec![("cpu", "10m")],
            ),
            (json!({"requests": {"cpu": "1", "memory": "1Gi"}}), vec![]),
        ] {
            let found: Vec<_> = missing_requests(&amounts).collect();
            assert_eq!(found, expected, "{amounts}");
        }
    }
}
