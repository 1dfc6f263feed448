//! Routes as objects, and network policies, as managers configure them.

use api::{
    WorkspaceManager,
    condition::{self, READY, reason},
    names,
    workspace::Phase,
};
use http::Method;
use k8s_openapi::api::{
    core::v1::Pod,
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{ResourceExt as _, api::ApiResource};
use operator::controllers::{catalog, catalog::CatalogState};
use rules::objects::ObjectKind;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::stage::{CHILD, POLICIES, Stage};

/// Name of the second object of [`custom_of_two`].
const SECOND: &str = "workspace-demo-auth";

pub(crate) fn ingress() -> ObjectKind {
    ObjectKind {
        api_version: "networking.k8s.io/v1".to_owned(),
        kind: "Ingress".to_owned(),
    }
}

pub(crate) fn resource() -> ApiResource {
    ApiResource::erase::<Ingress>(&())
}

/// A manager that routes by one Ingress per workspace.
pub(crate) fn custom(name: &str, change: impl FnOnce(&mut Value)) -> WorkspaceManager {
    let mut manager = serde_json::to_value(objects::manager(name)).unwrap();
    manager["spec"] = json!({
        "routing": {"baseDomain": "custom.localhost", "custom": {"resources": [{
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"annotations": {"example.com/auth": "{authentication.address}"}},
            "spec": {"rules": [{"host": "{workspace.host}"}]},
        }]}},
        "authentication": {"forwardAuth": {"address": "http://auth.sso.svc"}},
    });
    change(&mut manager);
    serde_json::from_value(manager).unwrap()
}

/// Lets the watch of Ingresses catch up, by a list, whose items do not name their kind.
pub(crate) fn see(stage: &Stage) {
    let objects: Vec<Ingress> = stage.all();
    let item = |object: &Ingress| {
        let mut item = serde_json::to_value(object).unwrap();
        for key in ["apiVersion", "kind"] {
            item.as_object_mut().unwrap().remove(key);
        }
        serde_json::from_value(item).unwrap()
    };
    let items = objects.iter().map(item).collect();
    stage
        .context
        .stores
        .objects
        .set_available(&ingress(), &resource(), items);
}

/// A running `demo` whose manager routes by an Ingress, settled.
pub(crate) async fn routed() -> Stage {
    let mut stage = Stage::with_demo();
    stage.server.put(&custom("main", |_| {}));
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Ingress>(), None, "no pod is ready");
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    see(&stage);
    stage.sync();
    stage.server.take_calls();
    stage
}

pub(crate) fn degraded(stage: &Stage) -> (String, String) {
    let degraded = stage.condition(condition::DEGRADED);
    (degraded.reason, degraded.message)
}

#[tokio::test]
async fn a_route_is_made_with_the_first_ready_pod_and_causes_no_call_after_that() {
    let mut stage = routed().await;
    let route: Ingress = stage.child().unwrap();
    assert_eq!(route.annotations()["example.com/auth"], "http://auth.sso.svc");
    assert_eq!(route.labels()[names::WORKSPACE_LABEL], "demo");
    assert_eq!(route.owner_references()[0].uid, "uid-of-demo");
    let status = stage.status();
    assert_eq!(status.phase, Some(Phase::Running));
    assert!(status.url.unwrap().ends_with(".custom.localhost/"));
    stage.reconcile().await.unwrap();
    assert!(stage.server.take_calls().is_empty());
}

#[tokio::test]
async fn a_stop_takes_the_route_away_and_a_start_brings_it_back() {
    let mut stage = routed().await;
    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Stopped"));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Ingress>(), None);
    see(&stage);
    stage.cluster();
    stage.end_pods();
    stage.reconcile().await.unwrap();
    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Running"));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Ingress>(), None);
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Ingress>().is_some());
}

#[tokio::test]
async fn a_changed_or_deleted_route_is_put_right() {
    let mut stage = routed().await;
    stage.server.edit::<Ingress>(Some(NAMESPACE), CHILD, |object| {
        object["spec"]["rules"][0]["host"] = json!("evil.example.com");
        object["metadata"]["annotations"]["foreign"] = json!("kept");
        object["metadata"]["ownerReferences"] = json!([]);
    });
    see(&stage);
    stage.reconcile().await.unwrap();
    let route: Ingress = stage.child().unwrap();
    let host = route.spec.as_ref().unwrap().rules.as_ref().unwrap()[0]
        .host
        .clone()
        .unwrap();
    assert!(host.ends_with(".custom.localhost"), "{host}");
    assert_eq!(route.annotations()["foreign"], "kept");
    assert_eq!(route.owner_references().len(), 1);
    stage.server.remove::<Ingress>(Some(NAMESPACE), CHILD);
    see(&stage);
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Ingress>().is_some());
}

