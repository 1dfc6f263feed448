//! Images on nodes, and room, before a workspace starts: what is written, told and removed.

use std::{sync::Arc, time::Duration};

use api::{
    WorkspaceTemplate,
    condition::{self, PREPARED, VALID, reason},
    names::{APP_NAME_LABEL, DEPRECATED, PLACEHOLDERS_LABEL, PRE_PULL_LABEL},
};
use http::Method;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::ResourceExt as _;
use operator::{
    controllers::images::{self, ImagesState, Live},
    plan::ImagesNamespace,
};
use serde_json::{Value, json};
use testkit::objects;
use tokio_util::sync::CancellationToken;

use crate::{
    outages::{begin_as, within},
    stage::{Stage, operator},
};

const IMAGES: &str = "jupyter-k8s-images";

fn namespace(stage: &Stage) -> ImagesNamespace {
    let image = "r.example.com/operator:1".to_owned();
    let settings = &stage.context.settings;
    ImagesNamespace::new(IMAGES.to_owned(), image, &[], "jupyter-k8s", settings)
}

/// A cluster with a template `t` of two images, and a namespace for them.
fn stage() -> Stage {
    let mut stage = Stage::new();
    let images = namespace(&stage);
    Arc::get_mut(&mut stage.context).unwrap().installation.images = Some(images);
    let mut template = objects::template("t");
    template.spec.allowed_images = vec!["uv".to_owned(), "r.example.com/b:1".to_owned()];
    stage.server.put(&template);
    stage
}

fn label(stage: &Stage, labels: Value) {
    stage.server.edit::<WorkspaceTemplate>(None, "t", |template| {
        template["metadata"]["labels"] = labels;
    });
}

fn live(stage: &Stage) -> Live {
    let pods: Vec<Pod> = stage.all();
    Live {
        daemon_sets: stage.all().into_iter().map(Arc::new).collect(),
        deployments: stage.all().into_iter().map(Arc::new).collect(),
        pods: pods.into_iter().map(Arc::new).collect(),
        ..Live::default()
    }
}

async fn reconcile(stage: &mut Stage, leader: &mut ImagesState) -> Option<Duration> {
    stage.sync();
    let live = live(stage);
    images::reconcile(&stage.context, &live, leader).await
}

fn status(stage: &Stage) -> (Option<String>, Option<Condition>) {
    let template: WorkspaceTemplate = stage.server.get(None, "t").unwrap();
    let status = template.status.unwrap_or_default();
    (
        status.pulled,
        condition::find(&status.conditions, PREPARED).cloned(),
    )
}

fn reason_of(stage: &Stage) -> String {
    status(stage).1.unwrap().reason
}

/// So many nodes run the pods of each DaemonSet.
fn nodes(stage: &Stage, ready: i32, all: i32) {
    for set in stage.all::<DaemonSet>() {
        stage
            .server
            .edit::<DaemonSet>(Some(IMAGES), &set.name_any(), |set| {
                let generation = set["metadata"]["generation"].clone();
                set["status"] = json!({
                    "observedGeneration": generation, "numberReady": ready, "desiredNumberScheduled": all,
                    "currentNumberScheduled": all, "numberMisscheduled": 0,
                });
            });
    }
}

#[tokio::test]
async fn a_labelled_template_gets_its_images_is_told_how_far_they_are_and_without_label_loses_them() {
    let (mut stage, mut leader) = (stage(), ImagesState::default());
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(stage.writes(), [""; 0]);
    label(&stage, json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "2"}));
    reconcile(&mut stage, &mut leader).await;
    let sets: Vec<DaemonSet> = stage.all();
    assert_eq!(sets.len(), 2);
    assert!(sets.iter().all(|set| set.namespace().as_deref() == Some(IMAGES)));
    assert_eq!(
        stage.all::<Deployment>()[0].spec.as_ref().unwrap().replicas,
        Some(2)
    );
    assert_eq!(reason_of(&stage), reason::PULLING_IMAGES);
    nodes(&stage, 4, 4);
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(reason_of(&stage), reason::PLACEHOLDERS_PENDING);
    let name = stage.all::<Deployment>()[0].name_any();
    stage
        .server
        .edit::<Deployment>(Some(IMAGES), &name, |deployment| {
            deployment["status"] = json!({"readyReplicas": 2});
        });
    reconcile(&mut stage, &mut leader).await;
    let (pulled, prepared) = status(&stage);
    assert_eq!(
        (pulled.as_deref(), prepared.unwrap().status.as_str()),
        (Some("8/8"), "True")
    );
    stage.writes();
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(stage.writes(), [""; 0], "it is settled");

    // A new node: the reason flips, and is told at once.
    nodes(&stage, 4, 5);
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(status(&stage).0.as_deref(), Some("8/10"));
    assert_eq!(stage.events(), [""; 0], "nothing is wrong");
    label(&stage, json!({}));
    reconcile(&mut stage, &mut leader).await;
    assert!(stage.all::<DaemonSet>().is_empty() && stage.all::<Deployment>().is_empty());
    assert_eq!(status(&stage), (None, None));
}

