//! A workspace's server answers only users with the gateway's assertion.

use api::names;
use e2e::{
    cluster::{self, Scratch},
    http::{HttpSession, pod::Direct},
    objects::workspace,
    portal::attested::{keys, now, signer},
};
use kit::{assertion_signer::Claims, rotating_keys::MasterKey};
use kube::ResourceExt as _;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn jupyterlab_shows_the_user_of_the_assertion_and_answers_401_to_requests_that_bypass_the_gateway()
-> anyhow::Result<()> {
    let scratch = Scratch::new("assertion", &["alice"]).await?;
    let lab = workspace::lab(&scratch).await?;
    let url = workspace::url(&lab)?;
    let uid = lab.uid().unwrap_or_default();
    let pod = Direct::of(&lab).await?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    let me = session
        .request(Method::GET, &format!("{url}api/me"))
        .header("Sec-Fetch-Site", "same-origin")
        // A browser's own word about itself is worth nothing.
        .header(names::ASSERTION_HEADER, "e30.e30.e30")
        .send()
        .await?;
    assert_eq!(me.status(), 200);
    let me: Value = me.json().await?;
    let shown = |field: &str| me["identity"][field].clone();
    assert_eq!(
        (shown("username"), shown("initials")),
        (json!("alice"), json!("A"))
    );

    // The control: this way leads to the pod, and the right assertion opens it.
    let gateway = signer(&keys("gateway").await?)?;
    let claims = Claims::new(names::GATEWAY, &uid, "alice", now());
    let good = gateway.sign(&claims)?;
    assert_eq!(pod.ask("api/status", &[&good]).await?, 200);

    let of = |change: &dyn Fn(&mut Claims<'_>)| {
        let mut claims = claims;
        change(&mut claims);
        gateway.sign(&claims)
    };
    let expired = of(&|claims| {
        for time in [&mut claims.begins, &mut claims.issued, &mut claims.ends] {
            *time -= 120;
        }
    })?;
    let foreign = of(&|claims| claims.audience = "another-workspace")?;
    let as_operator = of(&|claims| claims.issuer = names::OPERATOR)?;
    let other_user = signer(&[MasterKey {
        id: keys("gateway").await?.remove(0).id,
        active_from: 0,
        bytes: [7; 32].into(),
    }])?;
    let forged = other_user.sign(&claims)?;
    let wrong: [&[&str]; 7] = [
        &[],
        &[&expired],
        &[&foreign],
        &[&as_operator],
        &[&forged],
        &["e30.e30.e30"],
        &[&good, &good],
    ];
    for path in [
        "api/status",
        "lab",
        "api",
        "static/base/images/favicon.ico",
        "api/kernels/0/channels",
    ] {
        for assertions in wrong {
            assert_eq!(pod.ask(path, assertions).await?, 401, "{path} {assertions:?}");
        }
    }

    // The operator may read whether the workspace is in use, and nothing else.
    let operator = signer(&keys("operator").await?)?;
    let asks = operator.sign(&Claims::new(names::OPERATOR, &uid, names::OPERATOR, now()))?;
    assert_eq!(pod.ask("api/kernels?no_track_activity=1", &[&asks]).await?, 200);
    assert_eq!(pod.ask("api/contents", &[&asks]).await?, 401);

    // Code in the pod already has access to its files, but the server does not accept it as a user.
    let inside = "import urllib.request as r, urllib.error as e\n\
                  try: print(r.urlopen('http://127.0.0.1:8888/api/status').status)\n\
                  except e.HTTPError as x: print(x.code)";
    let name = workspace::pod(&lab)?;
    let seen = cluster::exec(&scratch.api(), &name, &["python3", "-c", inside]).await?;
    assert_eq!(seen.trim(), "401");
    scratch.finish().await
}
