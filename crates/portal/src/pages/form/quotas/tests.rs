use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use rules::{Settings, effective};
use serde_json::{Value, json};

use super::*;

fn asked(spec: Value, template: Value) -> Asked {
    let mut base = json!({"displayName": "lab"});
    json_patch::merge(&mut base, &spec);
    let spec: WorkspaceSpec = serde_json::from_value(base).unwrap();
    let mut base =
        json!({"displayName": "t", "defaultImage": "uv", "primaryStorage": {"defaultSize": "10Gi"}});
    json_patch::merge(&mut base, &template);
    let template: WorkspaceTemplateSpec = serde_json::from_value(base).unwrap();
    Asked::of(&effective(
        &spec,
        Some(&template),
        &Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap(),
    ))
}

fn lab(memory: &str) -> Asked {
    let amounts = json!({"cpu": "1", "memory": memory});
    asked(
        json!({"resources": {"requests": amounts, "limits": amounts}}),
        json!({}),
    )
}

fn known(quota: Value) -> Known {
    Known {
        quotas: Ok(vec![serde_json::from_value(quota).unwrap()]),
        ranges: Ok(Vec::new()),
    }
}

fn memory_quota(extra: Value) -> Known {
    let mut quota = json!({
        "metadata": {"name": "team"},
        "spec": {"hard": {"requests.memory": "8Gi", "pods": "10"}},
        "status": {"hard": {"requests.memory": "8Gi", "pods": "10"}, "used": {"requests.memory": "6Gi", "pods": "3"}},
    });
    json_patch::merge(&mut quota, &extra);
    known(quota)
}

fn line(known: &Known, asked: &Asked, resource: &str) -> QuotaLine {
    let lines = quotas("team", known, Some(asked)).lines;
    lines.into_iter().find(|line| line.resource == resource).unwrap()
}

#[test]
fn a_line_says_what_is_used_what_is_asked_and_what_is_too_much() {
    let known = memory_quota(json!({}));
    let fits = line(&known, &lab("2Gi"), "requests.memory");
    assert_eq!(
        (&*fits.used, &*fits.asked, &*fits.hard),
        ("6 GiB", "2 GiB", "8 GiB")
    );
    assert_eq!(fits.tone, Tone::Good);
    let short = line(&known, &lab("4Gi"), "requests.memory");
    assert_eq!(short.tone, Tone::Bad);
    assert_eq!(short.word, "Does not fit: 2 GiB too much");
    assert!(is_short(&quotas("team", &known, Some(&lab("4Gi")))));
    assert_eq!(line(&known, &lab("4Gi"), "pods").asked, "1");
}

#[test]
fn a_running_workspace_asks_only_for_more_than_it_has() {
    let known = memory_quota(json!({}));
    let more = |runs| lab("3Gi").beyond(&lab("2Gi"), runs);
    assert_eq!(line(&known, &more(true), "requests.memory").asked, "1 GiB");
    assert_eq!(line(&known, &more(true), "pods").asked, "");
    assert_eq!(line(&known, &more(false), "requests.memory").asked, "3 GiB");
    let less = lab("1Gi").beyond(&lab("2Gi"), true);
    assert_eq!(line(&known, &less, "requests.memory").asked, "");
}

#[test]
fn a_quota_that_does_not_count_the_pod_asks_nothing() {
    let terminating = memory_quota(json!({"spec": {"scopes": ["Terminating"]}}));
    assert_eq!(line(&terminating, &lab("4Gi"), "requests.memory").asked, "");
    let counted = memory_quota(json!({"spec": {"scopes": ["NotTerminating"]}}));
    assert_eq!(line(&counted, &lab("4Gi"), "requests.memory").tone, Tone::Bad);
    let priority =
        json!({"matchExpressions": [{"operator": "In", "scopeName": "PriorityClass", "values": ["high"]}]});
    let unknown = line(
        &memory_quota(json!({"spec": {"scopeSelector": priority}})),
        &lab("4Gi"),
        "requests.memory",
    );
    assert_eq!((unknown.tone, &*unknown.asked), (Tone::Calm, ""));
}

#[test]
fn disks_and_containers_that_run_beside_count() {
    let quota = known(json!({
        "metadata": {"name": "team"},
        "spec": {"hard": {"requests.storage": "20Gi", "fast.storageclass.storage.k8s.io/requests.storage": "5Gi"}},
        "status": {"used": {}},
    }));
    let asked = asked(
        json!({"storage": {"storageClassName": "fast"}, "resources": {"limits": {"memory": "1Gi"}}}),
        json!({"defaultInitContainers": [
            {"name": "a", "image": "i", "restartPolicy": "Always", "resources": {"limits": {"memory": "1Gi"}}},
            {"name": "b", "image": "i", "resources": {"limits": {"memory": "8Gi"}}},
        ]}),
    );
    assert_eq!(line(&quota, &asked, "requests.storage").tone, Tone::Good);
    let of_class = line(
        &quota,
        &asked,
        "fast.storageclass.storage.k8s.io/requests.storage",
    );
    assert_eq!((of_class.tone, &*of_class.hard), (Tone::Bad, "5 GiB"));
    assert_eq!(asked.amount("limits.memory"), "8Gi".parse().ok());
}

#[test]
fn a_limit_range_that_refuses_the_pod_is_said() {
    let range = json!({"metadata": {"name": "small"}, "spec": {"limits": [
        {"type": "Container", "max": {"memory": "2Gi"}, "min": {"cpu": "2"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "5Gi"}},
    ]}});
    let known = Known {
        quotas: Ok(Vec::new()),
        ranges: Ok(vec![serde_json::from_value(range).unwrap()]),
    };
    let notes = quotas("team", &known, Some(&lab("4Gi"))).notes;
    let texts: Vec<_> = notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "LimitRange `small` admits at most 2 GiB for a Container; this asks for 4 GiB.",
            "LimitRange `small` admits at least 2 CPU for a Container; this asks for 1 CPU.",
            "LimitRange `small` admits at most 5 GiB for a PersistentVolumeClaim; this asks for 10 GiB.",
        ]
    );
}

#[test]
fn quotas_that_cannot_be_read_are_said_to_be_unknown() {
    let known = Known {
        quotas: Err("no right".to_owned()),
        ranges: Ok(Vec::new()),
    };
    assert_eq!(
        quotas("team", &known, None).absent,
        "Quotas cannot be read: no right"
    );
}
