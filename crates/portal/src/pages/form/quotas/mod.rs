//! Quotas and limit ranges of a namespace, and a workspace -> what fits (pure).
//!
//! - `ranges`: what limit ranges refuse

mod ranges;

use std::collections::BTreeMap;

use api::workspace::ResourceRequirements;
use k8s_openapi::api::core::v1::{Container, LimitRange, ResourceQuota, ResourceQuotaSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use kube::ResourceExt as _;
use rules::{Effective, Home, Quantity};

use self::ranges::of_ranges;
use crate::pages::usage::percent;
use crate::pages::words::amount;
use crate::views::{QuotaLine, Quotas, Tone};

/// Objects that each workspace has once, besides pod and claim.
const OBJECTS: [&str; 4] = [
    "services",
    "count/services",
    "count/networkpolicies.networking.k8s.io",
    "count/workspaces.workspaces.jupyter.org",
];

/// What each pod must name where a quota bounds it.
const BOUNDED: [&str; 6] = [
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];
/// What is between the class of disks and what a quota counts of them.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// What was read as the user, or why it was not.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) quotas: Result<Vec<ResourceQuota>, String>,
    pub(super) ranges: Result<Vec<LimitRange>, String>,
}

/// What a workspace takes, by the names that quotas use.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// While it runs.
    pod: BTreeMap<String, Quantity>,
    /// Also while it is stopped.
    kept: BTreeMap<String, Quantity>,
    requests: BTreeMap<String, RawQuantity>,
    limits: BTreeMap<String, RawQuantity>,
    disk: Option<RawQuantity>,
    /// Its disk has the default class of the cluster, which is not known here.
    has_default_class: bool,
    /// Its pod runs already, and what it takes is only what changes.
    runs: bool,
}

impl Asked {
    /// What a workspace with these values takes.
    pub(super) fn of(effective: &Effective) -> Self {
        let init = &effective.pod.init_containers;
        let requests = of_pod(&effective.resources.requests, init, |resources| {
            &resources.requests
        });
        let limits = of_pod(&effective.resources.limits, init, |resources| &resources.limits);
        let mut asked = Self {
            requests: effective.resources.requests.clone(),
            limits: effective.resources.limits.clone(),
            ..Self::default()
        };
        for (name, quantity) in &requests {
            asked.pod.insert(format!("requests.{name}"), *quantity);
            asked.pod.insert(name.clone(), *quantity);
        }
        for (name, quantity) in &limits {
            asked.pod.insert(format!("limits.{name}"), *quantity);
            // Without a request, the limit is the request.
            for request in [format!("requests.{name}"), name.clone()] {
                asked.pod.entry(request).or_insert(*quantity);
            }
        }
        for name in ["pods", "count/pods"] {
            asked.pod.insert(name.to_owned(), Quantity::units(1));
        }
        for name in OBJECTS {
            asked.kept.insert(name.to_owned(), Quantity::units(1));
        }
        if let Home::Disk { size, class, .. } = &effective.home {
            asked.disk = Some(size.clone());
            asked.has_default_class = class.is_none();
            let amounts = [
                (
                    "requests.storage",
                    Quantity::try_from(size).unwrap_or(Quantity::ZERO),
                ),
                ("persistentvolumeclaims", Quantity::units(1)),
            ];
            for (name, quantity) in amounts {
                asked.kept.insert(name.to_owned(), quantity);
                let of_class = class.iter().map(|class| format!("{class}{OF_CLASS}{name}"));
                asked.kept.extend(of_class.map(|name| (name, quantity)));
            }
            asked
                .kept
                .insert("count/persistentvolumeclaims".to_owned(), Quantity::units(1));
        }
        asked
    }

    /// What it takes more than the same workspace does now; `runs`: its pod counts already.
    #[must_use]
    pub(super) fn beyond(mut self, now: &Self, runs: bool) -> Self {
        let less = |all: &mut BTreeMap<String, Quantity>, by: &BTreeMap<String, Quantity>| {
            for (name, amount) in all {
                let counted = by.get(name).copied().unwrap_or(Quantity::ZERO);
                *amount = amount.minus(counted);
            }
        };
        less(&mut self.kept, &now.kept);
        if runs {
            less(&mut self.pod, &now.pod);
        }
        self.runs = runs;
        self
    }

