//! Transport -> the webhook with two templates, and reviews of the API server (IO).

use anyhow::ensure;
use api::{WorkspaceExecutionProfile, WorkspaceTemplate, names};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use kube::runtime::{reflector, watcher::Event};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use webhook::lookups::{Cache, Lookups};
use webhook::{Accounts, Enforcement, Metrics, Rules};

use super::{listen, tls};
use crate::full_template::{FULL, choices, full};
use crate::load::Question;

/// The plain template.
const SAMPLE: &str = include_str!("../../../../deploy/samples/workspacetemplate_production.yaml");

pub(super) async fn serve() -> anyhow::Result<()> {
    let (server, client) = testkit::api_server::ApiServer::start();
    server.review(|_| true);
    server.put(&serde_json::from_value::<Namespace>(
        json!({"metadata": {"name": testkit::objects::NAMESPACE}}),
    )?);
    let plain: WorkspaceTemplate = serde_saphyr::from_str(SAMPLE)?;
    let name = plain.metadata.name.clone();
    let full = full(&plain)?;
    let lookups = Lookups::new(
        client,
        store([plain, full]),
        store([testkit::objects::manager("main")]),
        store::<WorkspaceExecutionProfile>([]),
    );
    let settings =
        rules::Settings::parse("{defaultImage: uv, imageAliases: {uv: 'registry.example.org/jupyter:1'}}")?;
    let accounts = Accounts {
        operator: "system:serviceaccount:sys:operator".to_owned(),
        gateway: None,
        controllers: vec![],
    };
    let rules = Rules::new(settings, accounts, Enforcement::Refuse);
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let router = webhook::router::router(rules, lookups, metrics);

    let good = json!({
        "displayName": "Analysis", "templateRef": name, "desiredStatus": "Running", "updatePolicy": "OnStop",
        "resources": {"requests": {"cpu": "200m", "memory": "384Mi"}},
        "storage": {"size": "5Gi"},
        "env": [{"name": "LANG", "value": "C.UTF-8"}, {"name": "EDITOR", "value": "nano"}],
    });
    let mut of_full = good.clone();
    of_full["templateRef"] = json!(FULL);
    of_full["options"] = choices();
    let env = (0..20).map(|number| json!({"name": format!("={number}"), "value": "x"}));
    let bad = json!({
        "displayName": "Nothing but faults", "templateRef": name, "desiredStatus": "Running", "updatePolicy": "OnStop",
        "image": "elsewhere.example.org/other:1",
        "resources": {"requests": {"cpu": "8"}, "limits": {"cpu": "9", "memory": "64Gi"}},
        "storage": {"size": "900Gi"},
        "env": env.collect::<Vec<_>>(),
    });
    let mut questions = Vec::new();
    for (case, path, spec, is_allowed) in [
        ("mutate", "/mutate", &good, true),
        ("validate", "/validate", &good, true),
        ("refused", "/validate", &bad, false),
        ("mutate-full", "/mutate", &of_full, true),
        ("validate-full", "/validate", &of_full, true),
    ] {
        let question = Question {
            path: path.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Some(review(spec)?.to_string()),
        };
        // The load looks at the status alone, which is 200 for refusals, too.
        let request = http::Request::post(path).header("content-type", "application/json");
        let body = axum::body::Body::from(question.body.clone().unwrap_or_default());
        let request = request.body(body)?;
        let answer = router.clone().oneshot(request).await?;
        let answer = axum::body::to_bytes(answer.into_body(), 1 << 20).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["response"]["allowed"] == is_allowed, "{case}: {answer}");
        questions.push((case, question));
    }
    let socket = listen(questions).await?;
    kit::https::serve(socket, tls()?, router, kit::https::IDLE, CancellationToken::new()).await;
    Ok(())
}

/// Objects as a watch keeps them.
fn store<K>(objects: impl IntoIterator<Item = K>) -> Cache<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let (store, mut writer) = reflector::store::<DeserializeGuard<K>>();
    writer.apply_watcher_event(&Event::Init);
    for object in objects {
        writer.apply_watcher_event(&Event::InitApply(DeserializeGuard(Ok(object))));
    }
    writer.apply_watcher_event(&Event::InitDone);
    store
}

/// The review of a creation with this spec, by its owner.
fn review(spec: &Value) -> anyhow::Result<Value> {
    let mut object = serde_json::to_value(testkit::objects::workspace("analysis"))?;
    object["spec"] = spec.clone();
    object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        json!(spec.to_string());
    object["metadata"]["managedFields"] = json!([{
        "manager": "kubectl-client-side-apply", "operation": "Update", "time": "2026-11-20T15:15:32Z",
        "apiVersion": object["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields(spec)},
    }]);
    let kind = json!({"group": names::GROUP, "version": names::VERSION, "kind": "Workspace"});
    let resource = json!({"group": names::GROUP, "version": names::VERSION, "resource": "workspaces"});
    let groups = ["oidc:data-science", "oidc:everybody", "system:authenticated"];
    Ok(json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0f3c9a44-6c2e-4b0c-9a54-3d0e5a6f7b18",
            "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": "analysis", "namespace": testkit::objects::NAMESPACE, "operation": "CREATE",
            "userInfo": {"username": testkit::objects::OWNER, "groups": groups},
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }))
}

fn fields(value: &Value) -> Value {
    let members = value.as_object().into_iter().flatten();
    members
        .map(|(key, value)| (format!("f:{key}"), fields(value)))
        .collect()
}
