//! Each way to end a permission -> the time until it takes effect.
//!
//! It is measured at every replica of the gateway and through the proxy. Its own test binary, because no other test may run meanwhile.

mod watch;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::{Workspace, WorkspaceShare, names::CREATED_BY, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    objects::workspace,
};
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use reqwest::{Method, StatusCode, header};
use serde_json::json;

use watch::{Expected, Row, Watch};

/// Maximum time until requests are refused.
const REQUESTS: Duration = Duration::from_secs(1);
/// Maximum time until open websockets are closed.
const SOCKETS: Duration = Duration::from_secs(2);
/// The API server may use its old roles for a short time. The gateway asks it again after two seconds, and its earlier answer counts for at
/// most one second more.
const ROLES: Duration = Duration::from_secs(3);

/// The session stays valid, and no longer opens this workspace.
const DENIED: Expected = Expected {
    answers: &[StatusCode::FORBIDDEN],
    codes: &[1008],
    within: (REQUESTS, SOCKETS),
};
/// The session has ended.
const SIGNED_OUT: Expected = Expected {
    answers: &[StatusCode::UNAUTHORIZED],
    ..DENIED
};
/// The same as denied, with the delay of roles.
const ROLE_LOST: Expected = Expected {
    within: (REQUESTS.saturating_add(ROLES), SOCKETS.saturating_add(ROLES)),
    ..DENIED
};
/// While the workspace is being deleted, users with access see that it does not run. Later its address is like any unused
/// one.
/// Its pod may close the websockets before the gateway does, and a request that was admitted may no longer reach it.
const DELETED: Expected = Expected {
    answers: &[
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::FORBIDDEN,
    ],
    codes: &[1008, 0],
    ..DENIED
};

struct Site {
    scratch: Scratch,
    alice: Api<Workspace>,
}

impl Site {
    async fn url(&self, name: &str) -> anyhow::Result<String> {
        workspace::url(&workspace::reached(&self.alice, name, Phase::Running).await?)
    }

    /// A new browser of this user, with the workspace open.
    async fn inside(&self, name: &str, session: &str) -> anyhow::Result<(HttpSession, Watch)> {
        let (browser, url) = (HttpSession::new()?, self.url(name).await?);
        browser.enter(&url, session).await?;
        let watch = Watch::begin(&browser, &url).await?;
        Ok((browser, watch))
    }

    async fn share(&self, rest: serde_json::Value) -> anyhow::Result<()> {
        let mut spec = json!({"workspaceRef": "kept", "subjects": [{"kind": "User", "name": "bob"}]});
        for (key, value) in rest.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let share = serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec}))?;
        self.shares()
            .await?
            .create(&PostParams::default(), &share)
            .await?;
        Ok(())
    }

    async fn shares(&self) -> anyhow::Result<Api<WorkspaceShare>> {
        Ok(Api::namespaced(
            cluster::user("alice").await?,
            &self.scratch.namespace,
        ))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_revocation_takes_effect_at_every_replica_within_its_bound() -> anyhow::Result<()> {
    let scratch = Scratch::new("revocation", &["alice", "bob"]).await?;
    let alice = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    for name in ["kept", "given", "gone"] {
        alice
            .create(&PostParams::default(), &workspace::echo(name)?)
            .await?;
    }
    let site = Site { scratch, alice };
    println!("{}", Row::head());
    let print_row = |what: &'static str, expected: Expected, row: anyhow::Result<Row>| {
        let row = row.context(what)?;
        println!("{}", row.line(what));
        anyhow::Ok((what, expected, row))
    };
    let rows = [
        print_row("share removed", DENIED, share_removed(&site).await)?,
        print_row("share expired", DENIED, share_expired(&site).await)?,
        print_row("access made private", DENIED, access_changed(&site).await)?,
        print_row("owner changed", DENIED, owner_changed(&site).await)?,
        print_row("signed out", SIGNED_OUT, signed_out(&site).await)?,
        print_row(
            "signed out at the provider",
            SIGNED_OUT,
            signed_out_at_provider(&site).await,
        )?,
        print_row("role taken away", ROLE_LOST, role_taken_away(&site).await)?,
        print_row("workspace deleted", DELETED, deleted(&site).await)?,
    ];
    for (what, expected, row) in &rows {
        row.check(what, *expected)?;
    }
    site.scratch.finish().await
}

