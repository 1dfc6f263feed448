//! The portal's account has no rights beyond its pages, neither by itself nor as other users.

use anyhow::bail;
use e2e::Environment;
use e2e::cluster::{self, Scratch};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;

/// The status of a request of the portal's own token, as another user if there are headers for that.
async fn status(token: &str, (method, path): (&str, &str), as_user: &[(&str, &str)]) -> anyhow::Result<u16> {
    let client = cluster::with_token(token).await?;
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in as_user {
        request = request.header(*name, *value);
    }
    let body = match method {
        "POST" => b"{}".to_vec(),
        _ => Vec::new(),
    };
    let request = request.header("content-type", "application/json").body(body)?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(200),
        Err(kube::Error::Api(refusal)) => Ok(refusal.code),
        Err(error) => bail!("{method} {path}: {error}"),
    }
}

async fn token() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let accounts: Api<ServiceAccount> =
        Api::namespaced(cluster::admin().await?, &environment.system_namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let account = format!("{}-portal", environment.release);
    let made = accounts
        .create_token_request(&account, &PostParams::default(), &request)
        .await?;
    Ok(made.status.map(|status| status.token).unwrap_or_default())
}

#[tokio::test]
async fn the_portals_own_token_writes_nothing_and_impersonates_no_user() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-account", &["alice"]).await?;
    let token = token().await?;
    let of = |resource: &str| {
        format!(
            "/apis/workspaces.jupyter.org/v1alpha1/namespaces/{}/{resource}",
            scratch.namespace
        )
    };
    let core = |resource: &str| format!("/api/v1/namespaces/{}/{resource}", scratch.namespace);
    assert_eq!(
        status(&token, ("GET", &of("workspaces")), &[]).await?,
        200,
        "it watches them"
    );
    for (method, path) in [
        ("POST", of("workspaces")),
        ("DELETE", of("workspaces/ws")),
        ("POST", of("workspaceshares")),
        ("GET", core("secrets")),
        ("GET", core("pods")),
        ("GET", core("configmaps")),
        ("POST", core("pods")),
    ] {
        assert_eq!(
            status(&token, (method, &path), &[]).await?,
            403,
            "{method} {path}"
        );
    }
    let alice = [("Impersonate-User", "alice")];
    assert_eq!(
        status(&token, ("GET", &core("pods")), &alice).await?,
        200,
        "as alice it lists pods"
    );
    for (method, path) in [
        ("GET", core("secrets")),
        ("POST", core("secrets")),
        ("POST", core("pods")),
        ("POST", core("pods/ws/exec")),
        (
            "GET",
            format!("/apis/apps/v1/namespaces/{}/deployments", scratch.namespace),
        ),
        (
            "POST",
            format!(
                "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
                scratch.namespace
            ),
        ),
    ] {
        assert_eq!(
            status(&token, (method, &path), &alice).await?,
            403,
            "{method} {path}"
        );
    }
    for headers in [
        &[
            ("Impersonate-User", "root"),
            ("Impersonate-Group", "system:masters"),
        ][..],
        &[(
            "Impersonate-User",
            "system:serviceaccount:kube-system:generic-garbage-collector",
        )],
        &[("Impersonate-User", "system:node:node")],
        &[("Impersonate-User", "alice"), ("Impersonate-Uid", "1")],
    ] {
        assert_eq!(
            status(&token, ("GET", &core("pods")), headers).await?,
            403,
            "{headers:?}"
        );
    }
    scratch.finish().await
}