#[tokio::test]
async fn where_others_route_a_workspace_has_an_endpoint_and_no_route_or_url() {
    let mut stage = routed().await;
    let pod = stage.child_pod();
    let external = json!({
        "routing": {"external": {}}, "authentication": {"application": {}},
        "networkPolicy": {"ingressFrom": [{"podSelector": {"matchLabels": {"component": "hub"}}}]},
    });
    stage
        .server
        .put(&custom("main", |manager| manager["spec"] = external));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Ingress>(), None);
    let status = stage.status();
    assert_eq!((status.phase, status.url), (Some(Phase::Running), None));
    assert!(status.endpoint.is_some());
    assert_eq!(degraded(&stage).0, reason::AS_EXPECTED);
    let policy: NetworkPolicy = stage.server.get(Some(NAMESPACE), POLICIES[1]).unwrap();
    let ingress = policy.spec.unwrap().ingress.unwrap();
    let from = json!([{"podSelector": {"matchLabels": {"component": "hub"}}}]);
    assert_eq!(json!(ingress[0].from), from);
    catalog::reconcile(&stage.context, &CatalogState::default()).await;
    let manager: WorkspaceManager = stage.server.get(None, "main").unwrap();
    let conditions = manager.status.unwrap().conditions;
    assert_eq!(condition::find(&conditions, READY).unwrap().status, "True");
    assert_eq!(stage.child_pod(), pod, "nothing restarts");
}

#[tokio::test]
async fn a_foreign_object_is_never_taken_over() {
    let mut stage = Stage::with_running_demo().await;
    let foreign: Ingress =
        serde_json::from_value(json!({"metadata": {"name": CHILD, "namespace": NAMESPACE}})).unwrap();
    stage.server.put(&foreign);
    stage.server.put(&custom("main", |_| {}));
    // It carries no label, so the watch does not show it.
    stage
        .context
        .stores
        .objects
        .set_available(&ingress(), &resource(), Vec::new());
    stage.reconcile().await.unwrap();
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::NAME_CONFLICT, "{message}");
    assert!(stage.child::<Ingress>().unwrap().annotations().is_empty());
    let available = stage.condition(condition::AVAILABLE);
    assert_eq!(available.status, "False", "no user can connect");
    assert_eq!(stage.status().phase, Some(Phase::Running));
}

/// A manager whose route comes first and what it refers to second.
fn custom_of_two() -> WorkspaceManager {
    custom("main", |manager| {
        let resources = &mut manager["spec"]["routing"]["custom"]["resources"];
        let mut second = resources[0].clone();
        second["metadata"]["name"] = json!("{service.name}-auth");
        resources.as_array_mut().unwrap().push(second);
    })
}

/// Another client's object with the name of the second.
fn foreign_second() -> Ingress {
    serde_json::from_value(json!({"metadata": {"name": SECOND, "namespace": NAMESPACE}})).unwrap()
}

#[tokio::test]
async fn no_route_is_made_while_an_object_that_it_may_refer_to_is_foreign() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.put(&foreign_second());
    stage.server.put(&custom_of_two());
    let routes = &stage.context.stores.objects;
    routes.set_available(&ingress(), &resource(), Vec::new());
    stage.reconcile().await.unwrap();
    assert_eq!(degraded(&stage).0, reason::NAME_CONFLICT);
    assert!(!stage.writes().iter().any(|write| write.contains("ingresses")));
    assert_eq!(stage.child::<Ingress>(), None);
}

#[tokio::test]
async fn routes_are_removed_when_an_object_that_they_may_refer_to_becomes_foreign() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.put(&custom_of_two());
    see(&stage);
    stage.reconcile().await.unwrap();
    see(&stage);
    assert_eq!(stage.all::<Ingress>().len(), 2);
    stage.server.remove::<Ingress>(Some(NAMESPACE), SECOND);
    stage.server.put(&foreign_second());
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(degraded(&stage).0, reason::NAME_CONFLICT);
    let left: Vec<_> = stage
        .all::<Ingress>()
        .iter()
        .map(kube::ResourceExt::name_any)
        .collect();
    assert_eq!(left, [SECOND], "theirs");
}