#[tokio::test]
async fn a_template_that_no_node_may_run_is_not_prepared_and_says_what_to_do() {
    let (mut stage, mut leader) = (stage(), ImagesState::default());
    label(&stage, json!({PRE_PULL_LABEL: "true"}));
    stage.server.edit::<WorkspaceTemplate>(None, "t", |template| {
        template["spec"]["defaultNodeSelector"] = json!({"kind": "none"});
    });
    reconcile(&mut stage, &mut leader).await;
    nodes(&stage, 0, 0);
    reconcile(&mut stage, &mut leader).await;
    let (pulled, prepared) = status(&stage);
    let prepared = prepared.unwrap();
    assert_eq!(
        (pulled, prepared.status.as_str(), prepared.reason.as_str()),
        (None, "False", reason::NO_NODE)
    );
    assert!(
        prepared.message.contains("add one, or correct node selector"),
        "{prepared:?}"
    );
    assert_eq!(stage.events(), [""; 0], "an autoscaler may add one");
    nodes(&stage, 1, 1);
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(reason_of(&stage), reason::PREPARED);
}

#[tokio::test]
async fn numbers_alone_are_written_now_and_then() {
    let (mut stage, mut leader) = (stage(), ImagesState::default());
    label(&stage, json!({PRE_PULL_LABEL: "true"}));
    reconcile(&mut stage, &mut leader).await;
    nodes(&stage, 1, 4);
    let again = reconcile(&mut stage, &mut leader).await;
    assert_eq!(status(&stage).0, None);
    assert!(
        again.is_some_and(|wait| wait > Duration::from_secs(5)),
        "{again:?}"
    );
    // Another leader remembers no write.
    reconcile(&mut stage, &mut ImagesState::default()).await;
    assert_eq!(status(&stage).0.as_deref(), Some("2/8"));
}

#[tokio::test]
async fn a_deprecated_or_deleted_template_keeps_nothing_and_a_shared_image_stays() {
    let (mut stage, mut leader) = (stage(), ImagesState::default());
    label(&stage, json!({PRE_PULL_LABEL: "true"}));
    let mut other = objects::template("other");
    other.metadata.labels = Some([(PRE_PULL_LABEL.to_owned(), "true".to_owned())].into());
    stage.server.put(&other);
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(stage.all::<DaemonSet>().len(), 2);
    stage.server.edit::<WorkspaceTemplate>(None, "t", |template| {
        template["metadata"]["annotations"] = json!({DEPRECATED: ""});
    });
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(stage.all::<DaemonSet>().len(), 1);
    stage.server.remove::<WorkspaceTemplate>(None, "other");
    reconcile(&mut stage, &mut leader).await;
    assert!(stage.all::<DaemonSet>().is_empty());
}

