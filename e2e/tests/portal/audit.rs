//! Every kind of change by the portal -> the user that the API server's audit log records.

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceShare};
use e2e::cluster::Scratch;
use e2e::cluster::audit::{self, Log};
use e2e::portal::Portal;
use e2e::{
    Environment,
    objects::{template, workspace},
    wait,
};
use kube::ResourceExt as _;
use kube::api::ListParams;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Writes of one run of the changes below: the five patches are edit, start, restart, stop and transfer.
const CHANGES: [(&str, usize); 6] = [
    ("create workspaces", 1),
    ("patch workspaces", 5),
    ("delete workspaces", 1),
    ("create workspaceshares", 1),
    ("patch workspaceshares", 1),
    ("delete workspaceshares", 1),
];

/// A user in the portal, and her namespace.
struct Acting<'a> {
    portal: Portal,
    scratch: &'a Scratch,
}

impl Acting<'_> {
    fn at(&self, rest: &str) -> String {
        format!("/w/{}/{rest}", self.scratch.namespace)
    }

    async fn send(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<()> {
        let answer = self.portal.post(path, form).await?;
        let status = answer.status();
        anyhow::ensure!(
            status == StatusCode::SEE_OTHER,
            "{path}: {status} {}",
            answer.text().await?
        );
        Ok(())
    }

    async fn uid(&self, name: &str) -> anyhow::Result<String> {
        Ok(self
            .scratch
            .api::<Workspace>()
            .get(name)
            .await?
            .uid()
            .unwrap_or_default())
    }

    /// Creates a workspace, changes, starts, restarts and stops it.
    async fn lives(&self) -> anyhow::Result<()> {
        let text = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: made}\n\
                    spec: {displayName: Made, desiredStatus: Stopped}\n";
        let new = [
            ("namespace", self.scratch.namespace.as_str()),
            ("template", self.scratch.namespace.as_str()),
            ("written", "yaml"),
            ("yaml", text),
        ];
        self.send("/new", &new).await?;
        self.portal.knows(&self.at("made")).await?;
        let uid = self.uid("made").await?;
        let page = self.portal.json(&self.at("made/edit")).await?;
        let hidden: Vec<(String, String)> = serde_json::from_value(page["form"]["hidden"].clone())?;
        let mut edit: Vec<_> = hidden.iter().map(|(name, value)| (&**name, &**value)).collect();
        edit.extend([("do", "save"), ("spec.displayName", "Changed")]);
        self.send(&self.at("made/edit"), &edit).await?;
        self.send(&self.at("made/start"), &[("uid", &uid)]).await?;
        for action in ["restart", "stop"] {
            // It has no disk, and once the portal knows that, the name must be typed.
            let confirmed = [("uid", uid.as_str()), ("name", "made")];
            self.send(&self.at(&format!("made/{action}")), &confirmed).await?;
        }
        Ok(())
    }

    /// Shares it with bob, changes the end of the share, and ends it.
    async fn is_shared(&self) -> anyhow::Result<()> {
        let uid = self.uid("made").await?;
        let share = [
            ("uid", uid.as_str()),
            ("kind", "User"),
            ("name", "bob"),
            ("until", "8h"),
            ("date", ""),
            ("reason", ""),
        ];
        self.send(&self.at("made/share"), &share).await?;
        let shares = self.scratch.api::<WorkspaceShare>();
        let made = shares.list(&ListParams::default()).await?.items;
        anyhow::ensure!(made.len() == 1, "{made:?}");
        let (name, share_uid) = (made[0].name_any(), made[0].uid().unwrap_or_default());
        let end = made[0].spec.expires_at.as_ref();
        let before = end.map(|end| end.0.to_string()).unwrap_or_default();
        let page = self.at("made/share");
        wait::until("the portal to know the share", wait::USUAL, || async {
            let (_, page) = self
                .portal
                .open(&page)
                .await
                .map_err(|error| format!("{error:#}"))?;
            page.contains(&name).then_some(()).ok_or(page)
        })
        .await?;
        let until = [
            ("uid", share_uid.as_str()),
            ("before", &before),
            ("until", "1d"),
            ("date", ""),
        ];
        self.send(&self.at(&format!("made/share/{name}/until")), &until)
            .await?;
        let end = self.at(&format!("made/share/{name}/end"));
        self.send(&end, &[("uid", &share_uid)]).await
    }

    /// Transfers another workspace to bob, and deletes the first.
    async fn leaves(&self) -> anyhow::Result<()> {
        let uid = self.uid("handed").await?;
        let owner = [("uid", uid.as_str()), ("before", "alice"), ("owner", "bob")];
        self.send(&self.at("handed/owner"), &owner).await?;
        let uid = self.uid("made").await?;
        self.send(&self.at("made/delete"), &[("uid", &uid), ("name", "made")])
            .await
    }
}

fn is_done(change: &Value) -> bool {
    let code = change["responseStatus"]["code"].as_u64().unwrap_or_default();
    let uri = change["requestURI"].as_str().unwrap_or_default();
    (200..300).contains(&code) && !uri.contains("dryRun=All")
}

/// Verb and resource of the changes that are done, and how many there are.
fn done(changes: &[Value]) -> BTreeMap<String, usize> {
    let mut done = BTreeMap::new();
    for change in changes.iter().filter(|change| is_done(change)) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let what = format!(
            "{} {}",
            text(&change["verb"]),
            text(&change["objectRef"]["resource"])
        );
        *done.entry(what).or_default() += 1;
    }
    done
}

#[tokio::test]
async fn the_api_server_names_the_user_and_the_portal_in_every_change() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-audit", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    workspace::stopped(&scratch, "alice", "handed").await?;
    let assigns = json!([{"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["assign-owner"]}]);
    scratch.grant("assigns", "alice", &assigns).await?;
    let portal = Portal::enter("alice").await?;
    let acting = Acting {
        portal,
        scratch: &scratch,
    };
    acting.portal.knows(&acting.at("handed/owner")).await?;
    let mut log = Log::open()?;
    acting.lives().await?;
    acting.is_shared().await?;
    acting.leaves().await?;

    let account = audit::user_of("portal")?;
    let wanted: BTreeMap<_, _> = CHANGES.map(|(what, times)| (what.to_owned(), times)).into();
    let mut changes: Vec<Value> = Vec::new();
    wait::until("the changes in the audit log", wait::USUAL, || {
        let is_change = |event: &Value| {
            let is_write = ["create", "update", "patch", "delete"]
                .iter()
                .any(|verb| event["verb"] == *verb);
            is_write
                && event["user"]["username"] == account.as_str()
                && event["objectRef"]["namespace"] == scratch.namespace.as_str()
        };
        let read = log.events(|line| line.contains(&scratch.namespace));
        let outcome = read.map_err(|error| format!("{error:#}")).and_then(|events| {
            changes.extend(events.into_iter().filter(is_change));
            let done = done(&changes);
            if done == wanted {
                Ok(())
            } else {
                Err(format!("{done:?}"))
            }
        });
        std::future::ready(outcome)
    })
    .await?;
    for change in changes {
        assert_eq!(change["impersonatedUser"]["username"], "alice", "{change}");
        assert_eq!(
            change["authenticationMetadata"]["impersonationConstraint"], "impersonate:user-info",
            "{change}"
        );
        // After a conflict with the operator the portal tries again.
        let code = change["responseStatus"]["code"].as_u64().unwrap_or_default();
        assert!(code < 300 || code == 409, "{change}");
    }
    let handed = scratch.api::<Workspace>().get("handed").await?;
    assert_eq!(api::names::owner(&handed.metadata), Some("bob"));
    template::finish(scratch).await
}