async fn share_removed(site: &Site) -> anyhow::Result<Row> {
    site.share(json!({})).await?;
    let (_, watch) = site.inside("kept", "bob").await?;
    site.shares().await?.delete("s", &DeleteParams::default()).await?;
    watch.end(Instant::now()).await
}

async fn share_expired(site: &Site) -> anyhow::Result<Row> {
    let in_seconds = |seconds| Timestamp::from_second(Timestamp::now().as_second() + seconds);
    site.share(json!({"expiresAt": in_seconds(3600)?.to_string()}))
        .await?;
    let (_, watch) = site.inside("kept", "bob").await?;
    // Soon, but still in the future when the gateway reads it.
    let end = in_seconds(5)?;
    let sooner = Patch::Merge(json!({"spec": {"expiresAt": end.to_string()}}));
    let shares = site.shares().await?;
    shares.patch("s", &PatchParams::default(), &sooner).await?;
    let left = Duration::try_from(end.duration_since(Timestamp::now()));
    let left = left.map_err(|_| anyhow::anyhow!("the share ended before it was written"))?;
    let ends = Instant::now() + left;
    tokio::time::sleep_until(ends.into()).await;
    let row = watch.end(ends).await?;
    shares.delete("s", &DeleteParams::default()).await?;
    Ok(row)
}

async fn access_changed(site: &Site) -> anyhow::Result<Row> {
    workspace::set(&site.alice, "kept", json!({"accessType": "Public"})).await?;
    let (_, watch) = site.inside("kept", "bob").await?;
    workspace::set(&site.alice, "kept", json!({"accessType": "OwnerOnly"})).await?;
    watch.end(Instant::now()).await
}

async fn owner_changed(site: &Site) -> anyhow::Result<Row> {
    let (_, watch) = site.inside("given", "alice").await?;
    let bobs = json!({"metadata": {"annotations": {CREATED_BY: "bob"}}});
    site.scratch
        .api::<Workspace>()
        .patch("given", &PatchParams::default(), &Patch::Merge(bobs))
        .await?;
    watch.end(Instant::now()).await
}

async fn signed_out(site: &Site) -> anyhow::Result<Row> {
    let environment = Environment::get()?;
    let (alice, watch) = site.inside("kept", "alice").await?;
    let auth = environment.origin(&environment.auth_host());
    let form = alice
        .without_redirects()?
        .request(Method::POST, &format!("{auth}/sign-out"))
        .header(header::ORIGIN, &auth)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    assert_eq!(form.send().await?.status(), StatusCode::SEE_OTHER);
    watch.end(Instant::now()).await
}

async fn signed_out_at_provider(site: &Site) -> anyhow::Result<Row> {
    let (alice, watch) = site.inside("kept", "alice").await?;
    alice.sign_out_at_provider().await?;
    watch.end(Instant::now()).await
}

async fn role_taken_away(site: &Site) -> anyhow::Result<Row> {
    let (_, watch) = site.inside("kept", "alice").await?;
    let bindings = site.scratch.api::<RoleBinding>();
    let before = bindings.get("workspace-users").await?;
    let bob = json!({"subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}]});
    bindings
        .patch("workspace-users", &PatchParams::default(), &Patch::Merge(bob))
        .await?;
    let row = watch.end(Instant::now()).await?;
    let again = json!({"subjects": before.subjects});
    bindings
        .patch("workspace-users", &PatchParams::default(), &Patch::Merge(again))
        .await?;
    HttpSession::new()?
        .enter(&site.url("kept").await?, "alice")
        .await?;
    Ok(row)
}

async fn deleted(site: &Site) -> anyhow::Result<Row> {
    let (_, watch) = site.inside("gone", "alice").await?;
    site.alice.delete("gone", &DeleteParams::default()).await?;
    watch.end(Instant::now()).await
}
