//! A workspace -> its values, its disk, what it uses, and who may connect (IO: the metrics API).

use std::collections::BTreeMap;

use api::names::{APPLICATION_CONTAINER, WORKSPACE_LABEL};
use api::template::TemplateOption;
use api::workspace::{
    AccessType, Limits, OwnershipType, Phase, Resolved, ResourceRequirements, UpdatePolicy,
};
use api::{Workspace, WorkspaceTemplate, WorkspaceTemplateSpec};
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

/// Requests or limits of resources.
type Amounts = fn(&ResourceRequirements) -> &BTreeMap<String, Quantity>;

/// Where values come from that the workspace does not say: its template, if it is known, or the installation.
struct Origin<'a> {
    template: &'a str,
    set: Option<&'a WorkspaceTemplateSpec>,
}

impl Origin<'_> {
    /// A row, if the value is known. `is_set`: whether the template has it.
    fn value(
        &self,
        label: &str,
        effective: Option<String>,
        chosen: Option<String>,
        is_set: bool,
    ) -> Option<Value> {
        let effective = effective
            .or_else(|| chosen.clone())
            .filter(|text| !text.is_empty())?;
        let from = match &chosen {
            Some(chosen) if !chosen.is_empty() => "Workspace".to_owned(),
            _ if is_set => format!("Template {}", self.template),
            _ if self.set.is_none() && !self.template.is_empty() => {
                format!("Template {}, or the installation", self.template)
            }
            _ => "Installation".to_owned(),
        };
        Some(Value {
            label: label.to_owned(),
            effective,
            chosen: chosen.unwrap_or_default(),
            from,
        })
    }

    /// Requests and limits. A template has its own, and those of its choices.
    fn amounts(&self, workspace: &Workspace, resolved: &Resolved) -> Vec<Option<Value>> {
        let options = self.set.iter().flat_map(|set| &set.options);
        let choices = options.flat_map(|TemplateOption { name, choices, .. }| {
            let chosen = resolved.options.get(name);
            choices.iter().filter(move |it| chosen == Some(&it.name))
        });
        let of_choices = choices.filter_map(|choice| choice.set.as_ref()?.resources.as_ref());
        let of_template = self.set.and_then(|set| set.default_resources.as_ref());
        let of_template: Vec<_> = of_choices.chain(of_template).collect();
        let own = workspace.spec.resources.clone().unwrap_or_default();
        let all = resolved.resources.clone().unwrap_or_default();
        let (requests, limits): (Amounts, Amounts) = (|of| &of.requests, |of| &of.limits);
        let mut values = Vec::new();
        for (word, of) in [("request", requests), ("limit", limits)] {
            for (name, quantity) in of(&all) {
                let chosen = of(&own).get(name).map(|quantity| amount(name, quantity));
                let is_set = of_template.iter().any(|it| of(it).contains_key(name));
                values.push(self.value(&label(name, word), Some(amount(name, quantity)), chosen, is_set));
            }
        }
        values
    }

    /// Limits in time.
    fn limits(&self, own: Limits, resolved: &Resolved) -> [Option<Value>; 3] {
        let of_template = self.set.and_then(|set| set.default_limits).unwrap_or_default();
        let row = |label: &str, unit: &str, effective: Option<i32>, own: Option<i32>, set: Option<i32>| {
            let [effective, own] = [effective, own].map(|it| it.map(|it| format!("{it} {unit}")));
            self.value(label, effective, own, set.is_some())
        };
        [
            row(
                MAX_AGE,
                "min",
                resolved.max_age_minutes,
                own.max_age_minutes,
                of_template.max_age_minutes,
            ),
            row(
                FAILED_TIMEOUT,
                "min",
                resolved.failed_timeout_minutes,
                own.failed_timeout_minutes,
                of_template.failed_timeout_minutes,
            ),
            row(
                STOPPED_RETENTION,
                "days",
                resolved.stopped_retention_days,
                own.stopped_retention_days,
                of_template.stopped_retention_days,
            ),
        ]
    }
}

