//! Scripts that send a token in place of signing in. A test binary of its own: the installation is changed meanwhile.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::Person,
    release, wait, workspace,
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
    let robot = json!({"metadata": {"name": ROBOT}});
    let accounts = scratch.api::<ServiceAccount>();
    accounts
        .create(&PostParams::default(), &serde_json::from_value(robot)?)
        .await?;
    let token = token(&scratch, Some(&audience()?)).await?;

    // Off, as it is installed.
    let answer = send(&url, &token).await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED, "{}", answer.status());
    ensure!(!answer.headers().contains_key(header::WWW_AUTHENTICATE));

    release::upgrade(&["gateway.bearer.enabled=true"]).await?;
    let done = AssertUnwindSafe(counts(&scratch, &url, &token))
        .catch_unwind()
        .await;
    release::upgrade(&[]).await?;
    done.unwrap_or_else(|panic| resume_unwind(panic))?;
    scratch.finish().await
}

/// Address of a workspace of alice's that is open to everybody who may connect in its namespace.
async fn public_workspace(scratch: &Scratch) -> anyhow::Result<String> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut lab = serde_json::to_value(workspace::echo("lab")?)?;
    lab["spec"]["accessType"] = json!("Public");
    alice
        .create(&PostParams::default(), &serde_json::from_value(lab)?)
        .await?;
    workspace::url(&workspace::reached(&alice, "lab", Phase::Running).await?)
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
    let seen = wait::until("the robot to be let in", wait::USUAL, || async {
        let answer = send(url, token).await.map_err(|error| error.to_string())?;
        match answer.status() {
            StatusCode::OK => answer.text().await.map_err(|error| error.to_string()),
            status => Err(status.to_string()),
        }
    })
    .await?;
    // The pod is told who asks, and nothing that it could act with.
    ensure!(!seen.contains(token), "{seen}");
    ensure!(
        seen.to_ascii_lowercase().contains("workspace-assertion"),
        "{seen}"
    );

    bindings.delete(ROBOT, &DeleteParams::default()).await?;
    answered(url, token, StatusCode::FORBIDDEN, wait::USUAL).await?;

    // 60 s for which the gateway goes by an answer, and the seconds for which the API server remembers its own.
    let accounts = scratch.api::<ServiceAccount>();
    accounts.delete(ROBOT, &DeleteParams::default()).await?;
    answered(url, token, StatusCode::UNAUTHORIZED, Duration::from_secs(80)).await
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
async fn send(url: &str, token: &str) -> anyhow::Result<Response> {
    let script = Person::new()?.without_redirects()?;
    let request = script.request(Method::GET, &format!("{url}api/status"));
    Ok(request.bearer_auth(token).send().await?)
}
