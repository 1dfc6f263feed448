//! Pods and their namespaces.

use api::workspace::Phase;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    workspace,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Namespaces enforce `restricted`, and every pod in them would be admitted again as it stands.
#[tokio::test]
async fn every_pod_fits_pod_security_restricted_enforced() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let admin = cluster::admin().await?;
    let scratch = Scratch::new("restricted", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice
        .create(&PostParams::default(), &workspace::of_image("lab", "uv"))
        .await?;
    workspace::reached(&alice, "lab", Phase::Running).await?;

    let namespaces = Api::<Namespace>::all(admin.clone());
    for name in [environment.system_namespace.as_str(), scratch.namespace.as_str()] {
        let namespace = namespaces.get(name).await?;
        assert_eq!(
            namespace.labels().get(ENFORCE).map(String::as_str),
            Some("restricted"),
            "{name}"
        );
        let pods = Api::<Pod>::namespaced(admin.clone(), name);
        let all = pods.list(&ListParams::default()).await?.items;
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
    // The control: the same call refuses a pod that asks for more.
    let privileged: Pod = serde_json::from_value(serde_json::json!({
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

#[tokio::test]
async fn a_workspace_s_pod_has_no_service_account_token() -> anyhow::Result<()> {
    let scratch = Scratch::new("token", &["alice"]).await?;
    let pod = workspace::pod(&workspace::running(&scratch, "ws").await?)?;
    let listing = cluster::exec(
        &scratch.api(),
        &pod,
        &["sh", "-c", "ls /var/run/secrets 2>&1; true"],
    )
    .await?;
    assert!(listing.contains("No such file"), "{listing}");
    scratch.finish().await
}
