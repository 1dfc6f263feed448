//! Containers, pod fields and program of a profile -> parts of template, execution profile (pure).

use std::collections::BTreeMap;

use serde_json::Value;

use super::out::{Out, list};
use super::traits::{Leaf, Traits};
use super::{amounts, env, items};
use crate::draft::Target;
use crate::ledger::Outcome;
use crate::path::{Path, Step};
use crate::table::is_empty;

/// What a hub starts in a server.
const SINGLE_USER: &str = "jupyterhub-singleuser";

/// Init containers, and those that run beside the application (`stays`). `volumes`: what volumes that they may mount are called here.
pub(super) fn containers(
    leaves: &[Leaf],
    stays: bool,
    volumes: &BTreeMap<String, String>,
    out: &mut Out<'_>,
) {
    let offset = if stays { 1000 } else { 0 };
    for (index, item) in items::of(leaves).iter().enumerate() {
        let dest = Path::of("spec.defaultInitContainers").index(offset + index);
        let Some(name) = item.leaf("name").filter(|leaf| leaf.value.is_string()) else {
            out.lose(&item.leaves, "a container must have a name");
            continue;
        };
        if stays {
            out.put(name, Target::Template, dest.key("restartPolicy"), "Always");
        }
        for leaf in &item.leaves {
            container(leaf, &item.value, &dest, volumes, out);
        }
    }
    let others = leaves
        .iter()
        .filter(|leaf| leaf.below.is_empty() && !is_empty(&leaf.value));
    out.lose(others, "must be a list of containers");
}

/// One leaf of a container.
fn container(
    leaf: &Leaf,
    container: &Value,
    dest: &Path,
    volumes: &BTreeMap<String, String>,
    out: &mut Out<'_>,
) {
    let first = |field: &str| matches!(leaf.below.first(), Some(Step::Key(key)) if key == field);
    let index = leaf.below.get(1);
    let of_item = |list: &str, field: &str| match index {
        Some(Step::Index(index)) => container[list][*index][field].as_str(),
        _ => None,
    };
    let is_field = |field: &str| matches!(leaf.below.get(2..), Some([Step::Key(key)]) if key == field);
    if first("env") && is_field("value") {
        let at = dest.then(leaf.below[..2].iter().cloned());
        let name = of_item("env", "name").unwrap_or_default();
        env::value(leaf, name, &at, out);
    } else if first("volumeMounts") && index.is_some() {
        let Some(ours) = of_item("volumeMounts", "name").and_then(|name| volumes.get(name)) else {
            return out.lose([leaf], "an init container mounts the home and /dev/shm alone");
        };
        let value = if is_field("name") {
            Value::from(ours.as_str())
        } else {
            leaf.value.clone()
        };
        out.put(
            leaf,
            Target::Template,
            dest.then(leaf.below.iter().cloned()),
            value,
        );
    } else {
        out.shift([leaf], Target::Template, dest);
    }
}

/// Further fields of the pod.
pub(super) fn config(leaves: &[Leaf], out: &mut Out<'_>) {
    for item in items::of(leaves) {
        let Step::Key(key) = &item.key else {
            out.lose(&item.leaves, "must be a field by name");
            continue;
        };
        let (to, field) = match key.as_str() {
            "runtimeClassName" | "runtime_class_name" => (Target::Profile, "spec.runtimeClassName"),
            "priorityClassName" | "priority_class_name" => (Target::Profile, "spec.priorityClassName"),
            "securityContext" | "security_context" => (Target::Template, "spec.defaultPodSecurityContext"),
            "nodeSelector" | "node_selector" => (Target::Template, "spec.defaultNodeSelector"),
            "affinity" => (Target::Template, "spec.defaultAffinity"),
            "tolerations" => {
                list(&item.leaves, &Path::of("spec.defaultTolerations"), 500, out);
                continue;
            }
            _ => {
                plain(key, &item.leaves, out);
                continue;
            }
        };
        out.shift(&item.leaves, to, &Path::of(field));
    }
}

/// A field of the pod that no field here takes.
fn plain(key: &str, leaves: &[Leaf], out: &mut Out<'_>) {
    let same = match key {
        "hostNetwork"
        | "hostPID"
        | "hostIPC"
        | "enableServiceLinks"
        | "automountServiceAccountToken"
        | "shareProcessNamespace" => Value::from(false),
        "dnsPolicy" => Value::from("ClusterFirst"),
        "schedulerName" => Value::from("default-scheduler"),
        "restartPolicy" => Value::from("OnFailure"),
        _ => Value::Null,
    };
    for leaf in leaves {
        if is_empty(&leaf.value) {
            out.tell([leaf], Outcome::SameByDefault, "it is empty");
        } else if leaf.below.is_empty() && leaf.value == same {
            out.tell([leaf], Outcome::SameByDefault, "it is so here");
        } else {
            out.lose(
                [leaf],
                "no field here says it: the operator decides about this part of a pod",
            );
        }
    }
}

/// Further fields of the container.
pub(super) fn container_config(leaves: &[Leaf], out: &mut Out<'_>) {
    for item in items::of(leaves) {
        match &item.key {
            Step::Key(key) if key == "securityContext" || key == "security_context" => {
                let at = Path::of("spec.defaultContainerSecurityContext");
                out.shift(&item.leaves, Target::Template, &at);
            }
            _ => {
                let why = "no field here says it: the operator decides about this part of the container";
                out.lose(item.leaves.iter().filter(|leaf| !is_empty(&leaf.value)), why);
            }
        }
    }
}

/// What runs, where no hub starts it.
pub(super) fn program(traits: &mut Traits, out: &mut Out<'_>) {
    let command = traits.take("cmd");
    if command.len() == 1 && command[0].value == SINGLE_USER {
        let why = "the template's defaultContainerConfig starts JupyterLab without a hub";
        out.tell(&command, Outcome::SameByDefault, why);
    } else {
        let why = "it starts a server of a hub: write what starts the application without one into the template's defaultContainerConfig";
        out.lose(command.iter().filter(|leaf| !is_empty(&leaf.value)), why);
    }
    for leaf in traits.take("default_url") {
        if ["/lab", "/lab/", ""].map(Value::from).contains(&leaf.value) {
            out.tell([&leaf], Outcome::SameByDefault, "it is so here");
        } else {
            let why = "add --ServerApp.default_url= with it to the template's defaultContainerConfig.args";
            out.lose([&leaf], why);
        }
    }
    for leaf in traits.take("start_timeout") {
        let at = Path::of("spec.defaultLimits.startTimeoutMinutes");
        match amounts::minutes(&leaf.value) {
            Some(minutes) => out.put(&leaf, Target::Template, at, minutes),
            None => out.lose([&leaf], "must be a number of seconds"),
        }
    }
}
