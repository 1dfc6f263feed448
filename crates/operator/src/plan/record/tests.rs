//! Records and changed inputs -> pending changes and restarts.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what `json!` makes is written where it is used"
)]

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};
use rules::{References, Settings};
use testkit::objects;

use super::*;
use crate::testing;

fn workspace(spec: Value) -> Workspace {
    let mut workspace = json!(objects::workspace("demo"));
    for (key, value) in spec.as_object().unwrap() {
        workspace["spec"][key] = value.clone();
    }
    serde_json::from_value(workspace).unwrap()
}

fn admit(workspace: &Workspace, template: Option<&WorkspaceTemplate>, settings: &Settings) -> ValidWorkspace {
    let manager = objects::manager("main");
    let references = References::managed_by([&manager]).with_template(template);
    rules::admit(workspace, &references, settings).unwrap()
}

fn valid(spec: Value) -> ValidWorkspace {
    testing::admit(&workspace(spec))
}

fn with_profile(spec: Value) -> ValidWorkspace {
    let profile: WorkspaceExecutionProfile =
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
    let manager = objects::manager("main");
    let references = References::managed_by([&manager]).with_profile(Some(&profile));
    let workspace = workspace(json!({"executionProfileRef": "p"}));
    rules::admit(&workspace, &references, &testing::settings()).unwrap()
}

#[test]
fn a_workspace_does_not_differ_from_itself() {
    let workspace = testing::valid();
    assert_eq!(pending(&record(&workspace), &workspace), Vec::<String>::new());
    assert!(!asks_for_restart(
        &record(&workspace),
        &workspace,
        UpdatePolicy::Always
    ));
}

#[test]
fn each_changed_field_is_named_by_its_path() {
    let before = record(&testing::valid());
    let after = valid(json!({
        "image": "example.com/other:1",
        "port": 9000,
        "containerConfig": {"args": ["--debug"]},
        "resources": {"limits": {"cpu": "2"}},
        "storage": {"size": "1Gi", "subPath": "work"},
        "shmSize": "64Mi",
        "env": [{"name": "A", "value": "b"}],
        "nodeSelector": {"example.com/disk": "ssd"},
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
        "lifecycle": {"preStop": {"exec": {"command": ["save"]}}},
        "tolerations": [{"operator": "Exists"}],
    }));
    let expected = [
        "spec.containerConfig.args",
        "spec.env",
        "spec.image",
        "spec.lifecycle",
        "spec.nodeSelector",
        "spec.port",
        "spec.readinessProbe",
        "spec.resources.limits.cpu",
        "spec.shmSize",
        "spec.storage.subPath",
        "spec.tolerations",
    ];
    assert_eq!(pending(&before, &after), expected);
}

#[test]
fn a_disk_for_an_ephemeral_home_is_pending() {
    let mut ephemeral = objects::workspace("demo");
    ephemeral.spec.storage = None;
    let before = record(&testing::admit(&ephemeral));
    assert_eq!(
        pending(&before, &testing::valid()),
        ["spec.storage"],
        "claimName was not set"
    );
    let mut borrowed = objects::workspace("demo");
    borrowed.spec.storage = serde_json::from_value(json!({"claimName": "data"})).unwrap();
    assert_eq!(
        pending(&before, &testing::admit(&borrowed)),
        ["spec.storage.claimName"]
    );
}

#[test]
fn a_changed_profile_is_pending_by_its_fields_and_another_one_by_the_reference() {
    let before = with_profile(json!({"serviceAccount": {"name": "a"}, "priorityClassName": "low"}));
    let after = with_profile(json!({"serviceAccount": {"name": "a"}, "env": [{"name": "A", "value": "b"}]}));
    let expected = [
        "executionProfile.spec.env",
        "executionProfile.spec.priorityClassName",
    ];
    assert_eq!(pending(&record(&before), &after), expected);
    let expected = [
        "executionProfile.spec.priorityClassName",
        "executionProfile.spec.serviceAccount",
        "spec.executionProfileRef",
    ];
    assert_eq!(pending(&record(&testing::valid()), &before), expected);
}

#[test]
fn a_token_s_audience_is_compared_with_its_variables_values() {
    let with = |audience: &str| {
        let token = json!({"audience": audience, "path": "/var/run/tokens/hub"});
        with_profile(json!({"serviceAccount": {"name": "a"}, "projectedTokens": [token]}))
    };
    let before = record(&with("https://hub/uid-of-demo"));
    assert_eq!(pending(&before, &with("https://hub/{workspace.uid}")), [""; 0]);
    assert_eq!(
        pending(&before, &with("https://hub/{workspace.namespace}")),
        ["executionProfile.spec.projectedTokens"]
    );
}

