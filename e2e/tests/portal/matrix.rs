//! Roles x workspaces x actions: the portal does, refuses and says what that person's kubectl does, refuses and says.

use std::time::Instant;

use anyhow::Context as _;
use api::names::{CREATED_BY, RESTARTED_AT};
use api::share::WorkspaceShareSpec;
use api::{Workspace, WorkspaceShare, condition};
use e2e::cluster::{self, Scratch};
use e2e::{wait, workspace};
use futures::TryStreamExt as _;
use futures::stream::{self, StreamExt as _};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use e2e::portal::Portal;

/// Owns what belongs to others, and has no account.
const OTHER: &str = "carol";
/// Begin of the page for what does not exist.
const HIDDEN: &str = "There is nothing here for you";

/// What a person holds in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The chart's role of users.
    Neighbour,
    /// May read workspaces.
    Viewer,
    /// The chart's role of administrators.
    Administrator,
    /// No role, and a share of what belongs to the other.
    Guest,
    /// Nothing.
    Stranger,
}

/// Which workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Others,
    /// The other's, with `ownershipType: Public`.
    OthersPublic,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Others => "others",
            Self::OthersPublic => "public",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Stop,
    Start,
    Restart,
    Edit,
    Share,
    Delete,
}

/// What an action leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Status code, and the first line of the API server's words.
    Refused(u16, String),
    /// As if it did not exist.
    Hidden,
}

/// Who acts where. The limit of changes counts for each user, so that both share the work.
const ROWS: [(Role, &str, &[Whose]); 5] = [
    (
        Role::Neighbour,
        "bob",
        &[Whose::Own, Whose::Others, Whose::OthersPublic],
    ),
    (Role::Viewer, "alice", &[Whose::Own, Whose::Others]),
    (Role::Administrator, "bob", &[Whose::Own, Whose::Others]),
    (Role::Guest, "alice", &[Whose::Others]),
    (Role::Stranger, "alice", &[Whose::Own, Whose::Others]),
];

const ACTIONS: [Action; 6] = [
    Action::Stop,
    Action::Start,
    Action::Restart,
    Action::Edit,
    Action::Share,
    Action::Delete,
];

/// One row, prepared.
struct Row<'a> {
    role: Role,
    user: &'a str,
    scratch: Scratch,
    portal: &'a Portal,
    admin: Api<Workspace>,
    client: Client,
}

#[tokio::test]
async fn users_do_by_the_portal_exactly_what_kubectl_lets_them_do() -> anyhow::Result<()> {
    let start = Instant::now();
    let (alice, bob) = futures::try_join!(Portal::enter("alice"), Portal::enter("bob"))?;
    let rows = stream::iter(ROWS).map(|(role, user, whose)| {
        let portal = if user == "alice" { &alice } else { &bob };
        async move {
            let row = Row::make(role, user, portal, whose).await?;
            let mut outcomes = Vec::new();
            for whose in whose {
                for action in ACTIONS {
                    outcomes.push((role, *whose, action, row.cell(*whose, action).await?));
                }
            }
            anyhow::Ok((row.scratch, outcomes))
        }
    });
    let rows: Vec<_> = rows.buffer_unordered(ROWS.len()).try_collect().await?;
    let all: Vec<_> = rows.iter().flat_map(|(_, outcomes)| outcomes.clone()).collect();
    println!("{} cells in {:?}", all.len(), start.elapsed());
    let count = |is_it: fn(&Outcome) -> bool| all.iter().filter(|(.., outcome)| is_it(outcome)).count();
    // The table itself: each kind of outcome is there, and so are the best known ones.
    assert!(count(|outcome| *outcome == Outcome::Done) > 20, "{all:#?}");
    assert!(
        count(|outcome| matches!(outcome, Outcome::Refused(..))) > 20,
        "{all:#?}"
    );
    for (role, whose, action, is_done) in [
        (Role::Neighbour, Whose::Own, Action::Stop, true),
        (Role::Neighbour, Whose::Others, Action::Stop, false),
        (Role::Neighbour, Whose::OthersPublic, Action::Stop, true),
        (Role::Neighbour, Whose::OthersPublic, Action::Share, false),
        (Role::Viewer, Whose::Own, Action::Delete, false),
        (Role::Administrator, Whose::Others, Action::Delete, true),
        (Role::Administrator, Whose::Others, Action::Share, true),
        (Role::Stranger, Whose::Own, Action::Start, false),
    ] {
        let found = all
            .iter()
            .find(|(of, at, what, _)| (*of, *at, *what) == (role, whose, action));
        let outcome = &found.context("no such cell")?.3;
        assert_eq!(
            *outcome == Outcome::Done,
            is_done,
            "{role:?} {whose:?} {action:?}: {outcome:?}"
        );
    }
    let hidden = all.iter().filter(|(.., outcome)| *outcome == Outcome::Hidden);
    for (role, whose, ..) in hidden {
        assert!(matches!(role, Role::Guest | Role::Stranger) && *whose == Whose::Others);
    }
    futures::future::try_join_all(rows.into_iter().map(|(scratch, _)| scratch.finish())).await?;
    Ok(())
}

