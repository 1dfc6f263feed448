//! A running workspace -> what it uses, by the metrics API (IO).

use api::Workspace;
use api::names::{APPLICATION_CONTAINER, WORKSPACE_LABEL};
use api::workspace::Phase;
use explain::progress::phase;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use serde_json::Value;

use super::words::{amount, short};
use crate::app::Context;
use crate::index::resolved_values;
use crate::views::{Meter, Usage};

/// What it uses; `None` while it does not run, or where nothing is read as the user.
pub(super) async fn usage(context: &Context, workspace: &Workspace) -> Option<Usage> {
    if phase(workspace) != Phase::Running || context.read_only().is_some() {
        return None;
    }
    let labels = format!("{WORKSPACE_LABEL}={}", workspace.name_any());
    let namespace = workspace.namespace().unwrap_or_default();
    let read = context.as_user().pod_metrics(&namespace, &labels).await;
    Some(match read {
        Ok(pods) => measure(workspace, &pods),
        Err(failure) => absent(match failure.code() {
            403 => "You may not read what pods use, or this cluster does not measure it.",
            404 => "This cluster does not measure what pods use: it has no metrics API.",
            _ => "The metrics API does not answer.",
        }),
    })
}

fn absent(why: &str) -> Usage {
    Usage {
        absent: why.to_owned(),
        ..Usage::default()
    }
}

/// The container of the application, in the newest sample.
fn measure(workspace: &Workspace, pods: &[Value]) -> Usage {
    let newest = pods.iter().max_by_key(|pod| pod["timestamp"].as_str());
    let containers = newest.and_then(|pod| pod["containers"].as_array());
    let mut containers = containers.into_iter().flatten();
    let Some(container) = containers.find(|container| container["name"] == APPLICATION_CONTAINER) else {
        return absent("It is not measured yet.");
    };
    let resources = resolved_values(workspace)
        .and_then(|resolved| resolved.resources.clone())
        .unwrap_or_default();
    let meter = |name: &str, label: &str| {
        let used = Quantity(container["usage"][name].as_str()?.to_owned());
        let (request, limit) = (resources.requests.get(name), resources.limits.get(name));
        let in_words = |quantity: Option<&Quantity>| quantity.map(|it| amount(name, it)).unwrap_or_default();
        Some(Meter {
            label: label.to_owned(),
            used: round(name, &used),
            request: in_words(request),
            limit: in_words(limit),
            percent: limit.or(request).and_then(|bound| percent(&used, bound)),
        })
    };
    let time = newest.and_then(|pod| pod["timestamp"].as_str()?.parse().ok());
    Usage {
        meters: [meter("cpu", "CPU"), meter("memory", "Memory")]
            .into_iter()
            .flatten()
            .collect(),
        measured: time.map(short),
        absent: String::new(),
    }
}

/// The metrics API gives nanocores and KiB.
fn round(resource: &str, used: &Quantity) -> String {
    let Some(value) = value(used) else {
        return amount(resource, used);
    };
    match resource {
        "cpu" => format!("{value:.2} CPU"),
        _ if value >= f64::from(1 << 30) => format!("{:.1} GiB", value / f64::from(1 << 30)),
        _ => format!("{:.0} MiB", value / f64::from(1 << 20)),
    }
}

/// What is used of a bound; `None`: there is no bound.
pub(super) fn percent(used: &Quantity, bound: &Quantity) -> Option<u8> {
    let (used, bound) = (value(used)?, value(bound)?);
    if bound <= 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is clamped to 0 to 100"
    )]
    let percent = (used / bound * 100.0).clamp(0.0, 100.0).round() as u8;
    Some(percent)
}

/// An approximate value, for display alone.
fn value(quantity: &Quantity) -> Option<f64> {
    let quantity = rules::Quantity::try_from(quantity).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "the first digits count")]
    let thousandths = quantity.count(rules::Quantity::thousandths(1)).0 as f64;
    Some(thousandths / 1000.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage_of(pods: &[Value]) -> Usage {
        let workspace = json!({
            "metadata": {"name": "lab"}, "spec": {"displayName": "lab"},
            "status": {"resolved": {"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "2", "memory": "4Gi"}}}},
        });
        measure(&serde_json::from_value(workspace).unwrap(), pods)
    }

    #[test]
    fn usage_is_shown_beside_request_and_limit() {
        let usage = |name: &str| json!({"name": name, "usage": {"cpu": "412345678n", "memory": "3984588Ki"}});
        let pod = json!({"timestamp": "2026-11-22T12:00:00Z", "containers": [usage("sidecar"), usage("workspace")]});
        let usage = usage_of(&[pod]);
        let shown: Vec<_> = usage
            .meters
            .iter()
            .map(|it| (&*it.used, &*it.request, &*it.limit, it.percent))
            .collect();
        assert_eq!(
            shown,
            [
                ("0.41 CPU", "0.5 CPU", "2 CPU", Some(21)),
                ("3.8 GiB", "", "4 GiB", Some(95)),
            ]
        );
    }

    #[test]
    fn without_a_sample_a_sentence_says_so() {
        assert_eq!(usage_of(&[]).absent, "It is not measured yet.");
    }
}
