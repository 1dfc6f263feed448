//! Writes that the operator's account may not make, although its role allows them.

use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Service};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

pub(crate) fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// A pod that the Workspace `owner` controls.
fn pod(name: &str, owner: &str, image: &str) -> anyhow::Result<Pod> {
    let mut spec = cluster::restricted_pod("c", json!({"image": image}), &json!([]))["spec"].clone();
    spec["terminationGracePeriodSeconds"] = json!(1);
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "ownerReferences": [{
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "name": owner, "uid": "1", "controller": true,
        }]},
        "spec": spec,
    }))?)
}

pub(crate) async fn operator() -> anyhow::Result<Client> {
    let environment = Environment::get()?;
    let (namespace, release) = (&environment.system_namespace, &environment.release);
    let user = format!("system:serviceaccount:{namespace}:{release}-operator");
    let groups = [
        "system:serviceaccounts",
        &format!("system:serviceaccounts:{namespace}"),
    ];
    cluster::acting_as(&user, &groups).await
}

pub(crate) fn refused<T: std::fmt::Debug>(result: kube::Result<T>, expected: &str) {
    let is_expected = |error: &kube::Error| matches!(error, kube::Error::Api(it) if it.code == 403 && it.message.contains(expected));
    assert!(
        result.as_ref().is_err_and(is_expected),
        "expected a refusal ({expected}), got {result:?}"
    );
}

const NAMES: &str = "objects whose name begins with workspace-";
const CONTROLLED: &str = "no pods but those that the Workspace of their name controls";
const NAMESPACES: &str = "namespaces that run the cluster or the operator itself";

#[tokio::test]
async fn the_operators_account_writes_its_own_kind_of_objects_alone_and_no_pods_with_rights_on_their_host()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let image = &environment.images.echo;
    let scratch = Scratch::new("bounds-of-operator", &["alice"]).await?;
    let operator = operator().await?;
    let here = Api::<Pod>::namespaced(operator.clone(), &scratch.namespace);
    refused(here.create(&dry(), &pod("x", "x", image)?).await, NAMES);
    here.create(&dry(), &pod("workspace-x", "x", image)?).await?;
    for other in ["workspace-y", "workspace-xy"] {
        refused(here.create(&dry(), &pod(other, "x", image)?).await, CONTROLLED);
    }
    let mut uncontrolled = pod("workspace-x", "x", image)?;
    uncontrolled.metadata.owner_references = None;
    refused(here.create(&dry(), &uncontrolled).await, CONTROLLED);
    for namespace in ["kube-system", "kube-public", &environment.system_namespace] {
        let there = Api::<Pod>::namespaced(operator.clone(), namespace);
        refused(
            there.create(&dry(), &pod("workspace-x", "x", image)?).await,
            NAMESPACES,
        );
    }
    // Changes and deletions of pods, an apply and a deletion of others are bounded as well.
    pods_of_others_stay(&scratch, &here, &uncontrolled).await?;
    let system = Api::<Pod>::namespaced(operator.clone(), &environment.system_namespace);
    let of_gateway = ListParams::default().labels("app.kubernetes.io/component=gateway");
    let gateway = system.list(&of_gateway).await?.items[0].name_any();
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

/// A pod that another user made under such a name is neither changed nor deleted, and no spec of a pod is changed.
async fn pods_of_others_stay(scratch: &Scratch, operator: &Api<Pod>, theirs: &Pod) -> anyhow::Result<()> {
    let all = scratch.api::<Pod>();
    all.create(&PostParams::default(), theirs).await?;
    let merge = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let delete = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    refused(operator.patch("workspace-x", &merge, &label).await, CONTROLLED);
    refused(operator.delete("workspace-x", &delete).await, CONTROLLED);
    let owner = pod("workspace-x", "x", "")?.metadata.owner_references;
    let adopted = Patch::Merge(json!({"metadata": {"ownerReferences": owner}}));
    refused(operator.patch("workspace-x", &merge, &adopted).await, CONTROLLED);
    let own = workspace::pod(&workspace::running(scratch, "own").await?)?;
    operator.patch(&own, &merge, &label).await?;
    operator.delete(&own, &delete).await?;
    let image = Patch::Strategic(json!({"spec": {"containers": [{"name": "workspace", "image": "other"}]}}));
    refused(
        operator.patch(&own, &merge, &image).await,
        "changes no spec of a pod",
    );
    Ok(())
}

async fn makes_no_pods_with_rights_on_their_host(scratch: &Scratch, image: &str) -> anyhow::Result<()> {
    // Without Pod Security: this shows what the policy refuses.
    let privileged =
        Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}));
    Api::<Namespace>::all(cluster::admin().await?)
        .patch(&scratch.namespace, &PatchParams::default(), &privileged)
        .await?;
    let here = Api::<Pod>::namespaced(operator().await?, &scratch.namespace);
    let shaped = |rest: &Value, container: &Value| -> anyhow::Result<Pod> {
        let mut shaped = json!(pod("workspace-y", "y", image)?);
        let spec = &mut shaped["spec"];
        for (key, value) in container.as_object().into_iter().flatten() {
            spec["containers"][0][key] = value.clone();
        }
        for (key, value) in rest.as_object().into_iter().flatten() {
            spec[key] = value.clone();
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
        "mounts claims, Secrets",
    );
    let privilege = json!({"securityContext": {"privileged": true}});
    let init =
        json!({"initContainers": [{"name": "i", "image": image, "securityContext": {"privileged": true}}]});
    for (pod, container, expected) in [
        (json!({"hostNetwork": true}), none.clone(), host),
        (json!({"hostPID": true}), none.clone(), host),
        (json!({"hostIPC": true}), none.clone(), host),
        (
            json!({"terminationGracePeriodSeconds": 0}),
            none.clone(),
            "without a grace period",
        ),
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
            volume(json!({"csi": {"driver": "files.example.com"}})),
            none.clone(),
            volumes,
        ),
    ] {
        refused(here.create(&dry(), &shaped(&pod, &container)?).await, expected);
    }
    // The API server adds a token to the second one before it asks the policy.
    for taken in [
        volume(json!({"emptyDir": {}})),
        json!({"automountServiceAccountToken": true}),
    ] {
        here.create(&dry(), &shaped(&taken, &none)?).await?;
    }
    Ok(())
}
