//! What the chart says of storage, culling and nodes of all servers -> parts of a template (pure).

use serde_json::{Value, json};

use super::out::{Out, list};
use super::traits::Leaf;
use super::{Hub, amounts, items};
use crate::draft::Target;
use crate::ledger::{Fate, Outcome};
use crate::path::Path;
use crate::table::is_empty;

/// The chart's size of a home, and its folder.
const SIZE: &str = "10Gi";
pub(super) const HOME: &str = "/home/jovyan";
/// The chart's group of the files on homes.
const GROUP: u32 = 100;
/// Taints of nodes for users, which the chart's servers tolerate: GKE has no `/` in its own.
const TAINTS: [&str; 2] = ["hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated"];
/// Items that follow those of `singleuser`.
const AFTER: usize = 1000;

/// The chart's values, and where they are.
#[derive(Clone, Copy)]
pub(super) struct Chart<'a> {
    pub(super) value: &'a Value,
    pub(super) root: &'a Path,
}

impl Chart<'_> {
    /// Where a value of the chart is.
    pub(super) fn at(&self, field: &str) -> Path {
        self.root.then(Path::of(field).0)
    }

    /// A value that is set.
    pub(super) fn get(&self, field: &str) -> Option<Leaf> {
        let at = self.at(field);
        let value = at.get(self.value);
        let is_scalar = !value.is_null() && !value.is_object() && !value.is_array();
        is_scalar.then(|| Leaf {
            below: Vec::new(),
            from: vec![at],
            value: value.clone(),
        })
    }

    /// A text that is set.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        let leaf = self.get(field)?;
        let text = leaf.value.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// Takes all of it.
pub(super) fn take(chart: Chart<'_>, out: &mut Out<'_>) {
    storage(chart, out);
    nodes(chart, out);
    let secrets = below(&chart.at("imagePullSecrets"), chart.value, out);
    for (index, item) in items::of(&secrets).iter().enumerate() {
        let at = Path::of("spec.imagePullSecrets").index(AFTER + index);
        let at = if item.value.is_string() {
            at.key("name")
        } else {
            at
        };
        out.shift(&item.leaves, Target::Profile, &at);
    }
    let group = Path::of("spec.defaultPodSecurityContext.fsGroup");
    if chart.at("singleuser.fsGid").get(chart.value).is_null()
        && !out
            .draft
            .has(Target::Template, "spec.defaultPodSecurityContext.fsGroup")
    {
        out.draft.put([], Target::Template, group, GROUP);
    }
    match out.hub {
        Hub::Keep => {
            let at = Path::of("spec.defaultIdleShutdown.enabled");
            out.draft.put([], Target::Template, at, false);
            let at = Path::of("spec.idleShutdownOverrides.allow");
            out.draft.put([], Target::Template, at, false);
        }
        Hub::Replace => cull(chart, out),
    }
}

/// The home.
fn storage(chart: Chart<'_>, out: &mut Out<'_>) {
    let kind = chart.text("singleuser.storage.type");
    let of = |field: &str| chart.get(&format!("singleuser.storage.{field}"));
    let at = Path::of("spec.primaryStorage");
    let [capacity, mount, class] = ["capacity", "homeMountPath", "dynamic.storageClass"].map(of);
    let type_leaf = of("type");
    match kind.as_deref() {
        Some("none") => {
            let why = "without a disk the home is an emptyDir";
            let leaves = [type_leaf, capacity, mount, class].into_iter().flatten();
            out.tell(&leaves.collect::<Vec<_>>(), Outcome::SameByDefault, why);
            return;
        }
        Some("static") => {
            let leaves: Vec<_> = [capacity, class].into_iter().flatten().collect();
            out.tell(&leaves, Outcome::Stays, "the common claim stays as it is");
        }
        None | Some("dynamic") => {
            match capacity {
                Some(leaf) => {
                    for field in ["defaultSize", "maxSize"] {
                        out.put(&leaf, Target::Template, at.key(field), leaf.value.clone());
                    }
                }
                None => {
                    for field in ["defaultSize", "maxSize"] {
                        out.draft.put([], Target::Template, at.key(field), SIZE);
                    }
                }
            }
            if let Some(leaf) = class {
                let at = at.key("defaultStorageClassName");
                out.put(&leaf, Target::Template, at, leaf.value.clone());
            }
        }
        Some(_) => {
            let leaves: Vec<_> = [type_leaf, capacity, mount, class]
                .into_iter()
                .flatten()
                .collect();
            out.lose(&leaves, "a type must be dynamic, static or none");
            return;
        }
    }
    let retain = at.key("retain");
    match type_leaf {
        Some(leaf) => out.put(&leaf, Target::Template, retain, "Retain"),
        None => out.draft.put([], Target::Template, retain, "Retain"),
    }
    let folder = at.key("defaultMountPath");
    match mount {
        Some(leaf) => out.put(&leaf, Target::Template, folder, leaf.value.clone()),
        None => out.draft.put([], Target::Template, folder, HOME),
    }
}

