//! Objects that workspaces refer to get a finalizer before the first child, and lose it with the last workspace.

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    condition::{self, TERMINATING, VALID, reason},
    names::IN_USE_FINALIZER,
    workspace::Phase,
};
use http::Method;
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::ResourceExt as _;
use operator::controllers::{catalog, catalog::CatalogState, resync};
use serde_json::json;
use testkit::{
    api_server::Disruption,
    objects::{self, NAMESPACE},
};

use tokio_util::sync::CancellationToken;

use crate::{
    outages::{begin_with_context, within},
    stage::{Stage, is_protected},
};

/// `demo` and a template `t` that it refers to; nothing was used yet.
fn with_template() -> Stage {
    let stage = Stage::new();
    stage.server.put(&objects::template("t"));
    stage.server.put(&user("demo"));
    stage
}

fn user(name: &str) -> Workspace {
    let mut workspace = objects::workspace(name);
    workspace.spec.template_ref = Some("t".to_owned());
    workspace
}

fn template(stage: &Stage) -> Option<WorkspaceTemplate> {
    stage.server.get(None, "t")
}

fn is_held(stage: &Stage) -> bool {
    is_protected(&template(stage).unwrap())
}

fn delete_template(stage: &Stage) {
    stage.server.edit::<WorkspaceTemplate>(None, "t", |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
    });
}

async fn reconcile_catalog(stage: &mut Stage, catalog_state: &CatalogState) -> Option<std::time::Duration> {
    stage.sync();
    catalog::reconcile(&stage.context, catalog_state).await
}

/// Until nothing is due any more.
async fn settle(stage: &mut Stage, catalog_state: &CatalogState) {
    for _ in 0..4 {
        reconcile_catalog(stage, catalog_state).await;
    }
    stage.sync();
}

/// One reconcile over `demo`, without a catalog controller.
async fn reconcile_alone(stage: &mut Stage) {
    stage.sync();
    stage.reconcile_unsynced("demo").await.unwrap();
}

#[tokio::test]
async fn no_child_is_made_before_the_cache_shows_the_finalizer_and_waiting_costs_nothing() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.sync();
    let beats = stage.context.stores.changes.subscribe();
    stage.server.take_calls();
    for _ in 0..2 {
        reconcile_alone(&mut stage).await;
    }
    assert_eq!(stage.server.take_calls().len(), 0);
    assert!(
        beats.has_changed().unwrap(),
        "the catalog controller is triggered"
    );

    catalog::reconcile(&stage.context, &catalog_state).await;
    assert!(is_held(&stage));
    stage.server.take_calls();
    stage.reconcile_unsynced("demo").await.unwrap();
    assert_eq!(
        stage.server.take_calls().len(),
        0,
        "the cache does not show it yet"
    );
    reconcile_alone(&mut stage).await;
    assert!(stage.child::<Pod>().is_some());
    let writes = stage.writes();
    assert!(
        writes.iter().all(|write| !write.contains("workspacetemplates")),
        "{writes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_workspace_starts_by_itself_once_all_that_it_refers_to_has_the_finalizer() {
    let stage = with_template();
    stage.server.put(&objects::manager("main"));
    stage.server.put(&objects::execution_profile("p", &json!({})));
    stage.edit_spec(|spec| spec["executionProfileRef"] = json!("p"));
    let (_process, context) = begin_with_context(&stage);
    let catalog = async {
        context.stores.until_filled().await.unwrap();
        let known = CatalogState::default();
        resync::run(&context.stores.changes, &CancellationToken::new(), async || {
            catalog::reconcile(&context, &known).await
        })
        .await;
    };
    let limit = std::time::Duration::from_secs(10);
    tokio::select! {
        () = catalog => panic!("the catalog controller has ended"),
        () = within("a start", limit, || !stage.is_ending()) => {}
    }
    assert!(is_held(&stage));
    assert!(stage.all::<WorkspaceManager>().iter().all(is_protected));
    assert!(stage.all::<WorkspaceExecutionProfile>().iter().all(is_protected));
}