impl<'a> Row<'a> {
    async fn make(role: Role, user: &'a str, portal: &'a Portal, whose: &[Whose]) -> anyhow::Result<Self> {
        let users: &[&str] = if role == Role::Neighbour { &[user] } else { &[] };
        let prefix = format!("portal-{role:?}").to_lowercase();
        let scratch = Scratch::bare(&prefix, users).await?;
        match role {
            Role::Viewer => {
                let rules = json!([{"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces", "workspaceshares"], "verbs": ["get", "list", "watch"]}]);
                scratch.grant("viewer", user, &rules).await?;
            }
            Role::Administrator => {
                scratch.bind("workspace-admin", &[user]).await?;
                let administer = json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["administer"]});
                scratch.holds(user, &administer).await?;
            }
            Role::Neighbour | Role::Guest | Role::Stranger => {}
        }
        let admin: Api<Workspace> = scratch.api();
        for whose in whose {
            let mut workspace = workspace::echo(whose.name())?;
            let owner = if *whose == Whose::Own { user } else { OTHER };
            let annotations = workspace.metadata.annotations.get_or_insert_default();
            annotations.insert(CREATED_BY.to_owned(), owner.to_owned());
            if *whose == Whose::OthersPublic {
                workspace.spec.ownership_type = Some(api::workspace::OwnershipType::Public);
            }
            // No node has it, so that no pod takes time.
            workspace
                .spec
                .node_selector
                .insert("e2e.test/no-such-node".to_owned(), "true".to_owned());
            admin.create(&PostParams::default(), &workspace).await?;
        }
        if role == Role::Guest {
            shared(&scratch, user).await?;
        }
        let row = Self {
            role,
            user,
            scratch,
            portal,
            admin,
            client: cluster::user(user).await?,
        };
        row.seen(whose).await?;
        Ok(row)
    }

    /// Waits until the portal knows the workspaces.
    async fn seen(&self, whose: &[Whose]) -> anyhow::Result<()> {
        for whose in whose.iter().filter(|whose| !self.is_hidden(**whose)) {
            let path = self.path(*whose, "");
            wait::until(&format!("{} to see {path}", self.user), wait::USUAL, || async {
                let (status, text) = self
                    .portal
                    .open(&path)
                    .await
                    .map_err(|error| format!("{error:#}"))?;
                if status == 200 { Ok(()) } else { Err(text) }
            })
            .await?;
        }
        Ok(())
    }

    fn path(&self, whose: Whose, rest: &str) -> String {
        format!("/w/{}/{}{rest}", self.scratch.namespace, whose.name())
    }

    /// Whether the portal's actions on it look as if it did not exist.
    fn is_hidden(&self, whose: Whose) -> bool {
        self.role == Role::Stranger && whose != Whose::Own
    }

    /// Asks kubectl without a change, and then the portal.
    async fn cell(&self, whose: Whose, action: Action) -> anyhow::Result<Outcome> {
        let what = format!("{:?} {} {whose:?} {action:?}", self.role, self.user);
        let before = self.prepared(whose, action).await.with_context(|| what.clone())?;
        let by_kubectl = self
            .by_kubectl(&before, action)
            .await
            .with_context(|| what.clone())?;
        let (status, text) = self
            .by_portal(&before, whose, action)
            .await
            .with_context(|| what.clone())?;
        let after = self.admin.get_opt(whose.name()).await?;
        let outcome = if self.role == Role::Guest || self.is_hidden(whose) {
            assert!(by_kubectl != Outcome::Done, "{what}: {by_kubectl:?}");
            assert_eq!(status, 404, "{what}: {text}");
            assert!(text.contains(HIDDEN), "{what}: {text}");
            Outcome::Hidden
        } else {
            match &by_kubectl {
                Outcome::Refused(code, words) => {
                    // The form names the field in an element of its own.
                    let words = words
                        .rsplit_once("spec.displayName: ")
                        .map_or(&**words, |(_, rule)| rule);
                    assert_eq!(status, *code, "{what}: {text}");
                    assert!(plain(&text).contains(&plain(words)), "{what}: {words} in {text}");
                }
                _ => assert_eq!(status, 303, "{what}: {text}"),
            }
            by_kubectl
        };
        if outcome == Outcome::Done {
            self.is_done(&before, after.as_ref(), action)
                .await
                .with_context(|| what)?;
        } else {
            let after = after.with_context(|| format!("{what}: it is gone"))?;
            assert_eq!(after.spec, before.spec, "{what}");
            assert!(after.metadata.deletion_timestamp.is_none(), "{what}");
            assert_eq!(
                after.annotations().get(RESTARTED_AT),
                before.annotations().get(RESTARTED_AT),
                "{what}"
            );
        }
        Ok(outcome)
    }

    /// The workspace, in a state in which the action changes something.
    async fn prepared(&self, whose: Whose, action: Action) -> anyhow::Result<Workspace> {
        let desired = if action == Action::Start {
            "Stopped"
        } else {
            "Running"
        };
        workspace::set(&self.admin, whose.name(), json!({"desiredStatus": desired})).await
    }

    /// What kubectl does, which reads what it changes first. It is a dry run.
    async fn by_kubectl(&self, before: &Workspace, action: Action) -> anyhow::Result<Outcome> {
        let workspaces: Api<Workspace> = Api::namespaced(self.client.clone(), &self.scratch.namespace);
        let name = before.name_any();
        let merge = async |change: Value| {
            let dry = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            workspaces
                .patch(&name, &dry, &Patch::Merge(change))
                .await
                .map(drop)
        };
        let change = async || match action {
            Action::Stop => merge(json!({"spec": {"desiredStatus": "Stopped"}})).await,
            Action::Start => merge(json!({"spec": {"desiredStatus": "Running"}})).await,
            Action::Edit => merge(json!({"spec": {"displayName": "Edited"}})).await,
            Action::Restart => {
                let now = "2026-01-01T00:00:00Z";
                merge(json!({"metadata": {"annotations": {RESTARTED_AT: now}}, "spec": {"desiredStatus": "Running"}})).await
            }
            Action::Delete => {
                let dry = DeleteParams {
                    dry_run: true,
                    ..DeleteParams::default()
                };
                workspaces.delete(&name, &dry).await.map(drop)
            }
            Action::Share => {
                let shares: Api<WorkspaceShare> =
                    Api::namespaced(self.client.clone(), &self.scratch.namespace);
                let dry = PostParams {
                    dry_run: true,
                    ..PostParams::default()
                };
                shares.create(&dry, &share(&name, "dave")).await.map(drop)
            }
        };
        let result = match action {
            Action::Share => change().await,
            _ => match workspaces.get(&name).await {
                Ok(_) => change().await,
                Err(error) => Err(error),
            },
        };
        match result {
            Ok(()) => Ok(Outcome::Done),
            Err(kube::Error::Api(refusal)) => Ok(Outcome::Refused(
                refusal.code,
                refusal.message.lines().next().unwrap_or_default().to_owned(),
            )),
            Err(error) => Err(error).context("kubectl"),
        }
    }

    /// The portal's answer to the form of the action, also where its page has no such button.
    async fn by_portal(
        &self,
        before: &Workspace,
        whose: Whose,
        action: Action,
    ) -> anyhow::Result<(u16, String)> {
        let uid = before.uid().unwrap_or_default();
        let name = before.name_any();
        let mut form = vec![("uid", uid)];
        let path = match action {
            Action::Stop => "/stop",
            Action::Start => "/start",
            Action::Restart => "/restart",
            Action::Delete => {
                form.push(("name", name));
                "/delete"
            }
            Action::Share => {
                for (key, value) in [
                    ("kind", "User"),
                    ("name", "dave"),
                    ("until", "8h"),
                    ("date", ""),
                    ("reason", ""),
                ] {
                    form.push((key, value.to_owned()));
                }
                "/share"
            }
            Action::Edit => {
                let shown = self.portal.json(&self.path(whose, "/yaml")).await?;
                let text = shown["text"].as_str().unwrap_or_default();
                let text = text.replace(
                    &format!("displayName: {}", before.spec.display_name),
                    "displayName: Edited",
                );
                let object = serde_json::to_value(before)?;
                let map = |name: &str| match &object["metadata"][name] {
                    Value::Null => json!({}),
                    map => map.clone(),
                };
                let parts = json!({
                    "metadata": {"labels": map("labels"), "annotations": map("annotations")},
                    "spec": object["spec"],
                });
                form.extend([
                    ("before", parts.to_string()),
                    ("written", "yaml".to_owned()),
                    ("do", "save".to_owned()),
                    ("yaml", text),
                ]);
                "/yaml"
            }
        };
        let form: Vec<_> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let answer = self.portal.post(&self.path(whose, path), &form).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    async fn is_done(
        &self,
        before: &Workspace,
        after: Option<&Workspace>,
        action: Action,
    ) -> anyhow::Result<()> {
        if action == Action::Delete {
            let is_leaving = after.is_none_or(|after| after.metadata.deletion_timestamp.is_some());
            anyhow::ensure!(is_leaving, "it is not being deleted");
            return Ok(());
        }
        let after = after.context("it is gone")?;
        let is_changed = match action {
            Action::Stop | Action::Start => after.spec.desired_status != before.spec.desired_status,
            Action::Restart => after.annotations().contains_key(RESTARTED_AT),
            Action::Edit => after.spec.display_name == "Edited",
            Action::Share | Action::Delete => {
                let shares: Api<WorkspaceShare> = self.scratch.api();
                let all = shares.list(&kube::api::ListParams::default()).await?;
                all.iter().any(|share| {
                    share.spec.workspace_ref == after.name_any() && share.spec.subjects[0].name == "dave"
                })
            }
        };
        anyhow::ensure!(is_changed, "{after:?}");
        Ok(())
    }
}

