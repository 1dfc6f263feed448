//! Five users x ten actions: portal and kubectl do and refuse the same, in the same words.
//!
//! The portal differs from kubectl in what it shows, on purpose (docs/using.md): a guest sees state, owner and link, and for users without
//! the right to list, the workspace does not exist, where kubectl names the missing right.
//!
//! Each kind of change as the API server records it is in `audit.rs`. What each user sees is in `crates/portal/tests/listing.rs`.
//! Here `e2e::portal::attested` names the users, in place of proxy and sign-in.

use std::sync::Arc;

use anyhow::Context as _;
use api::{
    Workspace, WorkspaceShare,
    names::{CREATED_BY, RESTARTED_AT, owner},
    workspace::DesiredStatus,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::{template, workspace},
    portal::attested::{Answer, Connection, User, keys, signer},
    wait,
};
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::Status,
};
use serde_json::{Value, json};

/// The workspace.
const NAME: &str = "ws";
/// Another one of the owner, which is shared with nobody.
const STOPPED: &str = "stopped";
/// With whom the users share it.
const FRIEND: &str = "erin";
/// Members may connect.
const GROUP: &str = "guests";
/// Title of the page for what does not exist.
const HIDDEN: &str = "There is nothing here for you";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Page,
    /// Of a workspace of the user's own.
    Create,
    Edit,
    Restart,
    Stop,
    /// Of the other workspace.
    Start,
    Share,
    EndShare,
    /// To another owner, for which the present one needs `assign-owner`, too.
    Transfer,
    Delete,
}

const ACTIONS: [Action; 10] = [
    Action::Page,
    Action::Create,
    Action::Edit,
    Action::Restart,
    Action::Stop,
    Action::Start,
    Action::Share,
    Action::EndShare,
    Action::Transfer,
    Action::Delete,
];

/// The new display name.
const EDITED: &str = "Edited";
/// Who may create workspaces, with the chart's role of users.
const CREATORS: [&str; 2] = ["alice", "bob"];

/// The share with that group.
const SHARE: &str = "of-guests";

/// What an action leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// As by kubectl.
    Done,
    /// With kubectl's code and words.
    Refused,
    /// Not by kubectl, but to a guest, and little of it.
    AsGuest,
    /// As if it did not exist.
    Hidden,
}

use Outcome::{AsGuest, Done, Hidden, Refused};

/// Users in the order in which they act, their groups, and the outcomes of the page and of each change.
const USERS: [(&str, &[&str], Outcome, Outcome); 5] = [
    // A neighbour, with the chart's role of users: the webhook refuses changes of what is not his.
    ("bob", &[], Done, Refused),
    // May only read workspaces and shares.
    ("carol", &[], Done, Refused),
    // A guest without any role.
    ("dave", &[GROUP], AsGuest, Hidden),
    ("eve", &[], Hidden, Hidden),
    // The owner is the control, so she comes last.
    ("alice", &[], Done, Done),
];

/// A user who acts.
struct Actor<'a> {
    scratch: &'a Scratch,
    portal: &'a Connection,
    user: User,
    kubectl: Client,
    /// Of the workspace, of the other one, and of the share.
    uids: [&'a str; 3],
}

