//! Scripts that send a token in place of signing in. A test binary of its own: the installation is changed meanwhile.

mod logs;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{
    Workspace,
    workspace::{AccessType, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::Person,
    kernel, release, wait, workspace,
};
use futures::FutureExt as _;
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount, rbac::v1::RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

const ROBOT: &str = "robot";

#[tokio::test]
async fn a_service_account_s_token_opens_what_its_account_may_and_no_longer_than_that() -> anyhow::Result<()>
{
    let scratch = Scratch::new("tokens", &["alice"]).await?;
    let url = public_workspace(&scratch).await?;
    make_robot(&scratch).await?;
    let token = token(&scratch, Some(&audience()?)).await?;

    // Off, as it is installed.
    let answer = send(&url, &token).await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED, "{}", answer.status());
    ensure!(!answer.headers().contains_key(header::WWW_AUTHENTICATE));

    while_tokens_count(Box::pin(counts(&scratch, &url, &token))).await?;
    scratch.finish().await
}

/// The logs are those of pods that have just begun: whatever people and scripts do meanwhile is in them.
#[tokio::test]
async fn nothing_that_lets_somebody_in_is_in_a_log_of_any_pod() -> anyhow::Result<()> {
    let scratch = Scratch::new("logs", &["alice", "bob"]).await?;
    let url = public_workspace(&scratch).await?;
    workspace::running(&scratch, "private").await?;
    make_robot(&scratch).await?;
    let token = token(&scratch, Some(&audience()?)).await?;
    while_tokens_count(Box::pin(async {
        let_in(&scratch, &url, &token).await?;
        Box::pin(logs::hold_nothing_that_lets_somebody_in(&scratch, &url, &token)).await
    }))
    .await?;
    scratch.finish().await
}

async fn while_tokens_count(test: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    release::upgrade(&["gateway.bearer.enabled=true"]).await?;
    let done = AssertUnwindSafe(test).catch_unwind().await;
    release::upgrade(&[]).await?;
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn make_robot(scratch: &Scratch) -> anyhow::Result<()> {
    let robot = json!({"metadata": {"name": ROBOT}});
    let accounts = scratch.api::<ServiceAccount>();
    accounts
        .create(&PostParams::default(), &serde_json::from_value(robot)?)
        .await?;
    Ok(())
}

/// Address of a workspace of alice's that is open to everybody who may connect in its namespace.
async fn public_workspace(scratch: &Scratch) -> anyhow::Result<String> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut echo = workspace::echo("echo")?;
    echo.spec.access_type = Some(AccessType::Public);
    alice.create(&PostParams::default(), &echo).await?;
    workspace::url(&workspace::reached(&alice, "echo", Phase::Running).await?)
}

async fn counts(scratch: &Scratch, url: &str, token: &str) -> anyhow::Result<()> {
    // Known, and not allowed.
    answered(url, token, StatusCode::FORBIDDEN, wait::USUAL).await?;
    for garbage in ["garbage", "a.b.c", ROBOT, &token[..token.len() - 8]] {
        let answer = send(url, garbage).await?;
        ensure!(
            answer.status() == StatusCode::UNAUTHORIZED,
            "{garbage}: {}",
            answer.status()
        );
        let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str()?;
        ensure!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let for_api_server = self::token(scratch, None).await?;
    let answer = send(url, &for_api_server).await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED, "{}", answer.status());
    let said: Value = answer.json().await?;
    let way = format!("kubectl create token NAME --audience={}", audience()?);
    ensure!(
        said["message"].as_str().is_some_and(|text| text.ends_with(&way)),
        "{said}"
    );

    let seen = let_in(scratch, url, token).await?;
    // The pod is told who asks, and nothing that it could act with.
    ensure!(!seen.contains(token), "{seen}");
    ensure!(
        seen.to_ascii_lowercase().contains("workspace-assertion"),
        "{seen}"
    );
    computes(scratch, token).await?;

    let bindings = scratch.api::<RoleBinding>();
    bindings.delete(ROBOT, &DeleteParams::default()).await?;
    answered(url, token, StatusCode::FORBIDDEN, wait::USUAL).await?;

    // 60 s for which the gateway goes by an answer, and the seconds for which the API server remembers its own.
    let accounts = scratch.api::<ServiceAccount>();
    accounts.delete(ROBOT, &DeleteParams::default()).await?;
    answered(url, token, StatusCode::UNAUTHORIZED, Duration::from_secs(80)).await
}

