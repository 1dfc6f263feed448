//! Containers, pod fields and program of a profile -> parts of template, execution profile (pure).

use api::names::{APPLICATION_CONTAINER, HOME_VOLUME};
use serde_json::Value;

use super::fields::has_field;
use super::items::Item;
use super::out::{Out, list};
use super::traits::{Leaf, Traits};
use super::volumes::{Folder, Volumes};
use super::{amounts, env, items};
use crate::container::{NO_QUANTITY, NO_VOLUME, ROOT, needs_root, quantity};
use crate::draft::Target;
use crate::ledger::Outcome;
use crate::path::{Path, Step};
use crate::pod_template::{APPLICATION, field, missing_requests, mounted_by};
use crate::table::is_empty;

/// Fields that lists of the chart's own say.
const LISTS: [&str; 3] = ["containers", "initContainers", "volumes"];
const OWN_HOME: &str = "each container sees the home of its workspace alone";
const OF_COMMON: &str = "an init container with a variable mounts no other folder of the common claim: write the names of users out, or do it in the image";
const LIST: &str = "write it into extraContainers, initContainers or storage.extraVolumes, and import again";

/// What a hub starts in a server.
const SINGLE_USER: &str = "jupyterhub-singleuser";

/// Init containers, and those that run beside the application (`stays`). Texts with fields of `KubeSpawner` need variables, which a
/// `podTemplate` has not.
pub(super) fn containers(leaves: &[Leaf], stays: bool, volumes: &mut Volumes<'_>, out: &mut Out<'_>) {
    for (index, item) in items::of(leaves).iter().enumerate() {
        let Some(name) = item.leaf("name").filter(|leaf| leaf.value.is_string()) else {
            out.lose(&item.leaves, "a container must have a name");
            continue;
        };
        if needs_root(&item.value) {
            out.lose(&item.leaves, ROOT);
            continue;
        }
        let mounted = mounted_by([&item.value]);
        let common = item.value["volumeMounts"].as_array().into_iter().flatten();
        let common: Vec<_> = common.map(|mount| volumes.of_common(mount)).collect();
        let needs_volume = mounted.iter().any(|name| volumes.is_in_pod(name))
            || common.iter().flatten().any(|folder| *folder != Folder::Home);
        let shares_memory = mounted.iter().any(|name| volumes.is_shared_memory(name));
        let is_in_pod =
            (needs_volume || (stays && !shares_memory)) && !has_field(&without_homes(&item.value, &common));
        let dest = if is_in_pod {
            let list = if stays { "containers" } else { "initContainers" };
            // The application's container is the first.
            let dest = field(list).index(index + 1);
            for (resource, request) in missing_requests(&item.value["resources"]) {
                let at = dest.key("resources").key("requests").key(resource);
                out.put(name, Target::Template, at, request);
            }
            dest
        } else {
            let offset = if stays { 1000 } else { 0 };
            let dest = Path::of("spec.defaultInitContainers").index(offset + index);
            if stays {
                out.put(name, Target::Template, dest.key("restartPolicy"), "Always");
            }
            dest
        };
        for leaf in &item.leaves {
            container(leaf, item, &dest, is_in_pod, volumes, out);
        }
    }
    let others = leaves
        .iter()
        .filter(|leaf| leaf.below.is_empty() && !is_empty(&leaf.value));
    out.lose(others, "must be a list of containers");
}

/// The container without the folder of each mount that is the home of the server, whatever the user is called.
fn without_homes(container: &Value, common: &[Option<Folder>]) -> Value {
    let mut container = container.clone();
    for (index, folder) in common.iter().enumerate() {
        if matches!(folder, Some(Folder::Home | Folder::HomeElsewhere)) {
            container["volumeMounts"][index]["subPath"] = Value::Null;
        }
    }
    container
}

