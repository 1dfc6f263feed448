//! A workspace -> its values, its disk, what it uses, and who may connect (IO: the metrics API).

use api::names::{APPLICATION_CONTAINER, WORKSPACE_LABEL};
use api::template::TemplateOption;
use api::workspace::{AccessType, OwnershipType, Phase, UpdatePolicy};
use api::{Workspace, WorkspaceTemplate};
use explain::parts;
use explain::progress::phase;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use rules::files::{Disks, Moment};
use serde_json::Value as Json;

use super::view::{Access, AccessRule, Facts, Meter, Usage, Value};
use crate::app::Context;
use crate::index::resolved_values;
use crate::pages::answers::{link, note};
use crate::pages::may::MayBeside;
use crate::pages::summary::path;
use crate::pages::words::{
    FAILED_TIMEOUT, MAX_AGE, STOPPED_RETENTION, amount, approximate, bytes, percent, short,
};
use crate::views::{Fact, Tone};
use crate::visible::VisibleWorkspace;

/// Values that are in force, with what the workspace itself says.
pub(super) fn facts(workspace: &Workspace, template_object: Option<&WorkspaceTemplate>) -> Facts {
    let spec = &workspace.spec;
    let resolved = resolved_values(workspace).cloned().unwrap_or_default();
    let template = spec.template_ref.clone().unwrap_or_default();
    let value = |label: &str, effective: Option<String>, chosen: Option<String>| {
        let effective = effective
            .or_else(|| chosen.clone())
            .filter(|text| !text.is_empty())?;
        let from = match &chosen {
            Some(chosen) if !chosen.is_empty() => "Workspace".to_owned(),
            _ if template.is_empty() => "Default".to_owned(),
            _ => format!("Template {template}, or default"),
        };
        Some(Value {
            label: label.to_owned(),
            effective,
            chosen: chosen.unwrap_or_default(),
            from,
        })
    };
    let options = template_object.map_or(&[][..], |template| template.spec.options.as_slice());
    let mut values: Vec<_> = options
        .iter()
        .map(|TemplateOption { name, .. }| {
            let [effective, chosen] = [&resolved.options, &spec.options]
                .map(|map| Some(parts::choice_in_words(template_object, name, map.get(name)?)));
            value(parts::option_in_words(template_object, name), effective, chosen)
        })
        .collect();
    values.push(value("Image", resolved.image.clone(), spec.image.clone()));
    let own = spec.resources.clone().unwrap_or_default();
    let all = resolved.resources.clone().unwrap_or_default();
    for (word, all, own) in [
        ("request", &all.requests, &own.requests),
        ("limit", &all.limits, &own.limits),
    ] {
        for (name, quantity) in all {
            let chosen = own.get(name).map(|quantity| amount(name, quantity));
            values.push(value(&label(name, word), Some(amount(name, quantity)), chosen));
        }
    }
    let minutes = |minutes: i32| format!("after {minutes} min without use");
    let own_idle = spec.idle_shutdown.as_ref();
    values.push(value(
        "Stops when idle",
        Some(
            resolved
                .idle_timeout_in_minutes
                .map_or_else(|| "never".to_owned(), minutes),
        ),
        own_idle
            .and_then(|idle| idle.idle_timeout_in_minutes)
            .map(minutes),
    ));
    let own_limits = spec.limits.unwrap_or_default();
    let span = |minutes: i32| format!("{minutes} min");
    for (label, minutes, own) in [
        (MAX_AGE, resolved.max_age_minutes, own_limits.max_age_minutes),
        (
            FAILED_TIMEOUT,
            resolved.failed_timeout_minutes,
            own_limits.failed_timeout_minutes,
        ),
    ] {
        values.push(value(label, minutes.map(span), own.map(span)));
    }
    let days = |days: i32| format!("{days} days");
    values.push(value(
        STOPPED_RETENTION,
        resolved.stopped_retention_days.map(days),
        own_limits.stopped_retention_days.map(days),
    ));
    values.push(value(
        "Execution profile",
        resolved.execution_profile.clone(),
        spec.execution_profile_ref.clone(),
    ));
    values.push(value(
        "Who may connect",
        resolved.access_type.map(access_word),
        spec.access_type.map(access_word),
    ));
    values.push(value(
        "Who may change it",
        resolved.ownership_type.map(ownership_word),
        spec.ownership_type.map(ownership_word),
    ));
    values.push(value(
        "Changes reach a running pod",
        None,
        Some(match spec.update_policy {
            UpdatePolicy::OnStop => "at the next start".to_owned(),
            UpdatePolicy::Always => "at once, by a restart".to_owned(),
        }),
    ));
    let objects = template_object.map(|template| objects(template, workspace));
    let objects = objects.into_iter().flatten();
    Facts {
        values: values.into_iter().flatten().chain(objects).collect(),
        disk: disk(workspace),
    }
}

/// Further objects, with what is known of them.
fn objects(template: &WorkspaceTemplate, workspace: &Workspace) -> Vec<Value> {
    let value = |part: parts::Part| Value {
        label: format!("Object {}", part.name),
        effective: part.text,
        chosen: String::new(),
        from: format!("Template {}", template.name_any()),
    };
    let objects = parts::objects(template, workspace).into_iter();
    objects.map(value).collect()
}