    /// With what limit ranges give to a container that asks for nothing.
    fn with_defaults(mut self, ranges: &[LimitRange]) -> Self {
        let items = ranges
            .iter()
            .flat_map(|range| range.spec.iter().flat_map(|spec| &spec.limits));
        for item in items.filter(|item| item.type_ == "Container" && !self.runs) {
            let default = item.default.iter().flatten();
            let of_request = item.default_request.iter().flatten().chain(default.clone());
            let requests =
                of_request.flat_map(|(name, raw)| [(format!("requests.{name}"), raw), (name.clone(), raw)]);
            let limits = default.map(|(name, raw)| (format!("limits.{name}"), raw));
            for (resource, raw) in requests.chain(limits) {
                let amount = Quantity::try_from(raw).unwrap_or(Quantity::ZERO);
                self.pod.entry(resource).or_insert(amount);
            }
        }
        self
    }

    /// Whether the API server refuses its pod because a quota bounds what the pod does not name.
    fn lacks(&self, resource: &str) -> bool {
        BOUNDED.contains(&resource) && !self.runs && !self.pod.contains_key(resource)
    }

    /// Whether its pod asks for neither CPU nor memory.
    fn is_best_effort(&self) -> bool {
        !BOUNDED.iter().any(|resource| self.pod.contains_key(*resource))
    }

    fn amount(&self, resource: &str) -> Option<Quantity> {
        let found = self.pod.get(resource).or_else(|| self.kept.get(resource));
        found
            .copied()
            .filter(|amount| !amount.is_zero() && !amount.is_negative())
    }
}

/// What a pod takes: its containers that run together, or a larger one that runs before them.
fn of_pod(
    own: &BTreeMap<String, RawQuantity>,
    init: &[Container],
    part: fn(&ResourceRequirements) -> &BTreeMap<String, RawQuantity>,
) -> BTreeMap<String, Quantity> {
    let quantity = |raw: &RawQuantity| Quantity::try_from(raw).unwrap_or(Quantity::ZERO);
    let mut sum: BTreeMap<String, Quantity> = own
        .iter()
        .map(|(name, raw)| (name.clone(), quantity(raw)))
        .collect();
    let amounts = |container: &Container| {
        let resources = container.resources.clone().unwrap_or_default();
        let resources = ResourceRequirements {
            requests: resources.requests.unwrap_or_default(),
            limits: resources.limits.unwrap_or_default(),
        };
        part(&resources).clone()
    };
    let stays = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    for container in init.iter().filter(stays) {
        for (name, raw) in amounts(container) {
            let before = sum.get(&name).copied().unwrap_or(Quantity::ZERO);
            sum.insert(name, before.plus(quantity(&raw)));
        }
    }
    for container in init.iter().filter(|container| !stays(container)) {
        for (name, raw) in amounts(container) {
            let before = sum.get(&name).copied().unwrap_or(Quantity::ZERO);
            sum.insert(name, before.max(quantity(&raw)));
        }
    }
    sum
}

/// Every line of every quota, and of limit ranges. `asked`: the requested amount; `None`: nothing is requested yet.
pub(super) fn quotas(namespace: &str, known: &Known, asked: Option<&Asked>) -> Quotas {
    let quotas = match &known.quotas {
        Ok(quotas) => quotas,
        Err(why) => {
            return Quotas {
                namespace: namespace.to_owned(),
                absent: format!("Quotas cannot be read: {why}"),
                ..Quotas::default()
            };
        }
    };
    let ranges = known.ranges.as_deref().unwrap_or_default();
    let asked = asked.map(|asked| asked.clone().with_defaults(ranges));
    let asked = asked.as_ref();
    Quotas {
        namespace: namespace.to_owned(),
        lines: quotas.iter().flat_map(|quota| lines(quota, asked)).collect(),
        asks: asked.is_some(),
        notes: asked.map(|asked| of_ranges(ranges, asked)).unwrap_or_default(),
        ..Quotas::default()
    }
}

/// Whether a stop of another workspace helps: what does not fit is an amount that only running workspaces take.
pub(super) fn frees(quotas: &Quotas, asked: &Asked) -> bool {
    let is_of_pod = |line: &QuotaLine| !line.asked.is_empty() && !asked.kept.contains_key(&line.resource);
    quotas
        .lines
        .iter()
        .any(|line| line.tone == Tone::Bad && is_of_pod(line))
}