impl Actor<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.kubectl.clone(), &self.scratch.namespace)
    }

    /// A patch of a workspace, as a dry run.
    async fn patch(&self, name: &str, change: Value) -> kube::Result<()> {
        let dry = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let patch = Patch::Merge(change);
        self.api::<Workspace>().patch(name, &dry, &patch).await.map(drop)
    }

    /// A deletion, as a dry run.
    async fn delete<K>(&self, name: &str) -> kube::Result<()>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let dry = DeleteParams {
            dry_run: true,
            ..DeleteParams::default()
        };
        self.api::<K>().delete(name, &dry).await.map(drop)
    }

    /// A workspace that the user would own. It does not start.
    fn new_workspace(&self) -> Value {
        let name = of_creator(&self.user.name);
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
            "spec": {"displayName": name, "templateRef": self.scratch.namespace, "desiredStatus": "Stopped"},
        })
    }

    /// The refusal of the user's own request to the API server, as a dry run.
    async fn by_kubectl(&self, action: Action) -> anyhow::Result<Option<Status>> {
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let asked = match action {
            Action::Page => self.api::<Workspace>().get(NAME).await.map(drop),
            Action::Create => {
                let wanted: Box<Workspace> = Box::new(serde_json::from_value(self.new_workspace())?);
                self.api::<Workspace>().create(&dry, &wanted).await.map(drop)
            }
            Action::Edit => self.patch(NAME, json!({"spec": {"displayName": EDITED}})).await,
            Action::Restart => {
                let restarted =
                    json!({"metadata": {"annotations": {RESTARTED_AT: Timestamp::now().to_string()}}});
                self.patch(NAME, restarted).await
            }
            Action::Stop => {
                let stopped = json!({"spec": {"desiredStatus": "Stopped"}});
                self.patch(NAME, stopped).await
            }
            Action::Start => {
                let started = json!({"spec": {"desiredStatus": "Running"}});
                self.patch(STOPPED, started).await
            }
            Action::Transfer => {
                let owner = json!({"metadata": {"annotations": {CREATED_BY: FRIEND}}});
                self.patch(NAME, owner).await
            }
            Action::Share => {
                let share = share("further", "User", FRIEND)?;
                self.api::<WorkspaceShare>().create(&dry, &share).await.map(drop)
            }
            Action::EndShare => self.delete::<WorkspaceShare>(SHARE).await,
            Action::Delete => self.delete::<Workspace>(NAME).await,
        };
        match asked {
            Ok(()) => Ok(None),
            Err(kube::Error::Api(status)) => Ok(Some(*status)),
            Err(error) => Err(error).context("kubectl"),
        }
    }

    /// The portal's answer, also where its page has no such button.
    async fn by_portal(&self, action: Action) -> anyhow::Result<Answer> {
        let (portal, user) = (self.portal, &self.user);
        let [uid, of_stopped, of_share] = self.uids.map(|uid| ("uid", uid));
        let at = |rest: &str| format!("/w/{}/{NAME}{rest}", self.scratch.namespace);
        match action {
            Action::Page => portal.get(user, &at("")).await,
            Action::Create => {
                let (namespace, text) = (self.scratch.namespace.as_str(), self.new_workspace().to_string());
                let place = [("namespace", namespace), ("template", namespace)];
                let written = [("written", "yaml"), ("yaml", text.as_str())];
                portal.post(user, "/new", &[place, written].concat()).await
            }
            Action::Edit => {
                // Of the owner's page: the others have no form.
                let owner = User {
                    name: "alice".to_owned(),
                    groups: Vec::new(),
                };
                let page = portal.get(&owner, &at("/edit")).await?.view;
                let hidden: Vec<(String, String)> = serde_json::from_value(page["form"]["hidden"].clone())?;
                let mut form: Vec<_> = hidden.iter().map(|(name, value)| (&**name, &**value)).collect();
                form.extend([("do", "save"), ("spec.displayName", EDITED)]);
                portal.post(user, &at("/edit"), &form).await
            }
            Action::Restart => portal.post(user, &at("/restart"), &[uid, ("name", NAME)]).await,
            Action::Stop => portal.post(user, &at("/stop"), &[uid, ("name", NAME)]).await,
            Action::Start => {
                let start = format!("/w/{}/{STOPPED}/start", self.scratch.namespace);
                portal.post(user, &start, &[of_stopped, ("name", STOPPED)]).await
            }
            Action::Share => {
                let with = [("kind", "User"), ("name", FRIEND), ("until", "8h")];
                let form = [&[uid][..], &with, &[("date", ""), ("reason", "")]].concat();
                portal.post(user, &at("/share"), &form).await
            }
            Action::EndShare => {
                let end = at(&format!("/share/{SHARE}/end"));
                portal.post(user, &end, &[of_share]).await
            }
            Action::Transfer => {
                let owner = [uid, ("before", "alice"), ("owner", FRIEND)];
                portal.post(user, &at("/owner"), &owner).await
            }
            Action::Delete => portal.post(user, &at("/delete"), &[uid, ("name", NAME)]).await,
        }
    }

    /// What both answers mean.
    async fn outcome(&self, action: Action) -> anyhow::Result<Outcome> {
        let refusal = self.by_kubectl(action).await?;
        let answer = self.by_portal(action).await?;
        let view = &answer.view;
        let found = match (action, answer.status) {
            (_, 404) if answer.says(HIDDEN) => Some(Hidden),
            (Action::Page, 200) if view["facts"].is_null() && view["events"].is_null() => Some(AsGuest),
            (Action::Page, 200) if !view["facts"].is_null() => Some(Done),
            (_, 303) if action != Action::Page => Some(Done),
            (_, status) => refusal
                .as_ref()
                .filter(|refusal| refusal.code == status)
                .filter(|refusal| words(refusal, action).iter().all(|words| answer.says(words)))
                .map(|_| Refused),
        };
        let found = found.filter(|found| (*found == Done) == refusal.is_none());
        found.with_context(|| format!("kubectl: {refusal:?}\nportal: {answer:?}"))
    }
}

