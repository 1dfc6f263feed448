//! `KubeSpawner`'s settings of one profile -> parts of a template and an execution profile (pure).

use rules::Quantity;
use serde_json::{Value, json};

use super::out::{Out, list};
use super::traits::{Leaf, Traits};
use super::volumes::Home;
use super::{Hub, amounts as quantities, env, items, pod, volumes};
use crate::draft::Target;
use crate::ledger::Outcome;
use crate::path::{Path, Step};
use crate::pod_template::mounted_by;
use crate::table::is_empty;

/// The chart's memory for who sets none.
const GUARANTEE: &str = "1Gi";

const NATIVE: &str = "unchanged: the hub gives it to our spawner, too";
const NOT_SPAWNERS: &str =
    "our spawner has no such setting: write what it does into the template, or into the image";
const HUB_LABEL: &str = "a label of the hub's own, for its network policies: that of the manager counts here";

/// Settings that our spawner takes as they are, so that they stay the hub's.
const OF_HUB: [&str; 9] = [
    "args",
    "cmd",
    "debug",
    "default_url",
    "disable_user_config",
    "extra_labels",
    "http_timeout",
    "notebook_dir",
    "start_timeout",
];

/// Whether a setting stays the hub's, whatever changes it.
pub(super) fn is_of_hub(name: &str) -> bool {
    OF_HUB.contains(&name) || name == "environment"
}

/// Settings and where they go as a whole.
const MOVED: [(&str, Target, &str); 12] = [
    ("node_selector", Target::Template, "spec.defaultNodeSelector"),
    ("lifecycle_hooks", Target::Template, "spec.defaultLifecycle"),
    (
        "uid",
        Target::Template,
        "spec.defaultPodSecurityContext.runAsUser",
    ),
    (
        "gid",
        Target::Template,
        "spec.defaultPodSecurityContext.runAsGroup",
    ),
    (
        "fs_gid",
        Target::Template,
        "spec.defaultPodSecurityContext.fsGroup",
    ),
    (
        "supplemental_gids",
        Target::Template,
        "spec.defaultPodSecurityContext.supplementalGroups",
    ),
    (
        "container_security_context",
        Target::Template,
        "spec.defaultContainerSecurityContext",
    ),
    (
        "pod_security_context",
        Target::Template,
        "spec.defaultPodSecurityContext",
    ),
    ("priority_class_name", Target::Profile, "spec.priorityClassName"),
    (
        "storage_capacity",
        Target::Template,
        "spec.primaryStorage.defaultSize",
    ),
    (
        "storage_class",
        Target::Template,
        "spec.primaryStorage.defaultStorageClassName",
    ),
    ("port", Target::Template, "spec.defaultPort"),
];

/// Settings whose items follow each other in a list of ours.
const LISTS: [(&str, &str); 7] = [
    ("tolerations", "spec.defaultTolerations"),
    (
        "node_affinity_required",
        "spec.defaultAffinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
    ),
    (
        "node_affinity_preferred",
        "spec.defaultAffinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
    ),
    (
        "pod_affinity_required",
        "spec.defaultAffinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
    ),
    (
        "pod_affinity_preferred",
        "spec.defaultAffinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution",
    ),
    (
        "pod_anti_affinity_required",
        "spec.defaultAffinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
    ),
    (
        "pod_anti_affinity_preferred",
        "spec.defaultAffinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
    ),
];

/// Takes all settings.
pub(super) fn take(mut traits: Traits, home: Home<'_>, out: &mut Out<'_>) {
    let image = Path::of("spec.defaultImage");
    for leaf in traits.take("image") {
        out.put(&leaf, Target::Template, image.clone(), leaf.value.clone());
    }
    resources(&mut traits, out);
    for (name, to, field) in MOVED {
        out.shift(&traits.take(name), to, &Path::of(field));
    }
    for (name, field) in LISTS {
        list(&traits.take(name), &Path::of(field), 0, out);
    }
    let variables = Path::of("spec.environmentVariables");
    env::take(&traits.take("environment"), &variables, out);
    labels(&mut traits, out);
    identity(&mut traits, out);
    let [init, extra] = ["init_containers", "extra_containers"].map(|name| traits.take(name));
    let others: Vec<_> = items::of(&init).into_iter().chain(items::of(&extra)).collect();
    let by_others = mounted_by(others.iter().map(|item| &item.value));
    let (all, mounts) = (traits.take("volumes"), traits.take("volume_mounts"));
    let mut volumes = volumes::take(&all, &mounts, &by_others, home, out);
    pod::containers(&init, false, &mut volumes, out);
    pod::containers(&extra, true, &mut volumes, out);
    volumes.put(out);
    pod::config(&traits.take("extra_pod_config"), out);
    pod::container_config(&traits.take("extra_container_config"), out);
    if out.hub == Hub::Replace {
        pod::program(&mut traits, out);
    }
    let names: Vec<_> = traits.0.keys().cloned().collect();
    for name in names {
        let leaves = traits.take(&name);
        if out.hub == Hub::Keep && OF_HUB.contains(&name.as_str()) {
            out.tell(&leaves, Outcome::Stays, NATIVE);
        } else {
            out.lose(&leaves, NOT_SPAWNERS);
        }
    }
}

/// Requests and limits. Without any of memory, the chart's.
fn resources(traits: &mut Traits, out: &mut Out<'_>) {
    let has_guarantee = traits.0.contains_key("mem_guarantee");
    let at = Path::of("spec.defaultResources");
    let has_memory = amounts(traits, &at, &Value::Null, out);
    if !has_guarantee && !has_memory {
        for map in ["requests", "limits"] {
            let at = at.key(map).key("memory");
            out.draft.put([], Target::Template, at, GUARANTEE);
        }
    }
}

