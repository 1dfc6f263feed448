//! User and namespace -> its quotas: what is used, of which bound (IO: as the user).

use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use kube::api::ListParams;

use super::view::{QuotaLine, Quotas};
use crate::app::Context;
use crate::pages::words::{amount, percent};
use crate::views::Tone;

/// The quotas of the namespace. `None`: nothing is read as the user here.
pub(in crate::pages) async fn quotas(context: &Context, namespace: &str) -> Option<Quotas> {
    if context.read_only_in(namespace).is_some() {
        return None;
    }
    let as_user = context.as_user();
    let read = as_user.list_cached::<ResourceQuota>(namespace, ListParams::default());
    let read = read.await.map_err(|failure| failure.to_string());
    Some(shown(namespace, read))
}

/// Every line of every quota, or why there is none.
fn shown(namespace: &str, read: Result<Vec<ResourceQuota>, String>) -> Quotas {
    let (quotas, absent) = match read {
        Ok(quotas) => (quotas, String::new()),
        Err(why) => (Vec::new(), format!("Quotas cannot be read: {why}")),
    };
    Quotas {
        namespace: namespace.to_owned(),
        lines: quotas.iter().flat_map(lines).collect(),
        absent,
    }
}

fn lines(quota: &ResourceQuota) -> Vec<QuotaLine> {
    let spec = quota.spec.clone().unwrap_or_default();
    let status = quota.status.clone().unwrap_or_default();
    let hard = status.hard.or(spec.hard).unwrap_or_default();
    let used = status.used.unwrap_or_default();
    let none = Quantity("0".to_owned());
    let line = |(resource, hard): (&String, &Quantity)| {
        let used = used.get(resource).unwrap_or(&none);
        QuotaLine {
            quota: quota.name_any(),
            resource: resource.clone(),
            used: in_words(resource, used),
            hard: in_words(resource, hard),
            percent: percent(used, hard),
            tone: if parse(used) >= parse(hard) {
                Tone::Warn
            } else {
                Tone::Calm
            },
        }
    };
    hard.iter().map(line).collect()
}

fn parse(quantity: &Quantity) -> rules::Quantity {
    rules::Quantity::try_from(quantity).unwrap_or(rules::Quantity::ZERO)
}

/// An amount of a quota's resource in words.
fn in_words(resource: &str, quantity: &Quantity) -> String {
    let name = resource.rsplit(['.', '/']).next().unwrap_or(resource);
    match name {
        "cpu" | "memory" | "storage" | "ephemeral-storage" => amount(name, quantity),
        _ => quantity.0.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn team() -> ResourceQuota {
        let hard = json!({
            "limits.memory": "8Gi", "pods": "10", "requests.cpu": "500m", "requests.nvidia.com/gpu": "0",
            "requests.storage": "100Gi",
        });
        let used = json!({"limits.memory": "6Gi", "pods": "3", "requests.cpu": "500m"});
        let quota = json!({"metadata": {"name": "team"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}});
        serde_json::from_value(quota).unwrap()
    }

    #[test]
    fn a_line_says_what_is_used_of_which_bound_and_warns_where_nothing_is_left() {
        let shown = shown("team", Ok(vec![team()]));
        let parts: Vec<_> = shown
            .lines
            .iter()
            .map(|line| (&*line.resource, &*line.used, &*line.hard, line.percent, line.tone))
            .collect();
        assert_eq!(
            parts,
            [
                ("limits.memory", "6 GiB", "8 GiB", Some(75), Tone::Calm),
                ("pods", "3", "10", Some(30), Tone::Calm),
                ("requests.cpu", "0.5 CPU", "0.5 CPU", Some(100), Tone::Warn),
                ("requests.nvidia.com/gpu", "0", "0", None, Tone::Warn),
                ("requests.storage", "0 bytes", "100 GiB", Some(0), Tone::Calm),
            ]
        );
    }

    #[test]
    fn quotas_that_cannot_be_read_are_said_to_be_unknown() {
        let shown = shown("team", Err("no right".to_owned()));
        assert_eq!(shown.absent, "Quotas cannot be read: no right");
    }
}