/// The message. Where a form shows a refusal by its fields, each field's part of it.
fn words(status: &Status, action: Action) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let of_fields: Vec<_> = causes
        .filter(|cause| !cause.field.is_empty())
        .map(|cause| cause.message.clone())
        .collect();
    let is_form = matches!(action, Action::Create | Action::Edit | Action::Share);
    if is_form && !of_fields.is_empty() {
        of_fields
    } else {
        // A policy's words follow the name of the object, which the portal may generate.
        let message = status.message.as_str();
        let (_, words) = message.split_once(" denied request: ").unwrap_or(("", message));
        vec![words.to_owned()]
    }
}

/// The name of the workspace that a user creates.
fn of_creator(user: &str) -> String {
    format!("of-{user}")
}

fn share(name: &str, kind: &str, with: &str) -> anyhow::Result<WorkspaceShare> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"workspaceRef": NAME, "subjects": [{"kind": kind, "name": with}]},
    }))?)
}

/// What is stored of a workspace that a user may change, and with whom one is shared.
async fn stored(scratch: &Scratch, name: &str) -> anyhow::Result<(Option<Workspace>, Vec<String>)> {
    let shares = scratch.api::<WorkspaceShare>();
    let shares = shares.list(&ListParams::default()).await?.into_iter();
    let shares = shares.filter(|share| share.metadata.deletion_timestamp.is_none());
    let subjects = shares.flat_map(|share| share.spec.subjects);
    Ok((
        scratch.api().get_opt(name).await?,
        subjects.map(|subject| subject.name).collect(),
    ))
}

/// Before the owner acts, there is what was made for the test, and what the neighbour created.
async fn ensure_refusals_stored_nothing(scratch: &Scratch) -> anyhow::Result<()> {
    let all = scratch.api::<Workspace>().list(&ListParams::default()).await?;
    let all: Vec<_> = all.iter().map(kube::ResourceExt::name_any).collect();
    anyhow::ensure!(all == [of_creator("bob").as_str(), STOPPED, NAME], "{all:?}");
    let (other, _) = stored(scratch, STOPPED).await?;
    let other = other.map(|other| other.spec.desired_status);
    anyhow::ensure!(other == Some(DesiredStatus::Stopped), "{other:?}");
    let (now, subjects) = stored(scratch, NAME).await?;
    let now = now.context("it is gone")?;
    anyhow::ensure!(now.metadata.deletion_timestamp.is_none(), "{now:?}");
    anyhow::ensure!(now.spec.desired_status == DesiredStatus::Running, "{now:?}");
    anyhow::ensure!(now.spec.display_name != EDITED, "{now:?}");
    anyhow::ensure!(!now.annotations().contains_key(RESTARTED_AT), "{now:?}");
    anyhow::ensure!(owner(&now.metadata) == Some("alice"), "{now:?}");
    anyhow::ensure!(subjects == [GROUP], "{subjects:?}");
    Ok(())
}

