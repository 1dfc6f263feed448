//! Access by a share, by a role, and by neither, and how soon it ends.

use std::time::{Duration, Instant};

use api::{Workspace, WorkspaceShare};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::{
        HttpSession,
        socket::{self, Socket},
    },
    objects::workspace,
    wait,
};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Access that ends counts for requests within this.
const REQUESTS: Duration = Duration::from_secs(1);
/// And for open websockets within this.
const SOCKETS: Duration = Duration::from_secs(2);

struct Site {
    scratch: Scratch,
    lab: Workspace,
    url: String,
    shares: Api<WorkspaceShare>,
}

/// Alice's workspace, running.
async fn site(prefix: &str) -> anyhow::Result<Site> {
    let scratch = Scratch::new(prefix, &["alice"]).await?;
    let lab = workspace::running(&scratch, "ws").await?;
    Ok(Site {
        url: workspace::url(&lab)?,
        shares: Api::namespaced(cluster::user("alice").await?, &scratch.namespace),
        scratch,
        lab,
    })
}

impl Site {
    async fn share(&self, name: &str, rest: Value) -> anyhow::Result<()> {
        let mut spec = json!({"workspaceRef": "ws", "subjects": [{"kind": "User", "name": "bob"}]});
        for (key, value) in rest.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let share = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
        self.shares.create(&PostParams::default(), &share).await?;
        Ok(())
    }

    async fn socket(&self, session: &HttpSession) -> anyhow::Result<Socket> {
        let origin = Environment::get()?.origin(&workspace::host(&self.lab)?);
        let target = format!("{}ws", self.url.replacen("https", "wss", 1));
        let mut open = socket::connect(&target, &session.cookies(&self.url)?, Some(&origin))
            .await?
            .map_err(|status| anyhow::anyhow!("{status}"))?;
        // What the application says first.
        open.next().await.transpose()?;
        Ok(open)
    }

    /// Waits until the user is refused, and returns the time.
    async fn refused(&self, session: &HttpSession) -> anyhow::Result<Instant> {
        wait::until("access to end", wait::USUAL, || async {
            let answer = session
                .open(&self.url)
                .await
                .map_err(|error| format!("{error:#}"))?;
            match answer.status() {
                StatusCode::FORBIDDEN => Ok(Instant::now()),
                status => Err(status.to_string()),
            }
        })
        .await
    }
}

/// Waits for the close frame of a socket, and says when it came.
async fn closed(mut socket: Socket) -> anyhow::Result<(u16, Instant)> {
    while let Some(message) = socket.next().await {
        if let Message::Close(frame) = message? {
            let code = frame.map_or(0, |frame| frame.code.into());
            return Ok((code, Instant::now()));
        }
    }
    anyhow::bail!("the socket broke off without a close frame")
}

#[tokio::test]
async fn a_share_gives_access_until_it_is_deleted_and_one_with_a_group_ends_at_its_second()
-> anyhow::Result<()> {
    let site = site("shared").await?;
    let bob = HttpSession::new()?;
    let other_user = bob.sign_in(&site.url, "bob").await?;
    assert_eq!(other_user.status(), StatusCode::FORBIDDEN);
    site.share("first", json!({})).await?;
    bob.enter(&site.url, "bob").await?;
    let socket = site.socket(&bob).await?;
    let closing = tokio::spawn(closed(socket));

    site.shares.delete("first", &DeleteParams::default()).await?;
    let removed = Instant::now();
    let refused = site.refused(&bob).await?;
    let (code, end) = closing.await??;
    assert_eq!(code, 1008);
    assert!(
        refused - removed < REQUESTS,
        "refused after {:?}",
        refused - removed
    );
    assert!(end - removed < SOCKETS, "closed after {:?}", end - removed);

    let end = Timestamp::from_second(Timestamp::now().as_second() + 20)?;
    let group = json!([{"kind": "Group", "name": "oidc:engineering"}]);
    site.share("second", json!({"subjects": group, "expiresAt": end.to_string()}))
        .await?;
    bob.enter(&site.url, "bob").await?;
    let closing = tokio::spawn(closed(site.socket(&bob).await?));
    site.refused(&bob).await?;
    let late = Timestamp::now().duration_since(end);
    assert!(
        late >= SignedDuration::ZERO && late < SignedDuration::from_millis(1_500),
        "{late:?}"
    );
    let (code, _) = closing.await??;
    let late = Timestamp::now().duration_since(end);
    assert_eq!(code, 1008);
    assert!(late < SignedDuration::from_millis(2_500), "{late:?}");
    site.scratch.finish().await
}
