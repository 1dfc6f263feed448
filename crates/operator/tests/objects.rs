//! Objects of templates: made with the pod, corrected, and deleted when they are no longer wanted.

use api::{
    WorkspaceTemplate,
    condition::{self, reason},
    names,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    ResourceExt as _,
    api::{ApiResource, GroupVersionKind},
};
use operator::controllers::{catalog, catalog::CatalogState};
use rules::objects::ObjectKind;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::{
    routing::{custom, degraded, ingress, is_let_go_after_its_ingress, resource, see},
    stage::{CHILD, Stage},
};

/// The object that every workspace has, and the one that hangs on a choice.
const ALWAYS: &str = "wso-always-demo";
const CHOSEN: &str = "wso-chosen-demo";

fn manifest(of: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"ingressClassName": of}})
}

/// A template with both objects.
fn template() -> WorkspaceTemplate {
    let mut template = serde_json::to_value(objects::template("lab")).unwrap();
    template["spec"]["options"] = json!([{"name": "size", "choices": [
        {"name": "small", "default": true}, {"name": "large", "set": {"variables": {"class": "fast"}}},
    ]}]);
    template["spec"]["objects"] = json!([
        {"name": "always", "manifest": manifest("{workspace.namespace}-{workspace.name}")},
        {"name": "chosen", "when": {"size": ["large"]}, "manifest": manifest("{class}")},
    ]);
    serde_json::from_value(template).unwrap()
}

/// `demo` of this template, in an installation that allows its kind.
fn stage() -> Stage {
    let mut stage = Stage::with_demo();
    set_up(&mut stage, &[], &[&ingress()]);
    stage.server.put(&template());
    stage.edit_spec(|spec| spec["templateRef"] = json!("lab"));
    see(&stage);
    stage
}

/// An operator of an installation that allows these kinds.
fn set_up(stage: &mut Stage, routes: &[&ObjectKind], objects: &[&ObjectKind]) {
    let list = |kinds: &[&ObjectKind]| -> Value {
        let kinds = kinds.iter();
        kinds
            .map(|it| json!({"apiVersion": it.api_version, "kind": it.kind}))
            .collect()
    };
    let settings = json!({
        "defaultImage": "uv", "imageAliases": {"uv": "localhost/uv:1"}, "admission": true,
        "routeKinds": list(routes), "objectKinds": list(objects),
    });
    stage.set_up_anew(&settings.to_string());
}

/// The same, with the pod of a run, settled.
async fn started() -> Stage {
    let mut stage = stage();
    stage.reconcile().await.unwrap();
    see(&stage);
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    see(&stage);
    stage.sync();
    stage.server.take_calls();
    stage
}

fn object(stage: &Stage, name: &str) -> Option<Ingress> {
    stage.server.get(Some(NAMESPACE), name)
}

fn class(stage: &Stage, name: &str) -> Option<String> {
    object(stage, name)?.spec?.ingress_class_name
}

fn names_of_all(stage: &Stage) -> Vec<String> {
    stage
        .all::<Ingress>()
        .iter()
        .map(kube::ResourceExt::name_any)
        .collect()
}

fn choose(stage: &Stage, size: &str) {
    stage.edit_spec(|spec| spec["options"] = json!({"size": size}));
}

#[tokio::test]
async fn an_object_is_made_with_the_pod_before_it_is_ready_and_causes_no_call_after_that() {
    let mut stage = stage();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    let object = object(&stage, ALWAYS).unwrap();
    assert_eq!(class(&stage, ALWAYS).as_deref(), Some("team-demo"));
    assert_eq!(object.labels()[names::WORKSPACE_LABEL], "demo");
    assert_eq!(object.labels()[names::APP_COMPONENT_LABEL], "object");
    assert_eq!(object.owner_references()[0].uid, "uid-of-demo");
    let mut stage = started().await;
    stage.reconcile().await.unwrap();
    assert!(stage.server.take_calls().is_empty());
}

#[tokio::test]
async fn an_object_goes_with_a_stop_and_comes_with_the_next_start() {
    let mut stage = started().await;
    stage.stop().await;
    assert_eq!(names_of_all(&stage), [""; 0]);
    see(&stage);
    stage.set(DesiredStatus::Running);
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS]);
}

