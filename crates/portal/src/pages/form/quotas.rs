//! Quotas of a namespace, and what a workspace takes -> what fits (pure).
//!
//! What it takes is an estimate for the form: of its containers and its disk. The API server decides when the pod is created.

use std::collections::BTreeMap;

use api::workspace::ResourceRequirements;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use kube::ResourceExt as _;
use rules::{Effective, Home, Quantity};

use super::view::{QuotaLine, Quotas};
use crate::pages::words::{amount, percent};
use crate::views::Tone;

/// Objects that each workspace has once, besides pod and claim.
const OBJECTS: [&str; 2] = [
    "count/networkpolicies.networking.k8s.io",
    "count/workspaces.workspaces.jupyter.org",
];

/// Amounts by the names that quotas use.
pub(in crate::pages) type Amounts = BTreeMap<String, Quantity>;

/// What a workspace with these values takes while it runs: its containers that run together, or one that runs before them and takes more.
pub(in crate::pages) fn amounts(effective: &Effective) -> Amounts {
    let add = |sums: &mut Amounts, name: String, amount: Quantity| {
        let sum = sums.entry(name).or_insert(Quantity::ZERO);
        *sum = sum.plus(amount);
    };
    let (mut beside, mut before) = (Amounts::new(), Amounts::new());
    for container in &effective.pod.init_containers {
        let resources = container.resources.clone().unwrap_or_default();
        let taken = container_amounts(&ResourceRequirements {
            requests: resources.requests.unwrap_or_default(),
            limits: resources.limits.unwrap_or_default(),
        });
        let stays = container.restart_policy.as_deref() == Some("Always");
        for (name, amount) in taken {
            if stays {
                add(&mut beside, name, amount);
            } else {
                let running = beside.get(&name).copied().unwrap_or(Quantity::ZERO);
                let most = before.entry(name).or_insert(Quantity::ZERO);
                *most = running.plus(amount).max(*most);
            }
        }
    }
    for (name, amount) in container_amounts(&effective.resources) {
        add(&mut beside, name, amount);
    }
    for (name, amount) in before {
        let sum = beside.entry(name).or_insert(Quantity::ZERO);
        *sum = amount.max(*sum);
    }
    beside.extend(kept_amounts(effective));
    beside.extend(["pods", "count/pods"].map(|name| (name.to_owned(), Quantity::units(1))));
    beside
}

/// What one container takes.
fn container_amounts(resources: &ResourceRequirements) -> Amounts {
    // Without a request, the limit is the request.
    let mut requests = resources.limits.clone();
    requests.extend(resources.requests.clone());
    let mut amounts = Amounts::new();
    for (name, raw) in &requests {
        amounts.insert(name.clone(), parse(raw));
        amounts.insert(format!("requests.{name}"), parse(raw));
    }
    for (name, raw) in &resources.limits {
        amounts.insert(format!("limits.{name}"), parse(raw));
    }
    amounts
}

/// What it takes also while it is stopped.
fn kept_amounts(effective: &Effective) -> Amounts {
    let one = |name: &str| (name.to_owned(), Quantity::units(1));
    let mut amounts: Amounts = OBJECTS.map(one).into();
    if let Home::Disk { size, .. } = &effective.home {
        amounts.extend(["persistentvolumeclaims", "count/persistentvolumeclaims"].map(one));
        amounts.insert("requests.storage".to_owned(), parse(size));
    }
    amounts
}

fn parse(raw: &RawQuantity) -> Quantity {
    Quantity::try_from(raw).unwrap_or(Quantity::ZERO)
}

/// What a change takes besides what the workspace has now; `runs`: its pod counts already.
pub(in crate::pages) fn further_amounts(yours: &Effective, stored: &Effective, runs: bool) -> Amounts {
    let counted = if runs {
        amounts(stored)
    } else {
        kept_amounts(stored)
    };
    let mut further = amounts(yours);
    for (name, amount) in &mut further {
        *amount = amount.minus(counted.get(name).copied().unwrap_or(Quantity::ZERO));
    }
    further
}

/// Every line of every quota, or why there is none. `asked`: the requested amounts; `None`: nothing is requested yet.
pub(in crate::pages) fn quotas(
    namespace: &str,
    read: Result<Vec<ResourceQuota>, String>,
    asked: Option<&Amounts>,
) -> Quotas {
    let (quotas, absent) = match read {
        Ok(quotas) => (quotas, String::new()),
        Err(why) => (Vec::new(), format!("Quotas cannot be read: {why}")),
    };
    Quotas {
        namespace: namespace.to_owned(),
        lines: quotas.iter().flat_map(|quota| lines(quota, asked)).collect(),
        asks: asked.is_some(),
        absent,
    }
}