#[tokio::test]
async fn a_refused_object_takes_the_route_along_that_may_refer_to_it() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.put(&custom_of_two());
    see(&stage);
    stage.fail(
        Method::PATCH,
        SECOND,
        403,
        "admission webhook \"w\" denied the request: no",
        1,
    );
    stage.reconcile().await.unwrap();
    assert_eq!(degraded(&stage).0, reason::ROUTE_FAILED);
    assert!(stage.all::<Ingress>().is_empty());
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.all::<Ingress>().len(), 2);
}

#[tokio::test]
async fn a_manager_that_breaks_a_rule_or_is_gone_leaves_routes_as_they_are() {
    let mut stage = routed().await;
    let broken = custom("main", |manager| {
        manager["spec"]["routing"]["custom"]["resources"] = json!([{"apiVersion": "v1", "kind": "Secret"}]);
    });
    stage.server.put(&broken);
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Ingress>().is_some());
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::ROUTE_FAILED);
    assert!(
        message.contains("stay as they are") && message.contains("Secret"),
        "{message}"
    );
    stage.server.remove::<WorkspaceManager>(None, "main");
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Ingress>().is_some());
    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Stopped"));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Ingress>(), None, "a stop needs no manager");
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_reported_and_the_route_follows_when_it_is() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.put(&custom("main", |_| {}));
    stage
        .context
        .stores
        .objects
        .set_unavailable(&ingress(), "Ingress is not installed: have it installed.");
    stage.reconcile().await.unwrap();
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::ROUTE_FAILED);
    assert!(message.contains("not installed"), "{message}");
    see(&stage);
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Ingress>().is_some());
    assert_eq!(degraded(&stage).0, reason::AS_EXPECTED);
}

#[tokio::test]
async fn a_refused_route_is_reported_with_the_api_server_s_message_and_an_outage_is_retried() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.put(&custom("main", |_| {}));
    see(&stage);
    stage.fail(
        Method::PATCH,
        "ingresses",
        403,
        "admission webhook \"w\" denied the request: no such class",
        1,
    );
    stage.reconcile().await.unwrap();
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::ROUTE_FAILED);
    assert!(
        message.contains("no such class") && message.contains("routing.custom"),
        "{message}"
    );
    stage.fail(Method::PATCH, "ingresses", 503, "not now", 1);
    assert!(stage.reconcile().await.is_err());
    stage.reconcile().await.unwrap();
    assert_eq!(degraded(&stage).0, reason::AS_EXPECTED);
}

#[tokio::test]
async fn a_deleted_workspace_takes_its_routes_along_before_it_is_let_go() {
    let mut stage = routed().await;
    is_let_go_after_its_ingress(&mut stage, CHILD).await;
}

/// Deletes the workspace while a controller holds one of its Ingresses: the status names the kind, and the workspace goes after it.
pub(crate) async fn is_let_go_after_its_ingress(stage: &mut Stage, name: &str) {
    stage.server.edit::<Ingress>(Some(NAMESPACE), name, |object| {
        object["metadata"]["finalizers"] = json!(["example.com/load-balancer"]);
    });
    see(stage);
    stage.delete_demo();
    for _ in 0..3 {
        stage.reconcile().await.unwrap();
        see(stage);
        stage.collect_garbage();
    }
    let message = stage.workspace().status.unwrap().message.unwrap();
    assert!(message.contains("Ingress"), "{message}");
    stage.server.remove::<Ingress>(Some(NAMESPACE), name);
    see(stage);
    stage.reconcile().await.unwrap();
    assert!(
        stage
            .server
            .get::<api::Workspace>(Some(NAMESPACE), "demo")
            .is_none()
    );
}

#[tokio::test]
async fn a_new_operator_writes_nothing_to_routes_that_are_as_planned() {
    let mut stage = routed().await;
    stage.replace_operator(None);
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), Vec::<String>::new());
}

impl Stage {
    pub(crate) fn child_pod(&self) -> Option<String> {
        self.all::<Pod>().first().and_then(|pod| pod.metadata.uid.clone())
    }
}