#[tokio::test]
async fn a_refused_object_and_a_wrong_image_keep_no_other_away_and_are_told_once() {
    let (mut stage, mut leader) = (stage(), ImagesState::default());
    label(&stage, json!({PRE_PULL_LABEL: "true"}));
    stage.fail(Method::PATCH, "daemonsets", 403, "exceeded quota: images", 1);
    assert!(reconcile(&mut stage, &mut leader).await.is_some());
    assert_eq!(stage.all::<DaemonSet>().len(), 1);
    assert_eq!(reason_of(&stage), reason::PRE_PULL_FAILED);
    assert!(
        status(&stage)
            .1
            .unwrap()
            .message
            .contains("exceeded quota: images")
    );
    reconcile(&mut stage, &mut leader).await;
    assert_eq!(stage.all::<DaemonSet>().len(), 2);
    assert_eq!(reason_of(&stage), reason::PULLING_IMAGES);

    let sets: Vec<DaemonSet> = stage.all();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": IMAGES, "labels": {APP_NAME_LABEL: sets[0].name_any()}},
        "status": {"initContainerStatuses": [{
            "name": "image", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
        }]},
    }))
    .unwrap();
    stage.server.put(&pod);
    for _ in 0..2 {
        reconcile(&mut stage, &mut leader).await;
    }
    let message = status(&stage).1.unwrap().message;
    assert!(
        message.ends_with("it cannot be pulled: not found (1 node)"),
        "{message}"
    );
    assert_eq!(stage.events(), [reason::PRE_PULL_FAILED; 2]);
}

#[tokio::test]
async fn a_wrong_label_is_named_and_an_installation_without_it_says_so() {
    let (mut stage, mut leader) = (stage(), ImagesState::default());
    label(&stage, json!({PRE_PULL_LABEL: "yes"}));
    reconcile(&mut stage, &mut leader).await;
    let prepared = status(&stage).1.unwrap();
    assert_eq!(prepared.reason, reason::LABEL_INVALID);
    assert!(prepared.message.contains(PRE_PULL_LABEL) && prepared.message.contains("\"yes\""));
    assert_eq!(stage.events(), [reason::LABEL_INVALID]);
    assert!(stage.all::<DaemonSet>().is_empty());

    Arc::get_mut(&mut stage.context).unwrap().installation.images = None;
    label(&stage, json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "1"}));
    reconcile(&mut stage, &mut ImagesState::default()).await;
    assert_eq!(reason_of(&stage), reason::PRE_PULL_DISABLED);
    assert!(stage.all::<DaemonSet>().is_empty() && stage.all::<Deployment>().is_empty());
}

#[tokio::test]
async fn the_condition_is_not_of_the_controller_that_judges_the_template() {
    let (mut stage, mut leader) = (stage(), ImagesState::default());
    label(&stage, json!({PRE_PULL_LABEL: "true"}));
    reconcile(&mut stage, &mut leader).await;
    let catalog = operator::controllers::catalog::CatalogState::default();
    stage.sync();
    operator::controllers::catalog::reconcile(&stage.context, &catalog).await;
    let calls = stage.server.take_calls();
    let statuses = calls.iter().filter(|call| call.path.ends_with("/t/status"));
    let types = statuses.map(|call| {
        let conditions = call.body["status"]["conditions"].as_array().unwrap();
        let types = conditions.iter().map(|it| it["type"].as_str().unwrap());
        (call.manager().unwrap(), types.collect::<Vec<_>>())
    });
    assert_eq!(
        types.collect::<Vec<_>>(),
        [
            (api::names::OPERATOR_IMAGES, vec![PREPARED]),
            (api::names::OPERATOR_PROTECTION, vec![VALID])
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_label_and_an_object_that_others_delete_are_seen_by_themselves() {
    let stage = stage();
    let writers = operator::cache::stores::Writers::default();
    let mut context = operator(stage.server.connect(None), &writers, true);
    Arc::get_mut(&mut context).unwrap().installation.images = Some(namespace(&stage));
    let (_process, context) = begin_as(context, writers);
    let shutdown = CancellationToken::new();
    let controller = async {
        context.stores.until_filled().await.unwrap();
        Box::pin(images::run(&context, &shutdown)).await;
    };
    let script = async {
        let limit = Duration::from_secs(10);
        let count = || stage.all::<DaemonSet>().len();
        label(&stage, json!({PRE_PULL_LABEL: "true"}));
        within("both images", limit, || count() == 2).await;
        let name = stage.all::<DaemonSet>()[0].name_any();
        stage.server.remove::<DaemonSet>(Some(IMAGES), &name);
        assert_eq!(count(), 1);
        within("it is back", limit, || count() == 2).await;
        label(&stage, json!({}));
        within("both are gone", limit, || count() == 0).await;
        shutdown.cancel();
    };
    tokio::join!(controller, script);
}