fn lines(quota: &ResourceQuota, asked: Option<&Amounts>) -> Vec<QuotaLine> {
    let spec = quota.spec.clone().unwrap_or_default();
    let status = quota.status.clone().unwrap_or_default();
    let hard = status.hard.or(spec.hard).unwrap_or_default();
    let used = status.used.unwrap_or_default();
    let none = RawQuantity("0".to_owned());
    // Which pods a scope counts is not known here.
    let counts_all = spec.scopes.is_none() && spec.scope_selector.is_none();
    let line = |(resource, hard): (&String, &RawQuantity)| {
        let used = used.get(resource).unwrap_or(&none);
        let wanted = asked
            .filter(|_| counts_all)
            .and_then(|asked| asked.get(resource))
            .copied()
            .filter(|wanted| *wanted > Quantity::ZERO);
        let (tone, word) = match (asked, wanted) {
            (None, _) if parse(used) >= parse(hard) => (Tone::Warn, String::new()),
            (_, Some(wanted)) => fit(resource, parse(used).plus(wanted), parse(hard)),
            (Some(_), None) if !counts_all => (Tone::Calm, "Counts some pods only".to_owned()),
            _ => (Tone::Calm, String::new()),
        };
        QuotaLine {
            quota: quota.name_any(),
            resource: resource.clone(),
            used: in_words(resource, used),
            asked: wanted
                .map(|wanted| in_words(resource, &wanted.to_raw()))
                .unwrap_or_default(),
            hard: in_words(resource, hard),
            percent: percent(used, hard),
            tone,
            word,
        }
    };
    hard.iter().map(line).collect()
}

/// Whether a bound holds what would be used of it.
fn fit(resource: &str, after: Quantity, hard: Quantity) -> (Tone, String) {
    if after <= hard {
        return (Tone::Good, "Fits".to_owned());
    }
    let too_much = in_words(resource, &after.minus(hard).to_raw());
    (Tone::Bad, format!("Does not fit: {too_much} too much"))
}

/// An amount of a quota's resource in words.
fn in_words(resource: &str, quantity: &RawQuantity) -> String {
    let name = resource.rsplit(['.', '/']).next().unwrap_or(resource);
    match name {
        "cpu" | "memory" | "storage" | "ephemeral-storage" => amount(name, quantity),
        _ => quantity.0.clone(),
    }
}

#[cfg(test)]
mod tests {
    use api::{WorkspaceSpec, WorkspaceTemplateSpec};
    use rules::{Settings, effective};
    use serde_json::{Value, json};

    use super::*;

    fn values(spec: Value, template: Value) -> Effective {
        let mut base = json!({"displayName": "lab"});
        json_patch::merge(&mut base, &spec);
        let spec: WorkspaceSpec = serde_json::from_value(base).unwrap();
        let mut base =
            json!({"displayName": "t", "defaultImage": "uv", "primaryStorage": {"defaultSize": "10Gi"}});
        json_patch::merge(&mut base, &template);
        let template: WorkspaceTemplateSpec = serde_json::from_value(base).unwrap();
        let settings = Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap();
        effective(&spec, Some(&template), &settings)
    }

    fn lab(memory: &str) -> Effective {
        let amounts = json!({"cpu": "1", "memory": memory});
        values(
            json!({"resources": {"requests": amounts, "limits": amounts}}),
            json!({}),
        )
    }

    fn quota(hard: Value, used: Value) -> ResourceQuota {
        let quota = json!({
            "metadata": {"name": "team"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used},
        });
        serde_json::from_value(quota).unwrap()
    }

    fn team() -> ResourceQuota {
        quota(
            json!({"requests.memory": "8Gi", "pods": "10"}),
            json!({"requests.memory": "6Gi", "pods": "3"}),
        )
    }

    fn line(quota: &ResourceQuota, asked: &Amounts, resource: &str) -> QuotaLine {
        let lines = quotas("team", Ok(vec![quota.clone()]), Some(asked)).lines;
        lines.into_iter().find(|line| line.resource == resource).unwrap()
    }