#[tokio::test]
async fn an_object_that_others_change_or_delete_is_put_right() {
    let mut stage = started().await;
    stage.server.edit::<Ingress>(Some(NAMESPACE), ALWAYS, |object| {
        object["spec"]["ingressClassName"] = json!("theirs");
        object["metadata"]["labels"][names::APP_COMPONENT_LABEL] = json!("route");
        object["metadata"]["annotations"]["foreign"] = json!("kept");
        object["metadata"]["ownerReferences"] = json!([]);
    });
    let uid = object(&stage, ALWAYS).unwrap().metadata.uid;
    see(&stage);
    stage.reconcile().await.unwrap();
    let right = object(&stage, ALWAYS).unwrap();
    assert_eq!(class(&stage, ALWAYS).as_deref(), Some("team-demo"));
    assert_eq!(right.labels()[names::APP_COMPONENT_LABEL], "object");
    assert_eq!(right.annotations()["foreign"], "kept");
    assert_eq!((right.owner_references().len(), right.metadata.uid), (1, uid));
    stage.server.remove::<Ingress>(Some(NAMESPACE), ALWAYS);
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS]);
}

#[tokio::test]
async fn an_object_follows_its_condition_at_once() {
    let mut stage = started().await;
    assert_eq!(names_of_all(&stage), [ALWAYS]);
    choose(&stage, "large");
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS, CHOSEN]);
    assert_eq!(class(&stage, CHOSEN).as_deref(), Some("fast"));
    see(&stage);
    choose(&stage, "small");
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS]);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_touched_and_the_others_are_made() {
    let mut stage = stage();
    let foreign: Ingress =
        serde_json::from_value(json!({"metadata": {"name": ALWAYS, "namespace": NAMESPACE}})).unwrap();
    stage.server.put(&foreign);
    // It carries no label, so the watch does not show it.
    let objects = &stage.context.stores.objects;
    objects.set_available(&ingress(), &resource(), Vec::new());
    choose(&stage, "large");
    stage.reconcile().await.unwrap();
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::NAME_CONFLICT, "{message}");
    assert!(
        message.contains(ALWAYS) && message.contains("Delete that object"),
        "{message}"
    );
    assert_eq!(class(&stage, ALWAYS), None, "it stays as it was");
    assert!(object(&stage, ALWAYS).unwrap().labels().is_empty());
    assert_eq!(class(&stage, CHOSEN).as_deref(), Some("fast"));
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.condition(condition::AVAILABLE).status,
        "True",
        "users can connect"
    );
    stage.server.remove::<Ingress>(Some(NAMESPACE), ALWAYS);
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS, CHOSEN]);
    assert_eq!(degraded(&stage).0, reason::AS_EXPECTED);
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_reported_and_the_workspace_runs() {
    let mut stage = stage();
    let objects = &stage.context.stores.objects;
    objects.set_unavailable(&ingress(), "Ingress is not installed: have it installed.");
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::OBJECT_FAILED);
    assert!(message.contains("have it installed"), "{message}");
    assert_eq!(stage.condition(condition::AVAILABLE).status, "True");
    assert_eq!(stage.status().phase, Some(Phase::Running));
    let (status, reason, _) = valid(&mut stage).await;
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", reason::OBJECT_KIND_UNAVAILABLE)
    );
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS]);
    assert_eq!(degraded(&stage).0, reason::AS_EXPECTED);
    assert_eq!(valid(&mut stage).await.0, "True");
}

/// The condition `Valid` of the template: status, reason and message.
async fn valid(stage: &mut Stage) -> (String, String, String) {
    stage.sync();
    catalog::reconcile(&stage.context, &CatalogState::default()).await;
    let template: WorkspaceTemplate = stage.server.get(None, "lab").unwrap();
    let conditions = template.status.unwrap().conditions;
    let valid = condition::find(&conditions, condition::VALID).unwrap().clone();
    (valid.status, valid.reason, valid.message)
}

/// A kind that no template names is all that the installation allows, so the operator neither watches nor may write Ingresses.
fn take_off(stage: &mut Stage) {
    let widget = ObjectKind {
        api_version: "example.com/v1".to_owned(),
        kind: "Widget".to_owned(),
    };
    set_up(stage, &[], &[&widget]);
    stage.server.take_calls();
}