#[test]
fn a_new_size_or_name_or_access_rule_is_no_pending_update() {
    let before = record(&testing::valid());
    let after = valid(json!({"displayName": "another", "accessType": "Public", "storage": {"size": "2Gi"}}));
    assert_eq!(pending(&before, &after), Vec::<String>::new());
}

#[test]
fn a_change_of_routing_mode_is_pending_and_restarts_with_update_policy_always() {
    let mut workspace = valid(json!({}));
    let on_its_own_host = record(&workspace);
    workspace.base_path = Some("/workspaces/team-demo/demo".to_owned());
    assert_eq!(pending(&on_its_own_host, &workspace), ["manager.basePath"]);
    assert!(!asks_for_restart(
        &on_its_own_host,
        &workspace,
        UpdatePolicy::OnStop
    ));
    assert!(asks_for_restart(
        &on_its_own_host,
        &workspace,
        UpdatePolicy::Always
    ));
    let in_a_folder = record(&workspace);
    assert_eq!(pending(&in_a_folder, &workspace), Vec::<String>::new());
    workspace.base_path = None;
    assert_eq!(pending(&in_a_folder, &workspace), ["manager.basePath"]);
}

#[test]
fn always_restarts_for_a_change_of_workspace_or_profile_and_on_stop_never() {
    let before = record(&testing::valid());
    let profile = with_profile(json!({"priorityClassName": "low"}));
    for after in [valid(json!({"port": 9000})), profile] {
        assert!(asks_for_restart(&before, &after, UpdatePolicy::Always));
        assert!(!asks_for_restart(&before, &after, UpdatePolicy::OnStop));
    }
}

#[test]
fn a_pod_template_is_recorded_by_its_template_and_another_one_is_pending_and_restarts_nothing() {
    let of = |uid: &str, pod_template: Value| {
        let mut template = objects::template("t");
        template.metadata.uid = Some(uid.to_owned());
        template.spec.pod_template = serde_json::from_value(pod_template).unwrap();
        admit(
            &workspace(json!({"templateRef": "t"})),
            Some(&template),
            &testing::settings(),
        )
    };
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    let clone =
        json!({"name": "clone", "image": "i:1", "resources": {"requests": amounts, "limits": amounts}});
    let first = of(
        "u-1",
        json!({"spec": {"initContainers": [clone], "hostname": "a"}}),
    );
    let recorded = record(&first);
    assert_eq!(init_containers(&recorded), ["clone"]);
    assert!(!recorded.contains("hostname"), "{recorded}");
    assert_eq!(pending(&recorded, &first), [""; 0]);
    for other in [
        of("u-2", json!({"spec": {"hostname": "b"}})),
        of("u-2", json!(null)),
    ] {
        assert_eq!(pending(&recorded, &other), ["template.podTemplate"]);
        assert!(!asks_for_restart(&recorded, &other, UpdatePolicy::Always));
    }
    assert!(!record(&of("u-1", json!(null))).contains("podTemplate"));
}

#[test]
fn a_recreated_template_is_pending_and_restarts_no_workspace() {
    let workspace = workspace(json!({"templateRef": "t"}));
    let mut template = objects::template("t");
    let settings = testing::settings();
    let before = record(&admit(&workspace, Some(&template), &settings));
    template.metadata.uid = Some("another".to_owned());
    template.spec.default_port = Some(9000);
    let after = admit(&workspace, Some(&template), &settings);
    assert_eq!(pending(&before, &after), ["spec.port"]);
    assert!(!asks_for_restart(&before, &after, UpdatePolicy::Always));
}

#[test]
fn a_new_restarted_at_restarts_once_and_its_removal_not() {
    let at = |time: Option<&str>| {
        let mut workspace = testing::valid();
        workspace.restarted_at = time.map(str::to_owned);
        workspace
    };
    let asks = |before, after| asks_for_restart(&record(&at(before)), &at(after), UpdatePolicy::OnStop);
    assert!(asks(None, Some("1")));
    assert!(asks(Some("1"), Some("2")));
    assert!(!asks(Some("2"), Some("2")));
    assert!(!asks(Some("2"), None));
    assert_eq!(pending(&record(&at(None)), &at(Some("1"))), Vec::<String>::new());
}

#[test]
fn what_another_build_recorded_besides_is_no_difference() {
    let workspace = testing::valid();
    let mut record: Value = serde_json::from_str(&record(&workspace)).unwrap();
    record["spec"]["companions"] = json!([{"name": "x"}]);
    record["executionProfile"] = json!({"spec": {"another": true}});
    record["more"] = json!({"a": 1});
    assert_eq!(pending(&record.to_string(), &workspace), Vec::<String>::new());
    record["spec"].as_object_mut().unwrap().remove("tolerations");
    assert_eq!(pending(&record.to_string(), &workspace), Vec::<String>::new());
}