    #[test]
    fn a_line_says_what_is_used_what_is_asked_and_what_is_too_much() {
        let fits = line(&team(), &amounts(&lab("2Gi")), "requests.memory");
        assert_eq!(
            (&*fits.used, &*fits.asked, &*fits.hard),
            ("6 GiB", "2 GiB", "8 GiB")
        );
        assert_eq!(fits.tone, Tone::Good);
        let short = line(&team(), &amounts(&lab("4Gi")), "requests.memory");
        assert_eq!(short.tone, Tone::Bad);
        assert_eq!(short.word, "Does not fit: 2 GiB too much");
        assert_eq!(line(&team(), &amounts(&lab("4Gi")), "pods").asked, "1");
    }

    #[test]
    fn a_running_workspace_asks_only_for_more_than_it_has() {
        let further = |runs| further_amounts(&lab("3Gi"), &lab("2Gi"), runs);
        assert_eq!(line(&team(), &further(true), "requests.memory").asked, "1 GiB");
        assert_eq!(line(&team(), &further(true), "pods").asked, "");
        assert_eq!(line(&team(), &further(false), "requests.memory").asked, "3 GiB");
        let less = further_amounts(&lab("1Gi"), &lab("2Gi"), true);
        assert_eq!(line(&team(), &less, "requests.memory").asked, "");
    }

    #[test]
    fn a_quota_of_a_scope_claims_nothing() {
        let mut scoped = team();
        scoped.spec.as_mut().unwrap().scopes = Some(vec!["NotTerminating".to_owned()]);
        let line = line(&scoped, &amounts(&lab("4Gi")), "requests.memory");
        assert_eq!((line.tone, &*line.asked), (Tone::Calm, ""));
        assert_eq!(line.word, "Counts some pods only");
    }

    #[test]
    fn containers_that_run_beside_or_before_count() {
        let takes = |memory: &str| json!({"requests": {"memory": memory}, "limits": {"memory": memory}});
        let line_of = |beside: &str, before: &str| {
            let values = values(
                json!({"resources": takes("1Gi")}),
                json!({"defaultInitContainers": [
                    {"name": "a", "image": "i", "restartPolicy": "Always", "resources": takes(beside)},
                    {"name": "b", "image": "i", "resources": takes(before)},
                ]}),
            );
            line(
                &quota(json!({"limits.memory": "8Gi"}), json!({"limits.memory": "6Gi"})),
                &amounts(&values),
                "limits.memory",
            )
        };
        assert_eq!(line_of("1Gi", "1Gi").asked, "2 GiB");
        assert_eq!(line_of("1Gi", "3Gi").word, "Does not fit: 2 GiB too much");
    }

    #[test]
    fn quotas_that_cannot_be_read_are_said_to_be_unknown() {
        assert_eq!(
            quotas("team", Err("no right".to_owned()), None).absent,
            "Quotas cannot be read: no right"
        );
    }

    #[test]
    fn a_line_of_each_kind_of_resource_says_what_is_asked() {
        let all = json!({"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"});
        let asked = amounts(&values(
            json!({"resources": {"requests": all, "limits": all}, "storage": {"size": "20Gi"}}),
            json!({}),
        ));
        let lines = [
            ("cpu", "2 CPU"),
            ("requests.cpu", "2 CPU"),
            ("limits.memory", "4 GiB"),
            ("requests.nvidia.com/gpu", "1"),
            ("pods", "1"),
            ("count/pods", "1"),
            ("requests.storage", "20 GiB"),
            ("persistentvolumeclaims", "1"),
            ("count/workspaces.workspaces.jupyter.org", "1"),
            ("count/networkpolicies.networking.k8s.io", "1"),
        ];
        for (resource, wanted) in lines {
            let line = line(
                &quota(json!({resource: "1"}), json!({resource: "1"})),
                &asked,
                resource,
            );
            assert_eq!(line.asked, wanted, "{resource}");
            assert_eq!(line.tone, Tone::Bad, "{resource}");
        }
        for resource in ["count/secrets", "count/services"] {
            let line = line(&quota(json!({resource: "0"}), json!({})), &asked, resource);
            assert_eq!((&*line.asked, line.tone), ("", Tone::Calm), "{resource}");
        }
    }

    #[test]
    fn without_a_workspace_each_line_says_which_part_is_used() {
        let shown = quotas("team", Ok(vec![team()]), None);
        assert!(!shown.asks);
        let parts: Vec<_> = shown
            .lines
            .iter()
            .map(|line| (&*line.resource, line.percent, line.tone))
            .collect();
        assert_eq!(
            parts,
            [
                ("pods", Some(30), Tone::Calm),
                ("requests.memory", Some(75), Tone::Calm)
            ]
        );
    }
}
