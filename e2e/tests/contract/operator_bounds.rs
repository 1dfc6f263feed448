//! Writes that the operator's account may not make, although its role allows them.

use e2e::{
    Environment,
    cluster::{self, Scratch},
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

fn refused<T: std::fmt::Debug>(result: kube::Result<T>, expected: &str) {
    let is_expected = |error: &kube::Error| matches!(error, kube::Error::Api(it) if it.code == 403 && it.message.contains(expected));
    assert!(
        result.as_ref().is_err_and(is_expected),
        "expected a refusal ({expected}), got {result:?}"
    );
}

const NAMES: &str = "objects whose name begins with workspace-";
const NAMESPACES: &str = "namespaces that run the cluster or the operator itself";

#[tokio::test]
async fn the_operators_account_writes_its_own_kind_of_objects_alone_and_no_pods_with_rights_on_their_host()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let image = &environment.images.echo;
    let scratch = Scratch::new("bounds-of-operator", &[]).await?;
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

    // A claim of another user gets an annotation, and no other change.
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
    makes_no_pods_with_rights_on_their_host(&scratch, image).await?;
    scratch.finish().await
}

async fn makes_no_pods_with_rights_on_their_host(scratch: &Scratch, image: &str) -> anyhow::Result<()> {
    let here = Api::<Deployment>::namespaced(operator().await?, &scratch.namespace);
    let shaped = |pod: &Value, container: &Value| -> anyhow::Result<Deployment> {
        let mut shaped = json!(deployment("workspace-x", image)?);
        let template = &mut shaped["spec"]["template"]["spec"];
        for (key, value) in container.as_object().into_iter().flatten() {
            template["containers"][0][key] = value.clone();
        }
        for (key, value) in pod.as_object().into_iter().flatten() {
            template[key] = value.clone();
        }
        Ok(serde_json::from_value(shaped)?)
    };
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = json!("v");
        json!({"volumes": [volume]})
    };
    let none = json!({});
    let (host, privileged, volumes) = (
        "ports of their host",
        "no privileged containers",
        "no other volumes",
    );
    let privilege = json!({"securityContext": {"privileged": true}});
    let init =
        json!({"initContainers": [{"name": "i", "image": image, "securityContext": {"privileged": true}}]});
    for (pod, container, expected) in [
        (json!({"hostNetwork": true}), none.clone(), host),
        (json!({"hostPID": true}), none.clone(), host),
        (json!({"hostIPC": true}), none.clone(), host),
        (
            none.clone(),
            json!({"ports": [{"containerPort": 1, "hostPort": 1}]}),
            host,
        ),
        (none.clone(), privilege, privileged),
        (
            none.clone(),
            json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
            privileged,
        ),
        (init, none.clone(), privileged),
        (volume(json!({"hostPath": {"path": "/"}})), none.clone(), volumes),
        (
            volume(json!({"nfs": {"server": "s", "path": "/"}})),
            none.clone(),
            volumes,
        ),
        (
            volume(json!({"configMap": {"name": "other"}})),
            none.clone(),
            volumes,
        ),
        (
            volume(json!({"projected": {"sources": [{"secret": {"name": "other"}}]}})),
            none.clone(),
            volumes,
        ),
    ] {
        refused(here.create(&dry(), &shaped(&pod, &container)?).await, expected);
    }
    here.create(&dry(), &shaped(&volume(json!({"emptyDir": {}})), &none)?)
        .await?;
    // A Deployment of another form, made by another user, can still be stopped.
    let odd = shaped(&volume(json!({"hostPath": {"path": "/"}})), &none)?;
    scratch
        .api::<Deployment>()
        .create(&PostParams::default(), &odd)
        .await?;
    let scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
    here.patch("workspace-x", &PatchParams::default(), &scale).await?;
    Ok(())
}