#[test]
fn a_record_stays_small_and_still_shows_a_difference() {
    let mut large = testing::valid();
    let variable =
        |number: usize, letter: &str| json!({"name": format!("V{number}"), "value": letter.repeat(300)});
    let env: Vec<_> = (0..2000).map(|number| variable(number, "x")).collect();
    large.given.env = serde_json::from_value(json!(env)).unwrap();
    let before = record(&large);
    assert!(before.len() <= MAX_RECORD, "{}", before.len());
    assert_eq!(pending(&before, &large), Vec::<String>::new());
    large.given.env[7] = serde_json::from_value(variable(7, "y")).unwrap();
    assert_eq!(pending(&before, &large), ["spec.env"]);
    large.given.env.clear();
    assert_eq!(pending(&before, &large), ["spec.env"]);
}

#[test]
fn an_unreadable_record_is_pending_and_restarts_no_workspace() {
    let workspace = testing::valid();
    for record in ["{broken", "7", r#"{"format": 99}"#, r#"{"spec": {"port": 1}}"#] {
        assert_eq!(pending(record, &workspace), [WHOLE_SPEC], "{record}");
        assert!(!asks_for_restart(record, &workspace, UpdatePolicy::Always));
    }
}

#[test]
fn every_field_that_is_part_of_the_pod_is_recorded() {
    let record = inputs(&testing::valid());
    let written: Vec<_> = record["spec"].as_object().unwrap().keys().collect();
    assert_eq!(written, api::fields::workspace::IN_POD);
}

#[test]
fn recovery_is_one_pending_change_both_ways_and_no_record_of_another_run_has_it() {
    let fields = json!({"image": "example.com/other:1", "env": [{"name": "A", "value": "b"}], "port": 9000});
    let in_recovery = |mut spec: Value| {
        spec["recoveryMode"] = json!(true);
        valid(spec)
    };
    let (ordinary, recovery) = (valid(fields.clone()), in_recovery(fields.clone()));
    let (of_ordinary, of_recovery) = (record(&ordinary), record(&recovery));
    assert!(
        !of_ordinary.contains("recoveryMode"),
        "an upgrade changes no record"
    );
    assert!(is_recovery(&of_recovery) && !is_recovery(&of_ordinary));
    assert_eq!(pending(&of_ordinary, &recovery), ["spec.recoveryMode"]);
    assert_eq!(pending(&of_recovery, &ordinary), ["spec.recoveryMode"]);
    for (recorded, today) in [(&of_ordinary, &recovery), (&of_recovery, &ordinary)] {
        assert!(asks_for_restart(recorded, today, UpdatePolicy::Always));
        assert!(!asks_for_restart(recorded, today, UpdatePolicy::OnStop));
    }
    // What does not reach the pod in recovery waits for the normal start, and is no change of this run.
    let edited = in_recovery(json!({"image": "example.com/another:1", "port": 9000}));
    assert_eq!(pending(&of_recovery, &edited), [""; 0]);
    let moved = in_recovery(json!({"port": 9001}));
    assert_eq!(pending(&of_recovery, &moved), ["spec.port"]);
    assert_eq!(pending(&of_recovery, &recovery), [""; 0]);
}

#[test]
fn a_text_of_a_user_does_not_make_a_run_one_in_recovery() {
    let forged =
        json!([{"name": "A", "value": "\"recoveryMode\":true"}, {"name": "recoveryMode", "value": "true"}]);
    assert!(!is_recovery(&record(&valid(json!({"env": forged})))));
}

#[test]
fn labels_that_the_template_names_are_of_the_pod_and_a_change_waits_for_the_next_start() {
    let mut template = json!(objects::template("t"));
    template["spec"]["labelRequirements"] = json!([{"name": "course"}, {"name": "term"}]);
    let template: WorkspaceTemplate = serde_json::from_value(template).unwrap();
    let of = |labels: Value| {
        let mut workspace = json!(workspace(json!({"templateRef": "t"})));
        workspace["metadata"]["labels"] = labels;
        let workspace = serde_json::from_value(workspace).unwrap();
        admit(&workspace, Some(&template), &testing::settings())
    };
    let before = of(json!({"course": "ml", "note": "mine"}));
    assert_eq!(json!(before.required_labels), json!({"course": "ml"}));
    let recorded = record(&before);
    assert_eq!(
        pending(&recorded, &of(json!({"course": "ml", "note": "other"}))),
        [""; 0]
    );
    assert_eq!(
        pending(&recorded, &of(json!({"course": "ai"}))),
        ["metadata.labels"]
    );
    let mut earlier: Value = serde_json::from_str(&recorded).unwrap();
    earlier.as_object_mut().unwrap().remove("metadata");
    assert_eq!(
        pending(&earlier.to_string(), &before),
        [""; 0],
        "of a build before"
    );
}