fn label(resource: &str, word: &str) -> String {
    match resource {
        "cpu" => format!("CPU {word}"),
        "memory" => format!("Memory {word}"),
        other => format!("{other} {word}"),
    }
}

fn access_word(access: AccessType) -> String {
    match access {
        AccessType::OwnerOnly => "the owner".to_owned(),
        AccessType::Public => "everybody who is signed in".to_owned(),
    }
}

fn ownership_word(ownership: OwnershipType) -> String {
    match ownership {
        OwnershipType::OwnerOnly => "the owner and administrators".to_owned(),
        OwnershipType::Public => "everybody whose roles allow it".to_owned(),
    }
}

fn disk(workspace: &Workspace) -> Vec<Fact> {
    let Some(storage) = resolved_values(workspace).and_then(|resolved| resolved.storage.as_ref()) else {
        return Vec::new();
    };
    let fact = |label: &str, text: String| Fact {
        label: label.to_owned(),
        text,
    };
    let mut facts = Vec::new();
    if let Some(claim) = &storage.claim_name {
        facts.push(fact("PersistentVolumeClaim", claim.clone()));
    }
    if let Some(size) = &storage.size {
        facts.push(fact("Size", bytes(size)));
    }
    if let Some(class) = &storage.class_name {
        facts.push(fact("Storage class", class.clone()));
    }
    facts.push(fact("Mounted at", storage.mount_path.clone()));
    let used = workspace
        .status
        .as_ref()
        .and_then(|status| status.disk.as_ref()?.used());
    facts.extend(used.map(|used| fact("Used", used)));
    let disks = Disks::from_workspace(workspace);
    let (stop, deletion) = (
        disks.fate(Moment::Stop),
        disks.fate(Moment::Deletion(&workspace.name_any())),
    );
    let kept = match (stop.loses_files, deletion.loses_files) {
        (true, _) => stop.text,
        (false, true) if disks.further.is_empty() => "kept until the workspace is deleted".to_owned(),
        (false, _) => deletion.text,
    };
    facts.push(fact("Files", kept));
    let claims = workspace.status.iter().flat_map(|status| &status.claims);
    facts.extend(claims.map(|claim| fact(&format!("Disk {}", claim.name), claim.in_words())));
    facts
}

/// Who may connect.
pub(super) fn access(context: &Context, seen: &VisibleWorkspace, may: MayBeside) -> Access {
    let workspace = &*seen.workspace;
    let owner = api::names::owner(&workspace.metadata).unwrap_or_default();
    let mut rules = vec![AccessRule {
        who: owner.to_owned(),
        rule: "Owner".to_owned(),
        ..AccessRule::default()
    }];
    let manager = context.app.index.manager_of(workspace);
    let ignores = manager
        .as_ref()
        .is_some_and(|manager| manager.spec.routing.disables_sharing());
    let why = "All workspaces have one web origin here (routing mode Path), so it has no effect.";
    let inactive = if ignores { why.to_owned() } else { String::new() };
    if rules::access::requested_access_type(workspace, manager.as_deref()).admits_everyone() {
        rules.push(AccessRule {
            who: "Everybody who is signed in and has the right to connect".to_owned(),
            rule: "Public".to_owned(),
            inactive: inactive.clone(),
            ..AccessRule::default()
        });
    }
    let now = Timestamp::now();
    for share in context.app.index.shares_of(workspace) {
        let live = rules::shares::live(&share, Some(workspace), manager.as_deref(), now);
        let prolong = may.prolong && matches!(live, Err(rules::shares::Inactive::Expired(_)));
        for subject in &share.spec.subjects {
            rules.push(AccessRule {
                who: format!("{:?} {}", subject.kind, subject.name),
                rule: "Share".to_owned(),
                until: rules::shares::end(&share).map(short),
                inactive: live.as_ref().err().map(ToString::to_string).unwrap_or_default(),
                action: prolong.then(|| {
                    link(
                        "Prolong…",
                        &format!("{}/share/{}/until", path(workspace), share.name_any()),
                    )
                }),
            });
        }
    }
    if let Some(manager) = &manager {
        let authorization = manager.spec.authorization.clone().unwrap_or_default();
        let users = authorization
            .admin_users
            .into_iter()
            .map(|user| format!("User {user}"));
        let groups = authorization
            .admin_groups
            .into_iter()
            .map(|group| format!("Group {group}"));
        rules.extend(users.chain(groups).map(|who| AccessRule {
            who,
            rule: "Administrators".to_owned(),
            ..AccessRule::default()
        }));
    }
    Access {
        rules,
        share: if may.share {
            format!("{}/share", path(workspace))
        } else {
            String::new()
        },
        note: ignores.then(|| note(Tone::Warn, why)),
    }
}

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
fn measure(workspace: &Workspace, pods: &[Json]) -> Usage {
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
    let Some(value) = approximate(used) else {
        return amount(resource, used);
    };
    match resource {
        "cpu" => format!("{value:.2} CPU"),
        _ if value >= f64::from(1 << 30) => format!("{:.1} GiB", value / f64::from(1 << 30)),
        _ => format!("{:.0} MiB", value / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage_of(pods: &[Json]) -> Usage {
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