/// Values that are in force, with what the workspace itself says.
pub(super) fn facts(workspace: &Workspace, template_object: Option<&WorkspaceTemplate>) -> Facts {
    let spec = &workspace.spec;
    let resolved = resolved_values(workspace).cloned().unwrap_or_default();
    let set = template_object.map(|template| &template.spec);
    let template = spec.template_ref.as_deref().unwrap_or_default();
    let origin = Origin { template, set };
    let value = |label: &str, effective, chosen, is_set: bool| origin.value(label, effective, chosen, is_set);
    let options = template_object.map_or(&[][..], |template| template.spec.options.as_slice());
    let mut values: Vec<_> = options
        .iter()
        .map(|TemplateOption { name, .. }| {
            let [effective, chosen] = [&resolved.options, &spec.options]
                .map(|map| Some(parts::choice_in_words(template_object, name, map.get(name)?)));
            value(
                parts::option_in_words(template_object, name),
                effective,
                chosen,
                true,
            )
        })
        .collect();
    values.push(value(
        "Image",
        resolved.image.clone(),
        spec.image.clone(),
        set.is_some(),
    ));
    values.extend(origin.amounts(workspace, &resolved));
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
        set.is_some_and(|set| set.default_idle_shutdown.is_some()),
    ));
    values.extend(origin.limits(spec.limits.unwrap_or_default(), &resolved));
    values.push(value(
        "Execution profile",
        resolved.execution_profile.clone(),
        spec.execution_profile_ref.clone(),
        set.is_some_and(|set| set.execution_profile_ref.is_some()),
    ));
    values.push(value(
        "Who may connect",
        resolved.access_type.map(access_word),
        spec.access_type.map(access_word),
        set.is_some_and(|set| set.default_access_type.is_some()),
    ));
    values.push(value(
        "Who may change it",
        resolved.ownership_type.map(ownership_word),
        spec.ownership_type.map(ownership_word),
        set.is_some_and(|set| set.default_ownership_type.is_some()),
    ));
    values.push(value(
        "Changes reach a running workspace",
        None,
        Some(match spec.update_policy {
            UpdatePolicy::OnStop => "at the next start".to_owned(),
            UpdatePolicy::Always => "at once, by a restart".to_owned(),
        }),
        false,
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
            403 => "You may not read what workspaces use, or this cluster does not measure it.",
            404 => "This cluster does not measure what workspaces use: it has no metrics API.",
            _ => "What it uses cannot be read at the moment: the metrics API does not answer.",
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
    fn each_value_says_who_set_it() {
        let workspace: Workspace = serde_json::from_value(json!({
            "metadata": {"name": "lab"},
            "spec": {"displayName": "lab", "templateRef": "t", "resources": {"limits": {"cpu": "2"}}},
            "status": {"resolved": {
                "image": "lab:1", "accessType": "OwnerOnly", "ownershipType": "OwnerOnly", "options": {"size": "large"},
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
            }},
        }))
        .unwrap();
        let template: WorkspaceTemplate = serde_json::from_value(json!({
            "metadata": {"name": "t"},
            "spec": {
                "displayName": "T", "defaultImage": "lab:1", "defaultOwnershipType": "OwnerOnly",
                "defaultResources": {"requests": {"cpu": "1"}},
                "options": [{"name": "size", "choices": [
                    {"name": "small", "set": {"resources": {"requests": {"memory": "1Gi"}}}},
                    {"name": "large", "set": {"resources": {"limits": {"memory": "4Gi"}}}},
                ]}],
            },
        }))
        .unwrap();
        let from = |template: Option<&WorkspaceTemplate>, label: &str| {
            let values = facts(&workspace, template).values;
            let found = values.into_iter().find(|value| value.label == label);
            found.unwrap_or_else(|| panic!("{label}")).from
        };
        for (label, who) in [
            ("Image", "Template t"),
            ("size", "Template t"),
            ("CPU request", "Template t"),
            ("CPU limit", "Workspace"),
            ("Memory limit", "Template t"),
            ("Memory request", "Installation"),
            ("Stops when idle", "Installation"),
            ("Who may connect", "Installation"),
            ("Who may change it", "Template t"),
        ] {
            assert_eq!(from(Some(&template), label), who, "{label}");
        }
        assert_eq!(from(None, "Image"), "Template t, or the installation");
    }

    #[test]
    fn without_a_sample_a_sentence_says_so() {
        assert_eq!(usage_of(&[]).absent, "It is not measured yet.");
    }
}
