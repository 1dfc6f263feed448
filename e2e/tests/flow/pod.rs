//! What reaches a workspace's pod.

use api::workspace::Phase;
use e2e::{
    cluster::{self, Scratch},
    http::Person,
    workspace,
};
use kube::{Api, api::PostParams};
use reqwest::{Method, StatusCode, header};

/// Prefixes of the gateway's cookies.
const OURS: [&str; 4] = ["__host-ws", "__host-session", "__host-login", "__secure-ws-"];

#[tokio::test]
async fn no_credential_of_the_gateway_or_the_identity_provider_reaches_the_pod() -> anyhow::Result<()> {
    let scratch = Scratch::new("leak", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice
        .create(&PostParams::default(), &workspace::echo("ws")?)
        .await?;
    let ws = workspace::reached(&alice, "ws", Phase::Running).await?;
    let url = workspace::url(&ws)?;
    let person = Person::new()?;
    person.add_cookie(&url, "theme=dark; Secure; Path=/")?;
    let landing = person.enter(&url, "alice").await?;
    assert!(!landing.url().as_str().contains("code="), "{}", landing.url());

    let after = person
        .request(Method::GET, &format!("{url}after"))
        .header(header::AUTHORIZATION, "Bearer stolen-token")
        .header("Sec-Fetch-Site", "same-origin")
        .send()
        .await?;
    let seen = after.text().await?;
    assert!(
        seen.contains("theme=dark"),
        "the application's own cookies do reach it: {seen}"
    );
    let posted = person
        .request(Method::POST, &format!("{url}posted"))
        .header(
            header::COOKIE,
            format!("{}; __HOST-WS=case; __Host-session=x", person.cookies(&url)?),
        )
        .header("Sec-Fetch-Site", "same-origin")
        .header(header::ORIGIN, url.trim_end_matches('/'))
        .body("hello")
        .send()
        .await?;
    assert_eq!(posted.status(), StatusCode::OK);

    let pod = ws
        .status
        .and_then(|status| status.endpoint)
        .map(|endpoint| endpoint.pod_name)
        .unwrap_or_default();
    let log = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8888/_log').read().decode())";
    let log = cluster::exec(&scratch.api(), &pod, &["python3", "-c", log])
        .await?
        .to_lowercase();
    assert!(log.contains("/after") && log.contains("/posted"), "{log}");
    for secret in OURS
        .into_iter()
        .chain(["authorization", "stolen-token", "id_token", "code=", "eyj"])
    {
        assert!(!log.contains(secret), "{secret:?} reached the pod: {log}");
    }
    scratch.finish().await
}