#[tokio::test]
async fn users_do_by_the_portal_exactly_what_kubectl_lets_them_do() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-matrix", &["alice", "bob"]).await?;
    let reads = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces", "workspaceshares"], "verbs": ["get", "list", "watch"],
    }]);
    scratch.grant("viewer", "carol", &reads).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    let stopped = workspace::stopped(&scratch, "alice", STOPPED).await?;
    let of_stopped = stopped.uid().context("no UID")?;
    let uid = workspace::running(&scratch, NAME)
        .await?
        .uid()
        .context("no UID")?;
    let shares = scratch.api::<WorkspaceShare>();
    let of_group = share(SHARE, "Group", GROUP)?;
    let of_group = shares.create(&PostParams::default(), &of_group).await?;
    let share_uid = of_group.uid().context("no UID")?;
    let portal = Connection::open(Arc::new(signer(&keys("gateway").await?)?)).await?;

    let mut differ = Vec::new();
    for (name, groups, page, change) in USERS {
        let actor = Actor {
            scratch: &scratch,
            portal: &portal,
            kubectl: cluster::acting_as(name, groups).await?,
            user: User {
                name: name.to_owned(),
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            },
            uids: [&uid, &of_stopped, &share_uid],
        };
        // The portal learns of workspace and share a moment later.
        let first = format!("{name} to find {page:?}");
        wait::until(&first, wait::USUAL, || async {
            match actor.outcome(Action::Page).await {
                Ok(found) if found == page => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        if CREATORS.contains(&name) {
            let form = format!("/new?namespace={0}&template={0}", scratch.namespace);
            wait::until("the portal to offer the template", wait::USUAL, || async {
                match portal.get(&actor.user, &form).await {
                    Ok(page) if page.view["template"] == scratch.namespace.as_str() => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
        }
        if name == "alice" {
            ensure_refusals_stored_nothing(&scratch).await?;
        }
        for action in ACTIONS {
            let expected = match action {
                Action::Page => page,
                Action::Create if CREATORS.contains(&name) => Done,
                Action::Create => Refused,
                // Nobody here may name another owner.
                Action::Transfer if change == Done => Refused,
                _ => change,
            };
            match actor.outcome(action).await {
                Ok(found) if found == expected => {}
                other => differ.push(format!("{name} {action:?}: {other:?}, by the rules {expected:?}")),
            }
            if name == "alice" {
                let name = match action {
                    Action::Start => STOPPED.to_owned(),
                    Action::Create => of_creator(name),
                    _ => NAME.to_owned(),
                };
                let (now, subjects) = stored(&scratch, &name).await?;
                let is_done = match action {
                    Action::Page => true,
                    Action::Create => now.is_some_and(|it| owner(&it.metadata) == Some("alice")),
                    Action::Edit => now.is_some_and(|it| it.spec.display_name == EDITED),
                    Action::Restart => now.is_some_and(|it| it.annotations().contains_key(RESTARTED_AT)),
                    Action::EndShare => !subjects.iter().any(|subject| subject == GROUP),
                    Action::Transfer => now.is_some_and(|it| owner(&it.metadata) == Some("alice")),
                    Action::Stop => now.is_some_and(|it| it.spec.desired_status == DesiredStatus::Stopped),
                    Action::Start => now.is_some_and(|it| it.spec.desired_status == DesiredStatus::Running),
                    Action::Share => subjects.iter().any(|subject| subject == FRIEND),
                    Action::Delete => now.is_none_or(|it| it.metadata.deletion_timestamp.is_some()),
                };
                anyhow::ensure!(is_done, "{action:?} did not do what the portal says");
            }
        }
    }
    anyhow::ensure!(differ.is_empty(), "{}", differ.join("\n"));
    template::finish(scratch).await
}