/// Nodes for users.
fn nodes(chart: Chart<'_>, out: &mut Out<'_>) {
    let at = chart.at("scheduling.userPods.tolerations");
    let dest = Path::of("spec.defaultTolerations");
    if at.get(chart.value).is_null() {
        for (index, key) in TAINTS.iter().enumerate() {
            let toleration =
                json!({"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"});
            out.draft
                .put([], Target::Template, dest.index(AFTER + index), toleration);
        }
    } else {
        list(&below(&at, chart.value, out), &dest, AFTER, out);
    }
    let purpose = chart.get("scheduling.userPods.nodeAffinity.matchNodePurpose");
    let from: Vec<_> = purpose
        .iter()
        .flat_map(|leaf| &leaf.from)
        .map(|path| (out.object, path.clone()))
        .collect();
    let term = json!({"matchExpressions": [{"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}]});
    let at = Path::of("spec.defaultAffinity.nodeAffinity");
    match purpose.as_ref().map(|leaf| leaf.value.as_str()) {
        None | Some(Some("prefer")) => {
            let at = at
                .key("preferredDuringSchedulingIgnoredDuringExecution")
                .index(AFTER);
            let term = json!({"weight": 100, "preference": term});
            out.draft.put(from, Target::Template, at, term);
        }
        Some(Some("require")) => {
            let at = at
                .key("requiredDuringSchedulingIgnoredDuringExecution")
                .key("nodeSelectorTerms");
            out.draft.put(from, Target::Template, at.index(AFTER), term);
        }
        Some(Some("ignore")) => {
            let why = "no node is preferred here";
            out.tell(&purpose, Outcome::SameByDefault, why);
        }
        Some(_) => out.lose(&purpose, "must be prefer, require or ignore"),
    }
}

/// When unused servers are stopped.
fn cull(chart: Chart<'_>, out: &mut Out<'_>) {
    let [enabled, timeout, age] =
        ["cull.enabled", "cull.timeout", "cull.maxAge"].map(|field| chart.get(field));
    let is_on = enabled.as_ref().is_none_or(|leaf| leaf.value != false);
    let at = Path::of("spec.defaultIdleShutdown");
    match &enabled {
        Some(leaf) if leaf.value.is_boolean() => {
            out.put(leaf, Target::Template, at.key("enabled"), is_on);
        }
        Some(leaf) => out.lose([leaf], "must be true or false"),
        None => out.draft.put([], Target::Template, at.key("enabled"), true),
    }
    if !is_on {
        let leaves: Vec<_> = [timeout, age].into_iter().flatten().collect();
        out.tell(&leaves, Outcome::SameByDefault, "culling is off");
        return;
    }
    match timeout {
        Some(leaf) => match amounts::minutes(&leaf.value) {
            Some(minutes) => {
                let at = at.key("idleTimeoutInMinutes");
                out.put(&leaf, Target::Template, at, minutes);
            }
            None => out.lose([&leaf], "must be a number of seconds"),
        },
        None => out
            .draft
            .put([], Target::Template, at.key("idleTimeoutInMinutes"), 60),
    }
    if let Some(leaf) = age {
        match amounts::minutes(&leaf.value) {
            Some(0) => out.tell([&leaf], Outcome::SameByDefault, "no age is too old"),
            Some(minutes) => {
                let at = Path::of("spec.defaultLimits.maxAgeMinutes");
                out.put(&leaf, Target::Template, at, minutes);
            }
            None => out.lose([&leaf], "must be a number of seconds"),
        }
    }
}

/// The leaves below a path.
fn below(at: &Path, value: &Value, out: &mut Out<'_>) -> Vec<Leaf> {
    let mut found = Vec::new();
    for path in out.ledger.leaves(out.object, at) {
        let Some(steps) = path.below(at) else { continue };
        if is_empty(path.get(value)) {
            let fate = Fate::new(Outcome::SameByDefault, "it is empty");
            out.ledger.tell(out.object, &path, &fate);
            continue;
        }
        found.push(Leaf {
            below: steps.to_vec(),
            from: vec![path.clone()],
            value: path.get(value).clone(),
        });
    }
    found
}
