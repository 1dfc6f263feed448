//! `singleuser` and overrides of a profile -> `KubeSpawner`'s settings, with their leaves (pure).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ledger::Ledger;
use crate::path::{Path, Step};

/// A leaf of a setting.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Where it is in the setting.
    pub(super) below: Vec<Step>,
    /// The leaves of the source that say it.
    pub(super) from: Vec<Path>,
    pub(super) value: Value,
}

/// Settings by `KubeSpawner`'s names.
#[derive(Debug, Clone, Default)]
pub(super) struct Traits(pub(super) BTreeMap<String, Vec<Leaf>>);

/// Where a setting is below `singleuser`, and `KubeSpawner`'s name of it.
const TRAITS: [(&str, &str); 34] = [
    ("cpu.guarantee", "cpu_guarantee"),
    ("cpu.limit", "cpu_limit"),
    ("memory.guarantee", "mem_guarantee"),
    ("memory.limit", "mem_limit"),
    ("extraResource.guarantees", "extra_resource_guarantees"),
    ("extraResource.limits", "extra_resource_limits"),
    ("image.pullPolicy", "image_pull_policy"),
    ("image.pullSecrets", "image_pull_secrets"),
    ("nodeSelector", "node_selector"),
    ("extraTolerations", "tolerations"),
    ("extraNodeAffinity.required", "node_affinity_required"),
    ("extraNodeAffinity.preferred", "node_affinity_preferred"),
    ("extraPodAffinity.required", "pod_affinity_required"),
    ("extraPodAffinity.preferred", "pod_affinity_preferred"),
    ("extraPodAntiAffinity.required", "pod_anti_affinity_required"),
    ("extraPodAntiAffinity.preferred", "pod_anti_affinity_preferred"),
    ("extraEnv", "environment"),
    ("extraLabels", "extra_labels"),
    ("extraAnnotations", "extra_annotations"),
    ("lifecycleHooks", "lifecycle_hooks"),
    ("initContainers", "init_containers"),
    ("extraContainers", "extra_containers"),
    ("extraPodConfig", "extra_pod_config"),
    ("uid", "uid"),
    ("gid", "gid"),
    ("fsGid", "fs_gid"),
    ("supplementalGids", "supplemental_gids"),
    ("allowPrivilegeEscalation", "allow_privilege_escalation"),
    ("serviceAccountName", "service_account"),
    ("cmd", "cmd"),
    ("defaultUrl", "default_url"),
    ("startTimeout", "start_timeout"),
    ("storage.extraVolumes", "volumes"),
    ("storage.extraVolumeMounts", "volume_mounts"),
];

/// A former name of a setting, and its name.
const FORMER: (&str, &str) = ("image_spec", "image");

impl Traits {
    /// Those of `singleuser`, which is at `at`.
    pub(super) fn of_values(object: usize, value: &Value, at: &Path, ledger: &Ledger) -> Self {
        let mut traits = Self::default();
        for (place, name) in TRAITS {
            let root = at.then(Path::of(place).0);
            let leaves = ledger.leaves(object, &root);
            let leaves: Vec<_> = leaves
                .iter()
                .filter_map(|from| leaf(value, &root, from))
                .collect();
            if !leaves.is_empty() {
                traits.0.insert(name.to_owned(), leaves);
            }
        }
        let [name, tag] = ["image.name", "image.tag"].map(|field| at.then(Path::of(field).0));
        if let Some(image) = name.get(value).as_str().filter(|image| !image.is_empty()) {
            let found = tag.get(value);
            let number = found.is_number().then(|| found.to_string());
            let tag_text = found.as_str().map(str::to_owned).or(number);
            let tag_text = tag_text.filter(|text| !text.is_empty());
            let mut from = vec![name];
            let text = match tag_text {
                None => image.to_owned(),
                Some(text) => {
                    from.push(tag);
                    format!("{image}:{text}")
                }
            };
            let leaf = Leaf {
                below: Vec::new(),
                from,
                value: text.into(),
            };
            traits.0.insert("image".to_owned(), vec![leaf]);
        }
        traits
    }

    /// Lays overrides over the settings: a map is merged, anything else replaced, null removes. `only`: whether a setting takes part.
    pub(super) fn lay(
        &mut self,
        object: usize,
        value: &Value,
        at: &Path,
        ledger: &Ledger,
        only: impl Fn(&str) -> bool,
    ) {
        let names = at.get(value).as_object().into_iter().flatten();
        for (key, over) in names {
            let name = if key == FORMER.0 { FORMER.1 } else { key.as_str() };
            if !only(name) {
                continue;
            }
            let root = at.key(key);
            let leaves: Vec<_> = ledger
                .leaves(object, &root)
                .iter()
                .filter_map(|from| leaf(value, &root, from))
                .collect();
            let known = self.0.entry(name.to_owned()).or_default();
            if over.is_object() {
                let stems: BTreeSet<&[Step]> = leaves.iter().map(|leaf| stem(&leaf.below)).collect();
                known.retain(|leaf| !stems.iter().any(|stem| leaf.below.starts_with(stem)));
            } else {
                known.clear();
            }
            known.extend(leaves);
        }
    }

    /// The leaves of a setting, without nulls.
    pub(super) fn take(&mut self, name: &str) -> Vec<Leaf> {
        let mut leaves = self.0.remove(name).unwrap_or_default();
        leaves.retain(|leaf| !leaf.value.is_null());
        leaves
    }

    /// The value of a setting that is one leaf.
    pub(super) fn one(&self, name: &str) -> Option<&Leaf> {
        let leaf = self.0.get(name)?.first()?;
        (leaf.below.is_empty() && !leaf.value.is_null()).then_some(leaf)
    }
}

/// Whether a leaf of the chart's values is part of a setting.
pub(super) fn is_setting(path: &Path) -> bool {
    let mut places = TRAITS.iter().map(|(place, _)| *place).chain(["image"]);
    places.any(|place| path.below(&Path::of(&format!("singleuser.{place}"))).is_some())
}

fn leaf(value: &Value, root: &Path, from: &Path) -> Option<Leaf> {
    Some(Leaf {
        below: from.below(root)?.to_vec(),
        from: vec![from.clone()],
        value: from.get(value).clone(),
    })
}

/// The steps before the first list, which is replaced as a whole.
fn stem(below: &[Step]) -> &[Step] {
    let end = below.iter().position(|step| matches!(step, Step::Index(_)));
    &below[..end.unwrap_or(below.len())]
}
