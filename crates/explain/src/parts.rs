//! A template, a workspace of it -> its choices, further disks and objects, in words (pure).

use std::collections::BTreeMap;

use api::condition::{DEGRADED, find, reason};
use api::template::{PresentedOption, TemplateObject, VolumeClaim, When};
use api::workspace::{ClaimStatus, DesiredStatus, Retain};
use api::{Workspace, WorkspaceStatus, WorkspaceTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use rules::objects::{self, kind_of};
use rules::options::in_words;

use super::{Cause, Evidence, Finding, of_workspace};

/// A disk or an object, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the template.
    pub name: String,
    /// What it is, and its state if it is a workspace's.
    pub text: String,
}

/// The name of an option for users.
pub fn option_in_words<'a>(template: Option<&'a WorkspaceTemplate>, option: &'a str) -> &'a str {
    let texts = presented(template, option);
    texts.and_then(|it| it.display_name.as_deref()).unwrap_or(option)
}

/// The name of a choice for users, and why it goes away.
pub fn choice_in_words(template: Option<&WorkspaceTemplate>, option: &str, choice: &str) -> String {
    let texts = presented(template, option).and_then(|it| it.choices.get(choice));
    let name = texts.and_then(|it| it.display_name.as_deref()).unwrap_or(choice);
    match texts.and_then(|it| it.deprecated.as_deref()) {
        Some(why) => format!("{name}. Deprecated: {why}"),
        None => name.to_owned(),
    }
}

fn presented<'a>(template: Option<&'a WorkspaceTemplate>, option: &str) -> Option<&'a PresentedOption> {
    template?.spec.presentation.as_ref()?.options.get(option)
}

/// The further disks that a template gives each workspace.
pub fn disks_of_template(claims: &[VolumeClaim]) -> Vec<Part> {
    let part = |claim: &VolumeClaim| {
        let requests = claim.spec.resources.requests.as_ref();
        let size = requests.and_then(|requests| requests.get("storage"));
        let mut text = size.map_or_else(|| "any size".to_owned(), |size| size.0.clone());
        if let Some(path) = &claim.mount_path {
            text.extend([" at ", path.as_str()]);
        }
        if claim.read_only {
            text.push_str(", read-only");
        }
        if claim.retain == Some(Retain::Retain) {
            text.push_str(", kept when the workspace is deleted");
        }
        of_template(&claim.name, text, &claim.when)
    };
    claims.iter().map(part).collect()
}

/// The further objects that a template gives each workspace.
pub fn objects_of_template(objects: &[TemplateObject]) -> Vec<Part> {
    let part = |object: &TemplateObject| {
        let kind = kind_of(&object.manifest);
        let text = kind.map(|it| format!("{} of {}", it.kind, it.api_version));
        of_template(&object.name, text.unwrap_or_default(), &object.when)
    };
    objects.iter().map(part).collect()
}

fn of_template(name: &str, mut text: String, when: &When) -> Part {
    if !when.is_empty() {
        text.extend(["; only with ", &in_words(when)]);
    }
    Part {
        name: name.to_owned(),
        text,
    }
}

/// The further objects that a workspace should have by its choices, each with what is known of it.
pub fn objects(template: &WorkspaceTemplate, workspace: &Workspace) -> Vec<Part> {
    let nothing = BTreeMap::new();
    let resolved = workspace.status.as_ref().and_then(|it| it.resolved.as_ref());
    let chosen = resolved.map_or(&nothing, |resolved| &resolved.options);
    let wanted = objects::of_choices(workspace, &template.spec, chosen);
    let part = |(name, object): (&str, objects::RenderedObject)| Part {
        name: name.to_owned(),
        text: format!(
            "{} {}, {}",
            object.kind.kind,
            object.name,
            state(workspace, &object)
        ),
    };
    wanted.into_iter().map(part).collect()
}

/// What is known of an object. The operator makes it with the pod. `Degraded` tells of all objects that fail, or of something that is worse.
fn state(workspace: &Workspace, object: &objects::RenderedObject) -> &'static str {
    let status = workspace.status.as_ref();
    if workspace.spec.desired_status == DesiredStatus::Stopped {
        return "not there while the workspace is stopped";
    }
    let conditions = status.map_or(&[][..], |status| status.conditions.as_slice());
    match find(conditions, DEGRADED).filter(|it| it.status == "True") {
        Some(problem) if is_told(problem, object) => "not as the template has it: see why it is Degraded",
        Some(_) => "not known while Degraded tells of something else",
        None if status.is_some_and(|status| status.pod_name.is_some()) => "made",
        None => "made with the pod",
    }
}

