//! Scripts that send a token instead of signing in.
//!
//! The test run enables tokens (stage `settings`); that they are disabled by default is a test of `flow`.

mod logs;

use anyhow::ensure;
use api::{
    Workspace,
    workspace::{AccessType, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch, service_account},
    http::{HttpSession, send_with_token},
    jupyter::kernel,
    objects::workspace,
    wait,
};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

/// The pods have just started, so their logs contain all actions of users and scripts.
#[tokio::test]
async fn a_service_account_token_has_exactly_the_access_of_its_account_and_no_log_has_a_credential()
-> anyhow::Result<()> {
    let scratch = Scratch::new("tokens", &["alice", "bob"]).await?;
    let url = public_workspace(&scratch).await?;
    workspace::running(&scratch, "private").await?;
    service_account::make(&scratch).await?;
    let token = service_account::token(&scratch, Some(&service_account::audience()?)).await?;

    grant_connect(&scratch, &url, &token).await?;
    Box::pin(logs::contain_no_credential(&scratch, &url, &token)).await?;
    revoke_connect(&scratch).await?;
    Box::pin(admits(&scratch, &url, &token)).await?;
    scratch.finish().await
}

/// Address of a workspace of alice, open to all users who may connect in its namespace.
async fn public_workspace(scratch: &Scratch) -> anyhow::Result<String> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut echo = workspace::echo("echo")?;
    echo.spec.access_type = Some(AccessType::Public);
    alice.create(&PostParams::default(), &echo).await?;
    workspace::url(&workspace::reached(&alice, "echo", Phase::Running).await?)
}

async fn admits(scratch: &Scratch, url: &str, token: &str) -> anyhow::Result<()> {
    // Authenticated, and not allowed.
    answered(url, token, StatusCode::FORBIDDEN).await?;
    for garbage in [
        "garbage",
        "a.b.c",
        service_account::NAME,
        &token[..token.len() - 8],
    ] {
        let answer = send_with_token(url, garbage).await?;
        ensure!(
            answer.status() == StatusCode::UNAUTHORIZED,
            "{garbage}: {}",
            answer.status()
        );
        let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str()?;
        ensure!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let for_api_server = service_account::token(scratch, None).await?;
    let answer = send_with_token(url, &for_api_server).await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED, "{}", answer.status());
    let response: Value = answer.json().await?;
    let way = format!(
        "kubectl create token NAME --audience={}",
        service_account::audience()?
    );
    ensure!(
        response["message"]
            .as_str()
            .is_some_and(|text| text.ends_with(&way)),
        "{response}"
    );

    let seen = grant_connect(scratch, url, token).await?;
    // The pod receives the user's name, and no credential.
    ensure!(!seen.contains(token), "{seen}");
    ensure!(
        seen.to_ascii_lowercase().contains("workspace-assertion"),
        "{seen}"
    );
    computes(scratch, token).await?;

    revoke_connect(scratch).await?;
    // The gateway's router tests cover that a deleted account loses access within a minute.
    answered(url, token, StatusCode::FORBIDDEN).await
}

/// A script with only its token starts a kernel in a JupyterLab, and computes.
async fn computes(scratch: &Scratch, token: &str) -> anyhow::Result<()> {
    let url = workspace::url(&workspace::lab(scratch).await?)?;
    let all_users = json!({"accessType": AccessType::Public});
    workspace::set(&scratch.api(), "lab", all_users).await?;
    answered(&url, token, StatusCode::OK).await?;
    let result = kernel::compute_with_token(token, &url, "6*7").await?;
    ensure!(result == "42", "{result}");
    // The control: Jupyter accepts no write with only a cookie, without `_xsrf` or the browser's header for the same origin.
    let alice = HttpSession::new()?;
    alice.enter(&format!("{url}api/status"), "alice").await?;
    let forged = alice
        .request(Method::POST, &format!("{url}api/kernels"))
        .header("Origin", url.trim_end_matches('/'))
        .json(&json!({}));
    let answer = forged.send().await?;
    ensure!(answer.status() == StatusCode::FORBIDDEN, "{}", answer.status());
    Ok(())
}

/// Grants the robot the permission to connect, and waits until it takes effect; returns the request that a pod then received.
async fn grant_connect(scratch: &Scratch, url: &str, token: &str) -> anyhow::Result<String> {
    let bindings = scratch.api::<RoleBinding>();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": service_account::NAME},
        "roleRef": {
            "kind": "ClusterRole",
            "apiGroup": "rbac.authorization.k8s.io",
            "name": format!("{}-workspace-user", Environment::get()?.release),
        },
        "subjects": [{"kind": "ServiceAccount", "name": service_account::NAME, "namespace": scratch.namespace}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    wait::until("the robot to get access", wait::USUAL, || async {
        let answer = send_with_token(url, token)
            .await
            .map_err(|error| error.to_string())?;
        match answer.status() {
            StatusCode::OK => answer.text().await.map_err(|error| error.to_string()),
            status => Err(status.to_string()),
        }
    })
    .await
}

async fn revoke_connect(scratch: &Scratch) -> anyhow::Result<()> {
    let bindings = scratch.api::<RoleBinding>();
    bindings
        .delete(service_account::NAME, &DeleteParams::default())
        .await?;
    Ok(())
}

/// Waits until a request with this token gets this answer.
async fn answered(url: &str, token: &str, expected: StatusCode) -> anyhow::Result<()> {
    let what = format!("the robot to get {expected}");
    wait::until(&what, wait::USUAL, || async {
        let answer = send_with_token(url, token)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        (status == expected)
            .then_some(())
            .ok_or_else(|| status.to_string())
    })
    .await
}