/// One leaf of a container.
fn container(
    leaf: &Leaf,
    item: &Item,
    dest: &Path,
    is_in_pod: bool,
    volumes: &mut Volumes<'_>,
    out: &mut Out<'_>,
) {
    let first = |field: &str| matches!(leaf.below.first(), Some(Step::Key(key)) if **key == *field);
    let index = leaf.below.get(1);
    let of_item = |list: &str, field: &str| match index {
        Some(Step::Index(index)) => item.value[list][*index][field].as_str(),
        _ => None,
    };
    let is_field = |field: &str| matches!(leaf.below.get(2..), Some([Step::Key(key)]) if **key == *field);
    let at = dest.then(leaf.below.iter().cloned());
    let folder = match (first("volumeMounts"), index) {
        (true, Some(Step::Index(index))) => volumes.of_common(&item.value["volumeMounts"][*index]),
        _ => None,
    };
    if first("env") && is_field("value") {
        let at = dest.then(leaf.below[..2].iter().cloned());
        let name = of_item("env", "name").unwrap_or_default();
        env::value(leaf, name, &at, out);
    } else if let Some(folder) = folder {
        let name = of_item("volumeMounts", "name").unwrap_or_default();
        match folder {
            Folder::Home if !is_in_pod => out.tell([leaf], Outcome::SameByDefault, OWN_HOME),
            Folder::Home | Folder::HomeElsewhere if is_in_pod && is_field("subPath") => {
                out.tell([leaf], Outcome::SameByDefault, OWN_HOME);
            }
            _ if !is_in_pod => out.lose([leaf], OF_COMMON),
            Folder::Other if is_field("name") => {
                out.put(leaf, Target::Template, at, volumes.mount_common(name));
            }
            _ if is_field("name") => out.put(leaf, Target::Template, at, HOME_VOLUME),
            _ => out.put(leaf, Target::Template, at, leaf.value.clone()),
        }
    } else if first("volumeMounts") && index.is_some() {
        let ours = of_item("volumeMounts", "name").and_then(|name| {
            if is_in_pod {
                volumes.mount(name)
            } else {
                volumes.own_name(name)
            }
        });
        let Some(ours) = ours else {
            return out.lose([leaf], NO_VOLUME);
        };
        let value = if is_field("name") {
            Value::from(ours)
        } else {
            leaf.value.clone()
        };
        out.put(leaf, Target::Template, at, value);
    } else if first("resources")
        && leaf.below.len() == 3
        && (leaf.value.is_string() || leaf.value.is_number())
    {
        match quantity(&leaf.value) {
            Some(text) => out.put(leaf, Target::Template, at, text),
            None => out.lose([leaf], NO_QUANTITY),
        }
    } else if leaf.below == Path::of("name").0 && leaf.value == APPLICATION_CONTAINER {
        let name = format!("imported-{APPLICATION_CONTAINER}");
        out.put(leaf, Target::Template, at, name);
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
        let (to, field) = match &**key {
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
                plain(key, &item, out);
                continue;
            }
        };
        out.shift(&item.leaves, to, &Path::of(field));
    }
}

/// A field of the pod that only a `podTemplate` has.
fn plain(key: &str, item: &Item, out: &mut Out<'_>) {
    let key = camel_case(key);
    let same = match key.as_str() {
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
    if item.leaves.iter().all(|leaf| is_empty(&leaf.value)) {
        out.tell(&item.leaves, Outcome::SameByDefault, "it is empty");
    } else if item.value == same {
        out.tell(&item.leaves, Outcome::SameByDefault, "it is so here");
    } else if LISTS.contains(&key.as_str()) {
        out.lose(&item.leaves, LIST);
    } else {
        out.put_whole(item, None, field(&key));
    }
}

/// A name of Python as one of Kubernetes.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut found = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        found.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        found.push_str(letters.as_str());
    }
    found
}

/// Further fields of the container.
pub(super) fn container_config(leaves: &[Leaf], out: &mut Out<'_>) {
    for item in items::of(leaves) {
        match &item.key {
            Step::Key(key) if ["securityContext", "security_context"].contains(&&**key) => {
                let at = Path::of("spec.defaultContainerSecurityContext");
                out.shift(&item.leaves, Target::Template, &at);
            }
            Step::Key(key) if !item.leaves.iter().all(|leaf| is_empty(&leaf.value)) => {
                let dest = Path::of(APPLICATION).key(&camel_case(key));
                out.put_whole(&item, None, dest);
            }
            _ => out.tell(&item.leaves, Outcome::SameByDefault, "it is empty"),
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