#[tokio::test]
async fn a_template_that_vanishes_at_the_very_moment_gets_no_user() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.server.disrupt(
        Method::PATCH,
        "workspacetemplates",
        Disruption::Meanwhile(Box::new(|server| {
            server.remove::<WorkspaceTemplate>(None, "t");
        })),
    );
    reconcile_catalog(&mut stage, &catalog_state).await;
    assert!(template(&stage).is_none(), "it must not come back");
    reconcile_alone(&mut stage).await;
    assert!(stage.child::<Pod>().is_none());
    assert_eq!(stage.status().reason.as_deref(), Some(reason::TEMPLATE_NOT_FOUND));
}

#[tokio::test]
async fn a_template_that_is_deleted_during_a_first_start_stays_for_that_workspace() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    settle(&mut stage, &catalog_state).await;
    // The start reconciles its check, and meanwhile the template is deleted. The caches show no child and no status yet.
    stage.reconcile_unsynced("demo").await.unwrap();
    delete_template(&stage);
    stage.sync_one(1);
    for _ in 0..2 {
        catalog::reconcile(&stage.context, &catalog_state).await;
    }
    assert!(is_held(&stage));
    settle(&mut stage, &catalog_state).await;
    assert_eq!(template(&stage).unwrap().status.unwrap().in_use_by, Some(1));
    stage.reconcile().await.unwrap();
    assert!(condition::holds(&stage.status().conditions, VALID));
}

#[tokio::test]
async fn a_deletion_waits_for_two_users_with_one_event_and_ends_with_the_last() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.server.put(&user("second"));
    stage.reconcile().await.unwrap();
    stage.reconcile_unsynced("second").await.unwrap();
    delete_template(&stage);
    settle(&mut stage, &catalog_state).await;
    let reported = |stage: &Stage| {
        let events = stage.events();
        events.iter().filter(|it| *it == reason::TEMPLATE_IN_USE).count()
    };
    assert_eq!(reported(&stage), 1);
    let mut events = stage.all::<Event>().into_iter();
    let event = events
        .find(|event| event.reason.as_deref() == Some(reason::TEMPLATE_IN_USE))
        .unwrap();
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let note = event.note.unwrap();
    assert!(note.starts_with("2 workspaces use this template"), "{note}");
    assert!(note.ends_with("--field-selector spec.templateRef=t"), "{note}");
    let waiting = |stage: &Stage| {
        let conditions = template(stage).unwrap().status.unwrap().conditions;
        condition::find(&conditions, TERMINATING).unwrap().message.clone()
    };
    assert_eq!(waiting(&stage), note);

    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    settle(&mut stage, &CatalogState::default()).await;
    assert!(
        waiting(&stage).starts_with("1 workspace uses"),
        "{}",
        waiting(&stage)
    );
    stage.server.remove::<Workspace>(Some(NAMESPACE), "second");
    settle(&mut stage, &catalog_state).await;
    assert!(template(&stage).is_none());
    assert_eq!(reported(&stage), 1);
}

#[tokio::test]
async fn an_object_that_is_being_deleted_accepts_no_new_workspace_and_its_users_go_on() {
    let mut stage = with_template();
    stage.reconcile().await.unwrap();
    delete_template(&stage);
    stage.server.put(&user("late"));
    stage.sync();
    stage.reconcile_unsynced("late").await.unwrap();
    let late: Workspace = stage.server.get(Some(NAMESPACE), "late").unwrap();
    let status = late.status.unwrap();
    assert_eq!(status.phase, Some(Phase::Invalid));
    let valid = condition::find(&status.conditions, VALID).unwrap();
    assert_eq!(valid.reason, reason::TEMPLATE_TERMINATING);
    let child = stage.server.get::<Pod>(Some(NAMESPACE), "workspace-late");
    assert!(child.is_none());

    stage.reconcile().await.unwrap();
    assert!(condition::holds(&stage.status().conditions, VALID));
    // A rejected workspace does not keep it.
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    settle(&mut stage, &CatalogState::default()).await;
    assert!(template(&stage).is_none());
}

#[tokio::test]
async fn a_finalizer_that_was_removed_while_a_workspace_came_is_set_again() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    stage.add_finalizers();
    // The workspace comes after the catalog controller has read its caches. Its reconcile comes before they show the removal.
    stage.sync();
    stage.server.disrupt(
        Method::PATCH,
        "workspacetemplates/t",
        Disruption::Meanwhile(Box::new(|server| server.put(&user("demo")))),
    );
    catalog::reconcile(&stage.context, &catalog_state).await;
    assert!(!is_held(&stage));
    stage.sync_one(0);
    stage.reconcile_unsynced("demo").await.unwrap();
    settle(&mut stage, &catalog_state).await;
    assert!(stage.child::<Pod>().is_some() && is_held(&stage));
}