/// Requests and limits, into `at`. Where one of both is unset, the other counts for both, unless the amounts `under` these have one that fits:
/// here each container has limits. Returns whether there are any of memory.
pub(super) fn amounts(traits: &mut Traits, at: &Path, under: &Value, out: &mut Out<'_>) -> bool {
    let mut found: Vec<(&str, String, Leaf, Option<String>)> = Vec::new();
    for (name, map, resource) in [
        ("cpu_guarantee", "requests", "cpu"),
        ("cpu_limit", "limits", "cpu"),
        ("mem_guarantee", "requests", "memory"),
        ("mem_limit", "limits", "memory"),
    ] {
        for leaf in traits.take(name) {
            let amount = match resource {
                "cpu" => quantities::processors(&leaf.value),
                _ => quantities::bytes(&leaf.value),
            };
            let amount = amount.filter(|_| leaf.below.is_empty());
            found.push((map, resource.to_owned(), leaf, amount));
        }
    }
    for (name, map) in [
        ("extra_resource_guarantees", "requests"),
        ("extra_resource_limits", "limits"),
    ] {
        for leaf in traits.take(name) {
            if let [Step::Key(resource)] = leaf.below.as_slice() {
                let amount = quantities::count(&leaf.value);
                found.push((map, resource.to_string(), leaf, amount));
            } else if !is_empty(&leaf.value) {
                out.lose([&leaf], "must be an amount of each resource, by name");
            }
        }
    }
    for (map, resource, leaf, amount) in &found {
        let Some(amount) = amount else {
            out.lose([leaf], "must be an amount, such as 0.5, 2 or 4G");
            continue;
        };
        let other = if *map == "limits" { "requests" } else { "limits" };
        let is_alone = !found.iter().any(|(map, name, _, amount)| {
            (*map, name.as_str()) == (other, resource.as_str()) && amount.is_some()
        });
        let quantity = |text: &str| text.parse::<Quantity>().ok();
        let known = under[other][resource.as_str()].as_str().and_then(quantity);
        let fits = known.zip(quantity(amount)).is_some_and(|(known, amount)| {
            if other == "limits" {
                known >= amount
            } else {
                known <= amount
            }
        });
        out.put(leaf, Target::Template, at.key(map).key(resource), amount.as_str());
        if is_alone && !fits {
            out.put(
                leaf,
                Target::Template,
                at.key(other).key(resource),
                amount.as_str(),
            );
        }
    }
    found
        .iter()
        .any(|(_, name, _, amount)| name == "memory" && amount.is_some())
}

/// Labels and annotations of the pods.
fn labels(traits: &mut Traits, out: &mut Out<'_>) {
    let pairs = |leaves: &[Leaf], field: &str, out: &mut Out<'_>| {
        for (index, leaf) in leaves.iter().enumerate() {
            let dest = Path::of(field).index(index);
            match leaf.below.as_slice() {
                [Step::Key(key)] if key.starts_with("hub.jupyter.org/") => {
                    out.tell([leaf], Outcome::Stays, HUB_LABEL);
                }
                [Step::Key(key)] => {
                    // One part: a name without its value says nothing.
                    let pair = json!({"name": &**key, "value": leaf.value});
                    out.put(leaf, Target::Template, dest, pair);
                }
                _ if is_empty(&leaf.value) => {
                    out.tell([leaf], Outcome::SameByDefault, "it is empty");
                }
                _ => out.lose([leaf], "must be a text by name"),
            }
        }
    };
    pairs(&traits.take("extra_annotations"), "spec.baseAnnotations", out);
    if out.hub == Hub::Replace {
        pairs(&traits.take("extra_labels"), "spec.baseLabels", out);
    }
}

/// Account, privileges and image pulls.
fn identity(traits: &mut Traits, out: &mut Out<'_>) {
    let account = traits.take("service_account");
    let account: Vec<_> = account
        .into_iter()
        .chain(traits.take("service_account_name"))
        .collect();
    if out.hub == Hub::Keep {
        let why = "the hub knows its servers by the account jupyterhub-server: bind the roles of the old account to that one, and set automountToken in the execution profile";
        out.lose(account.iter().filter(|leaf| !is_empty(&leaf.value)), why);
    } else {
        for leaf in account.iter().filter(|leaf| !is_empty(&leaf.value)) {
            out.put(
                leaf,
                Target::Profile,
                Path::of("spec.serviceAccount.name"),
                leaf.value.clone(),
            );
            // KubeSpawner gives a pod its account's token if an account is named.
            out.put(leaf, Target::Profile, Path::of("spec.automountToken"), true);
        }
    }
    for (index, item) in items::of(&traits.take("image_pull_secrets")).iter().enumerate() {
        let at = Path::of("spec.imagePullSecrets").index(index);
        let at = if item.value.is_string() {
            at.key("name")
        } else {
            at
        };
        out.shift(&item.leaves, Target::Profile, &at);
    }
    for (name, same, why) in [
        (
            "allow_privilege_escalation",
            json!(false),
            "no program gains rights here, such as by sudo: put what needs them into the image",
        ),
        ("privileged", json!(false), "no container is privileged here"),
        (
            "image_pull_policy",
            json!("IfNotPresent"),
            "the installation decides: settings.imagePullPolicy of the chart",
        ),
    ] {
        for leaf in traits.take(name) {
            if leaf.value == same {
                out.tell([&leaf], Outcome::SameByDefault, "it is so here");
            } else {
                out.lose([&leaf], why);
            }
        }
    }
}