#[tokio::test]
async fn objects_of_a_kind_that_is_taken_off_the_list_stay_and_the_status_says_how_to_delete_them() {
    let mut stage = started().await;
    assert_eq!(valid(&mut stage).await.0, "True");
    take_off(&mut stage);
    stage.reconcile().await.unwrap();
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::OBJECT_FAILED);
    assert!(
        message.contains("stay as they are") && message.contains("objectKinds"),
        "{message}"
    );
    assert_eq!(stage.condition(condition::AVAILABLE).status, "True");
    stage.stop().await;
    assert_eq!(names_of_all(&stage), [ALWAYS], "the operator has no rights on it");
    let (status, reason, message) = valid(&mut stage).await;
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", reason::OBJECT_KIND_UNAVAILABLE)
    );
    let left = "kubectl delete Ingress.v1.networking.k8s.io --all-namespaces --selector \
                workspaces.jupyter.org/workspace,app.kubernetes.io/component=object";
    assert!(
        message.contains("not among the kinds") && message.ends_with(left),
        "{message}"
    );
    let labels = object(&stage, ALWAYS).unwrap().metadata.labels.unwrap();
    assert_eq!(
        labels[names::APP_COMPONENT_LABEL],
        "object",
        "the selector finds it"
    );
    assert!(labels.contains_key(names::WORKSPACE_LABEL));
    let calls = stage.server.take_calls();
    assert!(
        !calls.is_empty(),
        "the stop and the template's condition are written"
    );
    assert!(
        calls.iter().all(|call| !call.path.contains("/ingresses")),
        "{calls:?}"
    );

    // Once the kind is listed again, what a stopped workspace should not have goes.
    set_up(&mut stage, &[], &[&ingress()]);
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [""; 0]);
    assert_eq!(valid(&mut stage).await.0, "True");
}

#[tokio::test]
async fn a_deleted_workspace_does_not_wait_for_objects_of_a_kind_that_was_taken_off_the_list() {
    let mut stage = started().await;
    take_off(&mut stage);
    stage.delete_demo();
    let is_there = |stage: &Stage| {
        let workspace: Option<api::Workspace> = stage.server.get(Some(NAMESPACE), "demo");
        workspace.is_some()
    };
    for _ in 0..4 {
        if is_there(&stage) {
            stage.reconcile().await.unwrap();
            stage.collect_garbage();
        }
    }
    assert!(!is_there(&stage));
    let left = object(&stage, ALWAYS).unwrap();
    assert_eq!(
        left.owner_references()[0].uid,
        "uid-of-demo",
        "the API server's garbage collector deletes it"
    );
}

#[tokio::test]
async fn a_refused_object_is_reported_with_the_api_server_s_message_and_leaves_the_others() {
    let mut stage = stage();
    choose(&stage, "large");
    let denied = "admission webhook \"w\" denied the request: no such class";
    stage.fail(Method::PATCH, ALWAYS, 403, denied, 1);
    stage.reconcile().await.unwrap();
    let (reason, message) = degraded(&stage);
    assert_eq!(reason, reason::OBJECT_FAILED);
    assert!(
        message.contains("no such class") && message.contains("a template with corrected objects"),
        "{message}"
    );
    assert_eq!(names_of_all(&stage), [CHOSEN]);
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS, CHOSEN]);
    assert_eq!(degraded(&stage).0, reason::AS_EXPECTED);
}

#[tokio::test]
async fn routes_and_objects_come_and_go_on_their_own() {
    let mut stage = Stage::with_demo();
    let kind = ObjectKind {
        api_version: "example.com/v1".to_owned(),
        kind: "Way".to_owned(),
    };
    set_up(&mut stage, &[&kind], &[&ingress()]);
    let ways = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Way"));
    let objects = &stage.context.stores.objects;
    objects.set_available(&kind, &ways, Vec::new());
    let has_route = |stage: &Stage| {
        let route = stage.context.stores.objects.get(&kind, NAMESPACE, CHILD);
        route.is_some()
    };
    stage.server.put(&template());
    let of_ways = |manager: &mut Value| {
        let manifest = &mut manager["spec"]["routing"]["custom"]["resources"][0];
        manifest["apiVersion"] = json!(kind.api_version);
        manifest["kind"] = json!(kind.kind);
    };
    stage.server.put(&custom("main", of_ways));
    stage.edit_spec(|spec| spec["templateRef"] = json!("lab"));
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS]);
    assert!(!has_route(&stage), "a route waits for the pod");
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS]);
    assert!(has_route(&stage));
    see(&stage);
    let external = json!({"routing": {"external": {}}, "authentication": {"application": {}}});
    stage
        .server
        .put(&custom("main", |manager| manager["spec"] = external));
    stage.reconcile().await.unwrap();
    assert_eq!(names_of_all(&stage), [ALWAYS]);
    assert!(!has_route(&stage));
}

#[tokio::test]
async fn a_deleted_workspace_takes_its_objects_along_before_it_is_let_go() {
    let mut stage = started().await;
    is_let_go_after_its_ingress(&mut stage, ALWAYS).await;
}