#[tokio::test]
async fn a_release_touches_no_finalizer_that_came_meanwhile() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.reconcile().await.unwrap();
    settle(&mut stage, &catalog_state).await;
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    stage.server.disrupt(
        Method::PATCH,
        "workspacetemplates/t",
        Disruption::Meanwhile(Box::new(|server| {
            server.edit::<WorkspaceTemplate>(None, "t", |object| {
                object["metadata"]["finalizers"] = json!([IN_USE_FINALIZER, "example.com/theirs"]);
            });
        })),
    );
    reconcile_catalog(&mut stage, &catalog_state).await;
    assert_eq!(
        template(&stage).unwrap().finalizers(),
        [IN_USE_FINALIZER, "example.com/theirs"]
    );
    settle(&mut stage, &catalog_state).await;
    assert_eq!(template(&stage).unwrap().finalizers(), ["example.com/theirs"]);
}

#[tokio::test]
async fn no_finalizer_is_set_on_an_object_that_is_being_deleted() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.reconcile().await.unwrap();
    stage.server.edit::<WorkspaceTemplate>(None, "t", |object| {
        object["metadata"]["finalizers"] = json!(["example.com/theirs"]);
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
    });
    settle(&mut stage, &catalog_state).await;
    assert_eq!(template(&stage).unwrap().finalizers(), ["example.com/theirs"]);
    assert_eq!(template(&stage).unwrap().status.unwrap().in_use_by, Some(1));
}

#[tokio::test]
async fn a_settled_catalog_causes_no_call_and_a_new_leader_none_either() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.reconcile().await.unwrap();
    settle(&mut stage, &catalog_state).await;
    stage.server.take_calls();
    assert_eq!(reconcile_catalog(&mut stage, &catalog_state).await, None);
    assert_eq!(
        reconcile_catalog(&mut stage, &CatalogState::default()).await,
        None
    );
    assert_eq!(stage.server.take_calls().len(), 0);
    let manager: WorkspaceManager = stage.server.get(None, "main").unwrap();
    assert_eq!(manager.status.unwrap().workspaces, Some(1));
}

#[tokio::test]
async fn status_reports_whether_templates_and_managers_are_valid() {
    let (mut stage, catalog_state) = (with_template(), CatalogState::default());
    stage.server.edit::<WorkspaceTemplate>(None, "t", |object| {
        object["spec"]["defaultImage"] = json!("x:y:z");
    });
    settle(&mut stage, &catalog_state).await;
    let status = template(&stage).unwrap().status.unwrap();
    let valid = condition::find(&status.conditions, VALID).unwrap();
    assert_eq!(
        (valid.status.as_str(), valid.reason.as_str()),
        ("False", reason::RULES_VIOLATED)
    );
    assert!(valid.message.contains("spec.defaultImage"), "{}", valid.message);
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(status.in_use_by, Some(0));
    let manager: WorkspaceManager = stage.server.get(None, "main").unwrap();
    assert!(condition::holds(
        &manager.status.unwrap().conditions,
        condition::READY
    ));
}

#[tokio::test]
async fn a_template_reports_missing_references_until_they_exist() {
    let (mut stage, catalog_state) = (Stage::new(), CatalogState::default());
    let mut naming = objects::template("t");
    naming.spec.manager_ref = Some("edge".to_owned());
    stage.server.put(&naming);
    let reported = |stage: &Stage| {
        let status = template(stage).unwrap().status.unwrap();
        let valid = condition::find(&status.conditions, VALID).unwrap().clone();
        (valid.status, valid.reason, valid.message)
    };
    settle(&mut stage, &catalog_state).await;
    let (status, why, message) = reported(&stage);
    assert_eq!(
        (status.as_str(), why.as_str()),
        ("False", reason::MANAGER_NOT_FOUND)
    );
    assert!(
        message.starts_with(r#"spec.managerRef: "edge" not found"#),
        "{message}"
    );
    stage.server.put(&objects::manager("edge"));
    settle(&mut stage, &catalog_state).await;
    assert_eq!(reported(&stage).0, "True");
}
