//! An operator that watches only the namespace in which it is installed, and has no rights beyond it.

use std::{sync::Arc, time::Duration};

use api::{
    Workspace, names,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kit::scope::Scope;
use operator::{
    cache::stores::Writers,
    controllers::{self, assertion_keys},
};
use serde_json::json;
use testkit::{
    api_server::{Call, Fault},
    objects::{self, NAMESPACE},
};
use tokio_util::sync::CancellationToken;

use crate::{
    outages::{begin_as, within},
    stage::{Stage, operator},
};

/// Lists and watches of all namespaces, by the ends of their paths, and kinds of the cluster.
const FORBIDDEN: [&str; 13] = [
    "/v1alpha1/workspaces",
    "/v1alpha1/workspaceexecutionprofiles",
    "/v1alpha1/workspaceshares",
    "/v1/pods",
    "/v1/services",
    "/v1/serviceaccounts",
    "/v1/configmaps",
    "/v1/persistentvolumeclaims",
    "/v1/events",
    "/v1/networkpolicies",
    "/v1/nodes",
    "/v1/storageclasses",
    "/v1/customresourcedefinitions",
];

/// A cluster with a template and a workspace of it, in which the operator may list in one namespace alone.
fn stage() -> Stage {
    let stage = Stage::new();
    for path_part in FORBIDDEN {
        stage.server.fail(Fault {
            code: 403,
            reason: "Forbidden",
            ..Fault::internal(Method::GET, path_part, usize::MAX)
        });
    }
    let mut manager = objects::manager("main");
    manager.metadata.finalizers = None;
    stage.server.put(&manager);
    stage.server.put(&objects::template("small"));
    let mut demo = objects::workspace("demo");
    demo.spec.template_ref = Some("small".to_owned());
    stage.server.put(&demo);
    let mut keys = ConfigMap::default();
    keys.metadata.name = Some(names::ASSERTION_KEYS.to_owned());
    keys.metadata.namespace = Some(NAMESPACE.to_owned());
    keys.data = Some([(names::GATEWAY_KEYS.to_owned(), "{}".to_owned())].into());
    stage.server.put(&keys);
    stage
}

/// Plays a scenario beside the operator with all of its controllers.
async fn beside_operator(stage: &Stage, scenario: impl Future<Output = ()>) {
    beside_operator_with(stage, None, scenario).await;
}

/// The same. `manager`: that of workspaces that name none.
async fn beside_operator_with(stage: &Stage, manager: Option<&str>, scenario: impl Future<Output = ()>) {
    let writers = Writers::default();
    let mut context = operator(stage.server.connect(None), &writers, true);
    let changed = Arc::get_mut(&mut context).unwrap();
    changed.settings.default_manager = manager.map(str::to_owned);
    let installation = &mut changed.installation;
    installation.scope = Scope::from_namespace(Some(NAMESPACE.to_owned()));
    NAMESPACE.clone_into(&mut installation.system_namespace);
    let (_reconciles, context) = begin_as(context, writers);
    let shutdown = CancellationToken::new();
    let controllers = async {
        tokio::join!(
            assertion_keys::maintain(&context),
            controllers::run(&context, &shutdown),
        );
    };
    tokio::select! {
        () = Box::pin(controllers) => {}
        () = scenario => {}
    }
}

fn phase(stage: &Stage) -> Option<Phase> {
    stage.workspace().status.and_then(|status| status.phase)
}

/// Whether a call stays in the namespace, or reads a kind of the cluster that is granted.
fn is_allowed(call: &Call) -> bool {
    let reads = ["/workspacetemplates", "/workspacemanagers"];
    let is_granted = !call.is_write() && reads.iter().any(|kind| call.path.ends_with(kind));
    is_granted || call.path.contains(&format!("/namespaces/{NAMESPACE}/"))
}

const SOON: Duration = Duration::from_secs(20);

/// Starts the workspace, and waits until it runs.
async fn started(stage: &Stage) {
    within("a start", SOON, || !stage.is_ending()).await;
    stage.cluster();
    stage.get_ready();
    within("a ready workspace", SOON, || phase(stage) == Some(Phase::Running)).await;
}

fn keys(stage: &Stage) -> ConfigMap {
    stage.server.get(Some(NAMESPACE), names::ASSERTION_KEYS).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_workspace_starts_stops_and_is_deleted_without_a_call_beyond_the_namespace() {
    let stage = stage();
    beside_operator(&stage, async {
        started(&stage).await;
        let is_published = || {
            keys(&stage)
                .data
                .is_some_and(|data| data.contains_key(names::OPERATOR_KEYS))
        };
        within("the operator's keys", SOON, is_published).await;

        stage.set(DesiredStatus::Stopped);
        within("a stop", SOON, || stage.is_ending()).await;
        stage.cluster();
        stage.end_pods();
        within("a stopped workspace", SOON, || {
            phase(&stage) == Some(Phase::Stopped)
        })
        .await;

        stage.delete_demo();
        within("a deletion", SOON, || {
            stage.collect_garbage();
            stage.all::<Workspace>().is_empty()
        })
        .await;
        // Longer than any rest: a namespace without workspaces loses copies of keys, but not the gateway's own object.
        tokio::time::sleep(Duration::from_mins(1)).await;
    })
    .await;
    let left = keys(&stage);
    assert_eq!(left.data.unwrap()[names::GATEWAY_KEYS], "{}");
    assert_eq!(left.metadata.labels, None);

    let calls = stage.server.take_calls();
    assert!(calls.len() > 30, "{}", calls.len());
    let beyond = calls.iter().filter(|call| !is_allowed(call));
    assert_eq!(beyond.map(Call::line).collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_workspace_without_a_manager_gets_the_release_s_own_beside_managers_of_other_namespaces() {
    let stage = stage();
    for name in ["another", "third"] {
        stage.server.put(&objects::manager(name));
    }
    beside_operator_with(&stage, Some("main"), started(&stage)).await;
    let resolved = stage.workspace().status.and_then(|status| status.resolved);
    assert_eq!(
        resolved.and_then(|resolved| resolved.manager).as_deref(),
        Some("main")
    );
}

#[tokio::test(start_paused = true)]
async fn a_workspace_beyond_its_template_is_stored_without_webhook_and_gets_no_pod() {
    let stage = stage();
    stage.edit_spec(|spec| spec["resources"] = json!({"limits": {"cpu": "64"}}));
    let rejected = within("a rejection", SOON, || phase(&stage) == Some(Phase::Invalid));
    beside_operator(&stage, rejected).await;
    assert!(stage.all::<Pod>().is_empty());
}