/// A script with nothing but its token starts a kernel in a JupyterLab, and computes.
async fn computes(scratch: &Scratch, token: &str) -> anyhow::Result<()> {
    let url = workspace::url(&workspace::lab(scratch).await?)?;
    let everybody = json!({"accessType": AccessType::Public});
    workspace::set(&scratch.api(), "lab", everybody).await?;
    answered(&url, token, StatusCode::OK, wait::USUAL).await?;
    let result = kernel::compute_with_token(token, &url, "6*7").await?;
    ensure!(result == "42", "{result}");
    // The control: a page that cannot show Jupyter's own proof writes nothing, by whatever cookie.
    let alice = Person::new()?;
    alice.enter(&format!("{url}api/status"), "alice").await?;
    let forged = alice
        .request(Method::POST, &format!("{url}api/kernels"))
        .header("Sec-Fetch-Site", "same-origin")
        .json(&json!({}));
    let answer = forged.send().await?;
    ensure!(answer.status() == StatusCode::FORBIDDEN, "{}", answer.status());
    Ok(())
}

/// Gives the robot the right to connect, and waits until it counts; what a pod was then asked.
async fn let_in(scratch: &Scratch, url: &str, token: &str) -> anyhow::Result<String> {
    let bindings = scratch.api::<RoleBinding>();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": ROBOT},
        "roleRef": {
            "kind": "ClusterRole",
            "apiGroup": "rbac.authorization.k8s.io",
            "name": format!("{}-workspace-user", Environment::get()?.release),
        },
        "subjects": [{"kind": "ServiceAccount", "name": ROBOT, "namespace": scratch.namespace}],
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    wait::until("the robot to be let in", wait::USUAL, || async {
        let answer = send(url, token).await.map_err(|error| error.to_string())?;
        match answer.status() {
            StatusCode::OK => answer.text().await.map_err(|error| error.to_string()),
            status => Err(status.to_string()),
        }
    })
    .await
}

/// Waits until a request with this token gets this answer.
async fn answered(url: &str, token: &str, expected: StatusCode, deadline: Duration) -> anyhow::Result<()> {
    let what = format!("the robot to get {expected}");
    wait::until(&what, deadline, || async {
        let answer = send(url, token).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        (status == expected)
            .then_some(())
            .ok_or_else(|| status.to_string())
    })
    .await
}

/// Audience of tokens for this installation.
fn audience() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    Ok(environment.origin(&format!("auth.{}", environment.base_domain)))
}

/// A token of the robot's; without an audience it is for the API server.
async fn token(scratch: &Scratch, audience: Option<&str>) -> anyhow::Result<String> {
    let audiences: Vec<&str> = audience.into_iter().collect();
    let request: TokenRequest = serde_json::from_value(json!({
        "spec": {"audiences": audiences, "expirationSeconds": 600},
    }))?;
    let accounts = scratch.api::<ServiceAccount>();
    let made = accounts
        .create_token_request(ROBOT, &PostParams::default(), &request)
        .await?;
    Ok(made.status.context("no token")?.token)
}

/// A request without cookies.
pub(crate) async fn send(url: &str, token: &str) -> anyhow::Result<Response> {
    let script = Person::new()?.without_redirects()?;
    let request = script.request(Method::GET, &format!("{url}api/status"));
    Ok(request.bearer_auth(token).send().await?)
}
