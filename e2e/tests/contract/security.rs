//! Pods and their namespaces.

use e2e::{
    Environment,
    cluster::{self, Scratch},
    command,
    objects::workspace,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Namespaces enforce `restricted`, and every pod in them would be admitted again unchanged. No service account token is mounted.
#[tokio::test]
async fn every_pod_fits_pod_security_restricted_and_a_workspace_s_has_no_token() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let admin = cluster::admin().await?;
    let scratch = Scratch::new("restricted", &["alice"]).await?;
    let pod = workspace::pod(&workspace::running(&scratch, "ws").await?)?;
    let list = ["sh", "-c", "ls /var/run/secrets 2>&1; true"];
    let listing = cluster::exec(&scratch.api(), &pod, &list).await?;
    assert!(listing.contains("No such file"), "{listing}");

    let namespaces = Api::<Namespace>::all(admin.clone());
    for name in [environment.system_namespace.as_str(), scratch.namespace.as_str()] {
        let namespace = namespaces.get(name).await?;
        assert_eq!(
            namespace.labels().get(ENFORCE).map(String::as_str),
            Some("restricted"),
            "{name}"
        );
        let pods = Api::<Pod>::namespaced(admin.clone(), name);
        // The pod of an earlier `helm test` has ended, and its account is gone.
        let running = ListParams::default().fields("status.phase!=Failed,status.phase!=Succeeded");
        let all = pods.list(&running).await?.items;
        assert!(!all.is_empty(), "{name} has no pods");
        for pod in all {
            let mut again = Pod {
                metadata: cluster::named(&format!("again-{}", pod.name_any())),
                spec: pod.spec.clone(),
                status: None,
            };
            if let Some(spec) = &mut again.spec {
                spec.node_name = None;
            }
            let dry = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let admitted = pods.create(&dry, &again).await;
            assert!(admitted.is_ok(), "{name}/{}: {admitted:?}", pod.name_any());
        }
    }
    no_deployment_is_warned_about(&admin, &scratch).await?;
    // The control: the same call refuses a pod that requests more.
    let privileged: Pod = serde_json::from_value(json!({
        "metadata": {"name": "privileged"},
        "spec": {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": true}}]},
    }))?;
    let refused = scratch
        .api::<Pod>()
        .create(&PostParams::default(), &privileged)
        .await;
    assert!(refused.is_err_and(|error| error.to_string().contains("PodSecurity")));
    scratch.finish().await
}

/// Every Deployment can be created again without a warning, in a namespace that warns by `restricted`.
async fn no_deployment_is_warned_about(admin: &Client, scratch: &Scratch) -> anyhow::Result<()> {
    let warn = json!({"metadata": {"labels": {"pod-security.kubernetes.io/warn": "restricted"}}});
    let namespaces = Api::<Namespace>::all(admin.clone());
    namespaces
        .patch(&scratch.namespace, &PatchParams::default(), &Patch::Merge(warn))
        .await?;
    let mut copies = Vec::new();
    for name in [
        Environment::get()?.system_namespace.as_str(),
        scratch.namespace.as_str(),
    ] {
        let all = Api::<Deployment>::namespaced(admin.clone(), name);
        for deployment in all.list(&ListParams::default()).await? {
            let spec = deployment.spec.unwrap_or_default();
            copies.push((format!("copy-{}", copies.len()), json!(spec)));
        }
    }
    anyhow::ensure!(copies.len() > 4, "{copies:?}");
    // The control gets a warning.
    let mut privileged = copies[0].1.clone();
    privileged["template"]["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    let items = |all: Vec<(String, Value)>| {
        let items = all.into_iter().map(|(name, spec)| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
        });
        json!({"apiVersion": "v1", "kind": "List", "items": items.collect::<Vec<_>>()}).to_string()
    };
    let create = ["create", "--dry-run=server", "-n", &scratch.namespace, "-f", "-"];
    for (all, is_warned) in [
        (copies, false),
        (vec![("privileged".to_owned(), privileged)], true),
    ] {
        let made = command::administer_with(&create, &items(all)).await?;
        anyhow::ensure!(made.code == 0, "{made:?}");
        anyhow::ensure!(
            made.stderr.contains("Warning: would violate PodSecurity") == is_warned,
            "{made:?}"
        );
        anyhow::ensure!(made.stderr.contains("Warning") == is_warned, "{made:?}");
    }
    Ok(())
}