fn share(workspace: &str, with: &str) -> WorkspaceShare {
    let spec = WorkspaceShareSpec {
        workspace_ref: workspace.to_owned(),
        subjects: vec![api::share::Subject {
            name: with.to_owned(),
            ..api::share::Subject::default()
        }],
        workspace_uid: None,
        role: api::share::ShareRole::Connect,
        expires_at: None,
        reason: None,
    };
    WorkspaceShare::new(&format!("{workspace}-with-{with}"), spec)
}

/// Shares what belongs to the other, and waits until it counts.
async fn shared(scratch: &Scratch, with: &str) -> anyhow::Result<()> {
    let shares: Api<WorkspaceShare> = scratch.api();
    let made = shares
        .create(&PostParams::default(), &share(Whose::Others.name(), with))
        .await?;
    wait::until("the share to be active", wait::USUAL, || async {
        let share = shares
            .get(&made.name_any())
            .await
            .map_err(|error| error.to_string())?;
        let status = share.status.as_ref();
        let is_active = status.is_some_and(|status| condition::holds(&status.conditions, condition::ACTIVE));
        is_active.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await
}

/// Without markup, and without the marks by which texts show code.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut in_tag = false;
    for it in text
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .chars()
    {
        match it {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            '`' => {}
            it if !in_tag => plain.push(it),
            _ => {}
        }
    }
    plain
}