/// Whether a problem is the object's: its message has the object's name, or the kind with its version where that cannot be used.
fn is_told(problem: &Condition, object: &objects::RenderedObject) -> bool {
    let words = problem.message.split([' ', ':', ',']);
    let words: Vec<_> = words.map(|word| word.trim_matches(['"', '.'])).collect();
    let kind = [object.kind.api_version.as_str(), object.kind.kind.as_str()];
    words.contains(&object.name.as_str())
        || problem.reason == reason::OBJECT_FAILED && words.windows(2).any(|pair| pair == kind)
}

/// What a workspace has of its template.
pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let workspace = evidence.workspace;
    let Some(status) = &workspace.status else {
        return Vec::new();
    };
    if workspace.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let mut found = Vec::from_iter(choices(evidence, status));
    found.extend(status.claims.iter().map(|claim| disk(workspace, status, claim)));
    if let Some(template) = evidence.template {
        let objects = objects(template, workspace).into_iter();
        found.extend(objects.map(|part| object(template, &part)));
    }
    found
}

/// What is chosen, in the template's order.
fn choices(evidence: &Evidence<'_>, status: &WorkspaceStatus) -> Option<Finding> {
    let (workspace, template) = (evidence.workspace, evidence.template);
    let mut chosen: Vec<_> = status.resolved.as_ref()?.options.iter().collect();
    if chosen.is_empty() {
        return None;
    }
    let options = template.map_or(&[][..], |it| it.spec.options.as_slice());
    chosen.sort_by_key(|(name, _)| options.iter().position(|option| option.name == **name));
    let words = chosen.iter().map(|(option, choice)| {
        let label = option_in_words(template, option);
        format!("{label}: {}", choice_in_words(template, option, choice))
    });
    let because = chosen.iter().map(|(option, choice)| {
        let field = format!("status.resolved.options[{option}]");
        of_workspace(workspace, &field, choice.as_str(), None)
    });
    Some(Finding {
        what: format!("Its choices are: {}.", words.collect::<Vec<_>>().join("; ")),
        because: because.collect(),
        ..Finding::default()
    })
}

/// A further disk. What blocks the workspace is in a condition, and is not said again.
fn disk(workspace: &Workspace, status: &WorkspaceStatus, claim: &ClaimStatus) -> Finding {
    let mut conditions = status.conditions.iter();
    let is_told = claim
        .message
        .as_ref()
        .is_some_and(|message| conditions.any(|it| it.message.starts_with(message)));
    let shown = ClaimStatus {
        message: claim.message.clone().filter(|_| !is_told),
        ..claim.clone()
    };
    let end = if shown.message.is_none() { "." } else { "" };
    Finding {
        what: format!("Its disk {}: {}{end}", claim.name, shown.in_words()),
        reason: claim.reason.clone().filter(|_| !is_told),
        because: vec![of_workspace(
            workspace,
            &format!("status.claims[{}]", claim.name),
            claim
                .reason
                .as_deref()
                .or(claim.phase.as_deref())
                .unwrap_or("not made"),
            None,
        )],
        ..Finding::default()
    }
}

