//! A user's token of the identity provider, in kubectl's place: the API server and the gateway give the user one name.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{Workspace, names, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    wait, workspace,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

/// The bundled provider's client for kubectl, and where kubelogin waits for the provider's answer.
const CLIENT: &str = "kubectl";
const REDIRECT: &str = "http://localhost:8000";
/// The API server reads its authentication settings again once a minute, and asks a provider that was away every ten seconds.
const TRUSTED: Duration = Duration::from_mins(3);
/// A verifier of PKCE and its challenge, by which the two are known to belong together (RFC 7636, appendix B).
const PKCE: (&str, &str) = (
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
);

/// Signs alice in for kubectl as kubelogin does, and returns her ID token.
async fn id_token(session: &HttpSession) -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let endpoint = |name: &str| {
        let origin = environment.origin(&environment.identity_host);
        format!("{origin}/realms/jupyter/protocol/openid-connect/{name}")
    };
    let parameters = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile"),
        ("state", "kubectl-sign-in"),
        ("code_challenge", PKCE.1),
        ("code_challenge_method", "S256"),
    ];
    let authorize = Url::parse_with_params(&endpoint("auth"), parameters)?;
    let password = &environment.user("alice")?.password;
    let answer = session
        .provider_redirect(authorize.as_str(), "alice", password)
        .await?;
    ensure!(
        answer.as_str().starts_with(REDIRECT),
        "not for kubectl: {}",
        answer.path()
    );
    let code = answer.query_pairs().find(|(name, _)| name == "code");
    let (_, code) = code.context("the provider gave no code")?;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("code_verifier", PKCE.0),
        ("code", &code),
    ];
    let answer = session
        .request(Method::POST, &endpoint("token"))
        .form(&form)
        .send()
        .await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.text().await?);
    let tokens: Value = answer.json().await?;
    let token = tokens["id_token"].as_str().context("no ID token")?;
    Ok(token.to_owned())
}

#[tokio::test]
async fn a_token_of_the_provider_makes_a_workspace_whose_owner_is_the_person_that_the_browser_shows()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("kubectl", &["alice"]).await?;
    let client = cluster::with_token(&id_token(&HttpSession::new()?).await?).await?;
    let workspaces = Api::<Workspace>::namespaced(client, &scratch.namespace);
    wait::until(
        "the API server to accept the provider's token",
        TRUSTED,
        || async {
            let listed = workspaces.list(&ListParams::default()).await;
            listed.map(drop).map_err(|error| error.to_string())
        },
    )
    .await?;
    let name = "by-token";
    let made = workspaces
        .create(&PostParams::default(), &workspace::echo(name)?)
        .await?;
    let owner = made.annotations().get(names::CREATED_BY).context("no owner")?;

    // The gateway lets the same person in as the owner, and shows that name.
    let running = workspace::reached(&scratch.api(), name, Phase::Running).await?;
    let browser = HttpSession::new()?;
    browser.enter(&workspace::url(&running)?, "alice").await?;
    let auth = environment.origin(&environment.auth_host());
    let page = browser.open(&format!("{auth}/")).await?.text().await?;
    let shown = [".", ","].map(|end| format!("You are {owner}{end}"));
    ensure!(shown.iter().any(|name| page.contains(name)), "{owner}: {page}");
    scratch.finish().await
}