/// Whether the quota counts a workspace's pod; `None`: that is not known here.
fn counts(spec: &ResourceQuotaSpec, is_best_effort: bool) -> Option<bool> {
    let scopes = spec.scopes.iter().flatten().map(String::as_str);
    let selected = spec
        .scope_selector
        .iter()
        .flat_map(|selector| selector.match_expressions.iter().flatten());
    let other_class = if is_best_effort {
        "NotBestEffort"
    } else {
        "BestEffort"
    };
    let all: Vec<&str> = scopes.chain(selected.map(|it| it.scope_name.as_str())).collect();
    if all
        .iter()
        .any(|scope| ["Terminating", "CrossNamespacePodAffinity", other_class].contains(scope))
    {
        return Some(false);
    }
    let is_known = all
        .iter()
        .all(|scope| ["NotTerminating", "NotBestEffort", "BestEffort"].contains(scope));
    is_known.then_some(true)
}

fn lines(quota: &ResourceQuota, asked: Option<&Asked>) -> Vec<QuotaLine> {
    let spec = quota.spec.clone().unwrap_or_default();
    let status = quota.status.clone().unwrap_or_default();
    let hard = status.hard.or_else(|| spec.hard.clone()).unwrap_or_default();
    let used = status.used.unwrap_or_default();
    let does_count = counts(&spec, asked.is_some_and(Asked::is_best_effort));
    let line = |(resource, hard): (&String, &RawQuantity)| {
        let used = used
            .get(resource)
            .cloned()
            .unwrap_or_else(|| RawQuantity("0".to_owned()));
        let wanted = asked
            .and_then(|asked| asked.amount(resource))
            .filter(|_| does_count == Some(true));
        let (tone, word) = match (asked, wanted) {
            (None, _) => (full(&used, hard), String::new()),
            (_, Some(wanted)) => fits(resource, wanted, &used, hard),
            _ if does_count.is_none() => (Tone::Calm, "Counts some pods only".to_owned()),
            (Some(asked), None) if does_count == Some(true) => not_asked(resource, asked),
            _ => (Tone::Calm, String::new()),
        };
        QuotaLine {
            quota: quota.name_any(),
            resource: resource.clone(),
            used: shown(resource, &used),
            asked: wanted
                .map(|wanted| shown(resource, &wanted.to_raw()))
                .unwrap_or_default(),
            hard: shown(resource, hard),
            percent: percent(&used, hard),
            tone,
            word,
        }
    };
    hard.iter().map(line).collect()
}

/// Whether this much more fits.
fn fits(resource: &str, wanted: Quantity, used: &RawQuantity, hard: &RawQuantity) -> (Tone, String) {
    let (Ok(used), Ok(hard)) = (Quantity::try_from(used), Quantity::try_from(hard)) else {
        return (Tone::Calm, String::new());
    };
    let after = used.plus(wanted);
    if after > hard {
        let too_much = shown(resource, &after.minus(hard).to_raw());
        (Tone::Bad, format!("Does not fit: {too_much} too much"))
    } else {
        (Tone::Good, "Fits".to_owned())
    }
}

/// Of a line of which the workspace takes nothing.
fn not_asked(resource: &str, asked: &Asked) -> (Tone, String) {
    if asked.lacks(resource) {
        return (Tone::Bad, "Does not fit: the quota requires a value".to_owned());
    }
    match resource.split_once(OF_CLASS) {
        Some((class, _)) if asked.has_default_class => {
            (Tone::Calm, format!("Counts if {class} is the default class"))
        }
        _ => (Tone::Calm, String::new()),
    }
}

/// Of a bound: whether nothing of it is left.
fn full(used: &RawQuantity, hard: &RawQuantity) -> Tone {
    match (Quantity::try_from(used), Quantity::try_from(hard)) {
        (Ok(used), Ok(hard)) if used >= hard => Tone::Warn,
        _ => Tone::Calm,
    }
}

/// An amount of a quota's resource in words.
fn shown(resource: &str, quantity: &RawQuantity) -> String {
    let name = resource.rsplit_once(OF_CLASS).map_or(resource, |(_, name)| name);
    let of = name
        .strip_prefix("requests.")
        .or_else(|| name.strip_prefix("limits."))
        .unwrap_or(name);
    match of {
        "cpu" | "memory" | "storage" | "ephemeral-storage" => amount(of, quantity),
        _ => quantity.0.clone(),
    }
}

#[cfg(test)]
mod tests;