fn object(template: &WorkspaceTemplate, part: &Part) -> Finding {
    let named = template.spec.objects.iter().find(|it| it.name == part.name);
    let kind = named.and_then(|it| kind_of(&it.manifest));
    Finding {
        what: format!("Its object {}: {}.", part.name, part.text),
        because: vec![Cause {
            object: format!("WorkspaceTemplate {}", template.name_any()),
            field: format!("spec.objects[{}]", part.name),
            value: kind.map(|it| it.to_string()).unwrap_or_default(),
            time: None,
        }],
        ..Finding::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn template() -> WorkspaceTemplate {
        let manifest = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "{workspace.name}-{tier}"}});
        let template = json!({"metadata": {"name": "lab"}, "spec": {
            "displayName": "Lab", "defaultImage": "lab:1",
            "options": [
                {"name": "size", "choices": [{"name": "s", "default": true}, {"name": "l", "set": {"variables": {"tier": "fast"}}}]},
                {"name": "gpu", "choices": [{"name": "a100"}]},
            ],
            "presentation": {"options": {"size": {
                "displayName": "Machine", "choices": {"l": {"displayName": "Large", "deprecated": "It ends in May."}},
            }}},
            "volumeClaims": [
                {"name": "db", "retain": "Retain", "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}},
                {
                    "name": "data", "mountPath": "/data", "readOnly": true, "when": {"size": ["l"]},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Ti"}}},
                },
            ],
            "objects": [{"name": "queue", "when": {"size": ["l"]}, "manifest": manifest}],
        }});
        serde_json::from_value(template).unwrap()
    }

    fn workspace(desired: &str, size: &str, status: Value) -> Workspace {
        let mut object = json!({
            "metadata": {"name": "demo", "namespace": "team"}, "spec": {"displayName": "d", "desiredStatus": desired}, "status": status,
        });
        object["status"]["resolved"] = json!({"options": {"gpu": "a100", "size": size}});
        serde_json::from_value(object).unwrap()
    }

    fn whats(workspace: &Workspace, template: Option<&WorkspaceTemplate>) -> Vec<String> {
        let evidence = Evidence {
            template,
            ..Evidence::of(workspace)
        };
        findings(&evidence).into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn a_template_s_disks_and_objects_are_named_with_their_conditions() {
        let spec = template().spec;
        let texts = |parts: Vec<Part>| parts.into_iter().map(|it| format!("{}: {}", it.name, it.text));
        let disks: Vec<_> = texts(disks_of_template(&spec.volume_claims)).collect();
        assert_eq!(
            disks,
            [
                "db: 2Gi, kept when the workspace is deleted",
                "data: 1Ti at /data, read-only; only with size: l",
            ]
        );
        let objects: Vec<_> = texts(objects_of_template(&spec.objects)).collect();
        assert_eq!(objects, ["queue: Widget of example.com/v1; only with size: l"]);
    }

    #[test]
    fn choices_are_told_by_their_names_in_the_template_s_order() {
        let chosen = workspace("Running", "l", json!({}));
        let template = template();
        assert_eq!(
            whats(&chosen, Some(&template))[0],
            "Its choices are: Machine: Large. Deprecated: It ends in May.; gpu: a100."
        );
        // Whoever may not read the template sees its words.
        assert_eq!(whats(&chosen, None), ["Its choices are: gpu: a100; size: l."]);
    }

    #[test]
    fn an_object_is_told_with_what_is_known_of_it() {
        let template = template();
        let told = |desired: &str, size: &str, degraded: Value, pod: Value| {
            let status = json!({"podName": pod, "conditions": degraded});
            whats(&workspace(desired, size, status), Some(&template)).split_off(1)
        };
        let degraded = |reason: &str, message: &str| {
            let time = "2026-01-01T11:50:00Z";
            json!([{"type": "Degraded", "status": "True", "reason": reason, "message": message, "lastTransitionTime": time}])
        };
        let pod = || json!("workspace-demo");
        let is = |state: &str| vec![format!("Its object queue: Widget demo-fast, {state}.")];
        let whole = || json!([]);
        for (desired, pod, state) in [
            ("Running", pod(), "made"),
            ("Running", Value::Null, "made with the pod"),
            ("Stopped", Value::Null, "not there while the workspace is stopped"),
        ] {
            assert_eq!(told(desired, "l", whole(), pod), is(state), "{desired}");
        }
        for (reason, message, is_its_own) in [
            ("ObjectFailed", "The Widget demo-fast was refused: no room.", true),
            (
                "ObjectFailed",
                "example.com/v1 Widget is not installed on this cluster.",
                true,
            ),
            (
                "NameConflict",
                "A Gadget named demo exists and is not this workspace's. The Widget demo-fast was refused: no room.",
                true,
            ),
            (
                "ObjectFailed",
                "The Widget demo-fast-2 was refused: no room.",
                false,
            ),
            (
                "ObjectFailed",
                "example.com/v1 WidgetSet is not installed on this cluster.",
                false,
            ),
        ] {
            let state = if is_its_own {
                "not as the template has it: see why it is Degraded"
            } else {
                "not known while Degraded tells of something else"
            };
            let found = told("Running", "l", degraded(reason, message), pod());
            assert_eq!(found, is(state), "{message}");
        }
        assert_eq!(
            told("Running", "s", json!([]), pod()),
            [""; 0],
            "it hangs on a choice"
        );
    }
}
