//! What the operator's account cannot do although its role would let it.

use e2e::{
    Environment,
    cluster::{self, Scratch},
    workspace,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

fn deployment(name: &str, image: &str) -> anyhow::Result<Deployment> {
    let labels = json!({"app": name});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    }))?)
}

async fn operator() -> anyhow::Result<Client> {
    let environment = Environment::get()?;
    let (namespace, release) = (&environment.system_namespace, &environment.release);
    let user = format!("system:serviceaccount:{namespace}:{release}-operator");
    let groups = [
        "system:serviceaccounts",
        &format!("system:serviceaccounts:{namespace}"),
    ];
    cluster::acting_as(&user, &groups).await
}

fn refused<T: std::fmt::Debug>(result: kube::Result<T>, told: &str) {
    let is_told = |error: &kube::Error| matches!(error, kube::Error::Api(it) if it.code == 403 && it.message.contains(told));
    assert!(
        result.as_ref().is_err_and(is_told),
        "expected a refusal ({told}), got {result:?}"
    );
}

const NAMES: &str = "objects whose name begins with workspace-";
const NAMESPACES: &str = "namespaces that run the cluster or the operator itself";

#[tokio::test]
async fn the_operators_account_writes_its_own_kind_of_objects_and_no_others() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let image = &environment.images.echo;
    let scratch = Scratch::new("bounds-of-operator", &["alice"]).await?;
    let operator = operator().await?;
    let here = Api::<Deployment>::namespaced(operator.clone(), &scratch.namespace);
    refused(here.create(&dry(), &deployment("x", image)?).await, NAMES);
    here.create(&dry(), &deployment("workspace-x", image)?).await?;
    for namespace in ["kube-system", "kube-public", &environment.system_namespace] {
        let there = Api::<Deployment>::namespaced(operator.clone(), namespace);
        refused(
            there.create(&dry(), &deployment("workspace-x", image)?).await,
            NAMESPACES,
        );
    }
    // An apply and a deletion are bounded as well.
    let system = Api::<Deployment>::namespaced(operator.clone(), &environment.system_namespace);
    let gateway = format!("{}-gateway", environment.release);
    let params = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    refused(system.delete(&gateway, &params).await, NAMESPACES);
    let keys = Api::<ConfigMap>::namespaced(operator.clone(), &environment.system_namespace);
    let mut apply = PatchParams::apply("test").force();
    apply.dry_run = true;
    let forged =
        Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"gateway.json": "{}"}}));
    refused(
        keys.patch("jupyter-k8s-assertion-keys", &apply, &forged).await,
        NAMESPACES,
    );
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "theirs"}, "spec": {"ports": [{"port": 80}]},
    }))?;
    scratch
        .api::<Service>()
        .create(&PostParams::default(), &service)
        .await?;
    let theirs = Api::<Service>::namespaced(operator.clone(), &scratch.namespace);
    refused(theirs.delete("theirs", &params).await, NAMES);

    // Somebody's claim gets a note, and is not changed otherwise.
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "theirs"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }))?;
    scratch
        .api::<PersistentVolumeClaim>()
        .create(&PostParams::default(), &claim)
        .await?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(operator, &scratch.namespace);
    let merge = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let patch = async |metadata: Value| {
        claims
            .patch("theirs", &merge, &Patch::Merge(json!({"metadata": metadata})))
            .await
    };
    patch(json!({"annotations": {"workspaces.jupyter.org/in-use-by": "ws/uid"}})).await?;
    for other in [
        json!({"annotations": {"other": "x"}}),
        json!({"labels": {"other": "x"}}),
        json!({"finalizers": ["example.org/x"]}),
    ] {
        refused(patch(other).await, NAMES);
    }
    refused(claims.delete("theirs", &params).await, NAMES);

    // And its own work goes on.
    workspace::running(&scratch, "ws").await?;
    scratch.finish().await
}
