//! A workspace -> its values, its disk, and who may connect (pure).

use api::Workspace;
use api::workspace::{AccessType, OwnershipType, UpdatePolicy};
use jiff::Timestamp;
use kube::ResourceExt as _;
use rules::files::{Disk, Moment};

use super::answers::{link, note};
use super::may::MayBeside;
use super::summary::path;
use super::words::{amount, bytes, short};
use crate::app::Context;
use crate::index::{access_type, resolved_values};
use crate::views::{Access, AccessRule, Fact, Facts, Tone, Value};
use crate::visible::VisibleWorkspace;

/// Values that are in force, with what the workspace itself says.
pub(super) fn facts(workspace: &Workspace) -> Facts {
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
    let mut values = vec![value("Image", resolved.image.clone(), spec.image.clone())];
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
        (
            "Maximum age",
            resolved.max_age_minutes,
            own_limits.max_age_minutes,
        ),
        (
            "Stops when not ready for",
            resolved.failed_timeout_minutes,
            own_limits.failed_timeout_minutes,
        ),
    ] {
        values.push(value(label, minutes.map(span), own.map(span)));
    }
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
    Facts {
        values: values.into_iter().flatten().collect(),
        disk: disk(workspace),
    }
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
    let disk = Disk::from_workspace(workspace);
    let (stop, deletion) = (
        disk.fate(Moment::Stop),
        disk.fate(Moment::Deletion(&workspace.name_any())),
    );
    let kept = match (stop.loses_files, deletion.loses_files) {
        (true, _) => stop.text,
        (false, true) => "kept until the workspace is deleted".to_owned(),
        (false, false) => deletion.text,
    };
    facts.push(fact("Files", kept));
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
    if access_type(workspace).admits_everyone() {
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
