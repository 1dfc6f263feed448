//! Unit tests of `quotas`: quotas and limit ranges -> what fits (pure).

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
    assert!(frees(&quotas("team", &known, Some(&lab("4Gi"))), &lab("4Gi")));
    assert_eq!(line(&known, &lab("4Gi"), "pods").asked, "1");
}

#[test]
fn a_stop_helps_only_where_a_pod_does_not_fit() {
    let of = |resource: &str, used: &str, hard: &str| {
        let known = known(json!({
            "metadata": {"name": "q"},
            "spec": {"hard": {resource: hard}},
            "status": {"hard": {resource: hard}, "used": {resource: used}},
        }));
        let mut asked = lab("4Gi");
        asked.pod.remove("limits.cpu");
        let shown = quotas("team", &known, Some(&asked));
        assert_eq!(shown.lines[0].tone, Tone::Bad, "{resource}: {:?}", shown.lines);
        frees(&shown, &asked)
    };
    assert!(of("requests.memory", "6Gi", "8Gi"));
    assert!(of("pods", "1", "1"));
    for kept in ["count/workspaces.workspaces.jupyter.org", "services"] {
        assert!(!of(kept, "1", "1"), "{kept}");
    }
    assert!(!of("limits.cpu", "1", "4"), "the pod names no limit of CPU");
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

#[test]
fn a_line_of_each_kind_of_resource_says_what_is_asked() {
    let amounts = json!({"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"});
    let asked = asked(
        json!({"resources": {"requests": amounts, "limits": amounts}, "storage": {"size": "20Gi", "storageClassName": "fast"}}),
        json!({}),
    );
    let lines = [
        ("cpu", "2 CPU"),
        ("requests.cpu", "2 CPU"),
        ("limits.memory", "4 GiB"),
        ("requests.nvidia.com/gpu", "1"),
        ("pods", "1"),
        ("count/pods", "1"),
        ("requests.storage", "20 GiB"),
        ("fast.storageclass.storage.k8s.io/requests.storage", "20 GiB"),
        ("fast.storageclass.storage.k8s.io/persistentvolumeclaims", "1"),
        ("count/workspaces.workspaces.jupyter.org", "1"),
        ("count/services", "1"),
    ];
    for (resource, wanted) in lines {
        let known = known(json!({
            "metadata": {"name": "team"},
            "spec": {"hard": {resource: "1"}},
            "status": {"hard": {resource: "1"}, "used": {resource: "1"}},
        }));
        let line = line(&known, &asked, resource);
        assert_eq!(line.asked, wanted, "{resource}");
        assert_eq!(line.tone, Tone::Bad, "{resource}");
    }
    for resource in [
        "slow.storageclass.storage.k8s.io/requests.storage",
        "count/secrets",
        "services.loadbalancers",
    ] {
        let known = known(json!({"metadata": {"name": "team"}, "spec": {"hard": {resource: "0"}}}));
        let line = line(&known, &asked, resource);
        assert_eq!((&*line.asked, line.tone), ("", Tone::Calm), "{resource}");
    }
}

#[test]
fn a_bound_of_a_value_that_the_pod_lacks_does_not_fit() {
    let mut only_cpu = lab("1Gi");
    for resource in ["memory", "requests.memory", "limits.cpu"] {
        only_cpu.pod.remove(resource);
    }
    let mut bounded = known(json!({
        "metadata": {"name": "team"}, "spec": {"hard": {"requests.memory": "8Gi", "limits.cpu": "9"}},
    }));
    assert!(
        line(&bounded, &only_cpu, "requests.memory")
            .word
            .contains("requires a value")
    );
    assert_eq!(line(&bounded, &only_cpu, "limits.cpu").tone, Tone::Bad);
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "2", "memory": "2Gi"}, "defaultRequest": {"memory": "1Gi"}},
    ]}});
    bounded.ranges = Ok(vec![serde_json::from_value(range).unwrap()]);
    assert_eq!(line(&bounded, &only_cpu, "requests.memory").asked, "1 GiB");
    assert_eq!(line(&bounded, &only_cpu, "limits.cpu").asked, "2 CPU");
}

#[test]
fn a_scope_of_best_effort_counts_only_pods_that_ask_for_nothing() {
    let of = |scope: &str| {
        memory_quota(
            json!({"spec": {"hard": {"pods": "3"}, "scopes": [scope]}, "status": {"hard": {"pods": "3"}}}),
        )
    };
    let mut nothing = lab("1Gi");
    for resource in BOUNDED {
        nothing.pod.remove(resource);
    }
    for (scope, of_lab, of_nothing) in [("BestEffort", "", "1"), ("NotBestEffort", "1", "")] {
        assert_eq!(line(&of(scope), &lab("1Gi"), "pods").asked, of_lab, "{scope}");
        assert_eq!(line(&of(scope), &nothing, "pods").asked, of_nothing, "{scope}");
    }
}

#[test]
fn the_default_class_of_disks_is_not_guessed() {
    let lab = lab("1Gi");
    let resource = "fast.storageclass.storage.k8s.io/requests.storage";
    let known = known(json!({"metadata": {"name": "team"}, "spec": {"hard": {resource: "1Gi"}}}));
    assert_eq!(
        line(&known, &lab, resource).word,
        "Counts if fast is the default class"
    );
}

#[test]
fn without_a_workspace_each_line_says_which_part_is_used() {
    let shown = quotas("team", &memory_quota(json!({})), None);
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
