//! One workspace, all users, all actions -> outcomes (IO).

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use api::Workspace;
use api::workspace::DesiredStatus;
use e2e::portal::attested::{Answer, Connection, User};
use e2e::{objects::workspace, wait};
use k8s_openapi::api::core::v1::Pod;
use kit::assertion::Signer;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::cell::{self, NEW_OWNER, Target};
use super::forms::{self, Request};
use super::kubectl;
use super::places::{self, Place};
use super::stored::{Stored, Stores};
use super::users::{Kind, Member, Team};
use super::{Action, Cell, Outcome, PHASES};

/// One workspace, or in [`Place::Own`] one of each user, and a connection to the portal.
pub(super) struct Column<'a> {
    place: Place,
    /// Whose users act.
    team: &'a Team,
    /// In whose namespace.
    home: &'a Team,
    stores: Stores,
    portal: Connection,
    /// Workspace -> a share of it.
    shares: BTreeMap<String, String>,
    /// Number of the last object that was made meanwhile.
    made: usize,
    known: Option<Known>,
    /// The cells so far.
    cells: Vec<Cell>,
}

/// A workspace as it is stored.
struct Known {
    name: String,
    stored: Stored,
    /// Cells that were to leave it like that.
    refused: Vec<usize>,
}

impl<'a> Column<'a> {
    /// Makes workspaces and shares, and waits until they have pods and the portal knows them.
    pub(super) async fn make(
        place: Place,
        team: &'a Team,
        elsewhere: &'a Team,
        signer: Arc<Signer>,
    ) -> anyhow::Result<Self> {
        let home = if place == Place::Elsewhere {
            elsewhere
        } else {
            team
        };
        let column = Self {
            place,
            team,
            home,
            stores: Stores::of(&home.scratch),
            portal: Connection::open(signer).await?,
            shares: BTreeMap::new(),
            made: 0,
            known: None,
            cells: Vec::new(),
        };
        let mut names = BTreeMap::new();
        for member in column.members() {
            names.insert(place.name(member.kind), column.owner(member)?);
        }
        for (name, owner) in &names {
            column.create(&place.workspace(name, owner, home)?).await?;
        }
        if let Some(guest) = place.guest(team)? {
            let name = place.name(Kind::Owner);
            let share = places::share(&format!("{name}-of-guest"), &name, guest);
            column
                .stores
                .shares
                .create(&PostParams::default(), &share)
                .await?;
        }
        for name in names.keys() {
            column.has_pod(name).await?;
            column.knows(&format!("{name}/stop"), |_| true).await?;
        }
        column.knows_guests().await?;
        Ok(column)
    }

    fn members(&self) -> impl Iterator<Item = &'a Member> + use<'a> {
        let place = self.place;
        let all = self.team.members.iter();
        all.filter(move |member| place.is_for(member.kind))
    }

    /// Whose workspace a user acts on.
    fn owner(&self, member: &Member) -> anyhow::Result<String> {
        let kind = if self.place == Place::Own {
            member.kind
        } else {
            Kind::Owner
        };
        Ok(self.team.member(kind)?.user.name.clone())
    }

    /// A user who sees everything.
    fn administrator(&self) -> anyhow::Result<&'a User> {
        Ok(&self.team.member(Kind::ClusterAdministrator)?.user)
    }

    async fn create(&self, workspace: &Workspace) -> anyhow::Result<Workspace> {
        let made = PostParams::default();
        let created = self.stores.workspaces.create(&made, workspace).await;
        created.with_context(|| workspace.name_any())
    }

    async fn has_pod(&self, name: &str) -> anyhow::Result<()> {
        let pods: Api<Pod> = self.home.scratch.api();
        let of_it = ListParams::default().labels(&format!("{}={name}", api::names::WORKSPACE_LABEL));
        wait::until(&format!("a pod of {name}"), wait::USUAL, || async {
            let found = pods.list(&of_it).await.map_err(|error| error.to_string())?;
            found.items.first().map(drop).ok_or_else(|| "none".to_owned())
        })
        .await
    }

    /// Waits until a page of a workspace is there and shows what `is_so` looks for.
    async fn knows(&self, page: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        self.shows(self.administrator()?, page, is_so).await
    }

    async fn shows(&self, user: &User, page: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let path = format!("/w/{}/{page}", self.home.scratch.namespace);
        wait::until(&format!("{} to see {path}", user.name), wait::USUAL, || async {
            let answer = self.portal.get(user, &path).await;
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            let is_there = answer.status == 200 && is_so(&answer.view);
            is_there.then_some(()).ok_or_else(|| format!("{answer:?}"))
        })
        .await
    }

    /// Waits until guests see what is open to them.
    async fn knows_guests(&self) -> anyhow::Result<()> {
        let kind = match self.place {
            Place::ByName => Kind::GuestByName,
            Place::ByGroup => Kind::GuestByGroup,
            Place::Public => Kind::GuestByPublic,
            Place::Own | Place::Private | Place::Elsewhere => return Ok(()),
        };
        let name = self.place.name(kind);
        self.shows(&self.team.member(kind)?.user, &name, |_| true).await
    }

    /// Every user does everything.
    pub(super) async fn run(mut self) -> anyhow::Result<Vec<Cell>> {
        for phase in PHASES {
            for member in self.members() {
                for action in phase {
                    let what = format!("{:?} {:?} {action:?}", member.kind, self.place);
                    let found = Box::pin(self.cell(member, *action)).await.context(what)?;
                    self.cells.push((member.kind, self.place, *action, found));
                }
            }
        }
        self.check().await?;
        Ok(self.cells)
    }

    async fn cell(&mut self, member: &'a Member, action: Action) -> anyhow::Result<Result<Outcome, String>> {
        let name = self.place.name(member.kind);
        if self.known.as_ref().is_none_or(|known| known.name != name) {
            self.check().await?;
            self.read(&name).await?;
        }
        self.prepare(&name, action).await?;
        let mut target = self.target(member, action)?;
        let refusal = kubectl::ask(&target, action).await?.err();
        if refusal.is_none() && matches!(action, Action::Delete | Action::HandOver) {
            // Others need the workspace as it is.
            (target.name, target.workspace) = self.copy(member).await?;
        }
        if refusal.is_none() {
            self.check().await?;
        }
        let answer = self.answer(&target, action).await?;
        let Some(found) = cell::outcome(action, refusal.as_ref(), &answer) else {
            return Ok(Err(format!("kubectl: {refusal:?}\nportal: {answer:?}")));
        };
        if found == Outcome::Done {
            return self.done(&target, action, &answer).await;
        }
        if let Some(known) = &mut self.known {
            known.refused.push(self.cells.len());
        }
        let is_made = action == Action::Create && self.another(&target).await?.is_some();
        Ok(if is_made {
            Err("refused, but made".to_owned())
        } else {
            Ok(found)
        })
    }

    /// Looks for what was done.
    async fn done(
        &mut self,
        target: &Target<'_>,
        action: Action,
        answer: &Answer,
    ) -> anyhow::Result<Result<Outcome, String>> {
        match action {
            Action::Page => {
                let events = kubectl::events(target).await?;
                return Ok(if cell::has_events(answer, events.as_deref()) {
                    Ok(Outcome::Done)
                } else {
                    Err(format!("kubectl's events: {events:?}\nportal: {answer:?}"))
                });
            }
            Action::Text | Action::Logs => return Ok(Ok(Outcome::Done)),
            Action::EndShare => drop(self.shares.remove(&target.name)),
            _ => {}
        }
        let after = self.stores.read(&target.name).await?;
        let another = if action == Action::Create {
            self.another(target).await?
        } else {
            None
        };
        let is_done = cell::is_done(target, action, &after, another.as_ref());
        let found = if is_done == Some(true) {
            Ok(Outcome::Done)
        } else {
            Err(format!(
                "the portal says that it is done, and stored is {after:?}"
            ))
        };
        if let Some(known) = self.known.as_mut().filter(|known| known.name == target.name) {
            known.stored = after;
        }
        Ok(found)
    }

    async fn another(&self, target: &Target<'_>) -> anyhow::Result<Option<Workspace>> {
        Ok(self.stores.workspaces.get_opt(&target.another.name_any()).await?)
    }

    /// The portal's answer to the user's request.
    async fn answer(&self, target: &Target<'_>, action: Action) -> anyhow::Result<Answer> {
        let yaml = if matches!(action, Action::Form | Action::Yaml) {
            self.yaml(target).await?
        } else {
            Value::Null
        };
        let user = &target.member.user;
        match forms::request(target, action, &yaml) {
            Request::Page(path) => self.portal.get(user, &path).await,
            Request::Form(path, fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                self.portal.post(user, &path, &fields).await
            }
        }
    }

    /// The page with the workspace as YAML, as who may change it sees it.
    async fn yaml(&self, target: &Target<'_>) -> anyhow::Result<Value> {
        let path = format!("{}/yaml", target.path());
        let page = self.portal.get(self.administrator()?, &path).await?;
        anyhow::ensure!(page.view["text"].is_string(), "no text: {page:?}");
        Ok(page.view)
    }

    /// Checks that the cells since the last one that changed something left the workspace as it was.
    async fn check(&mut self) -> anyhow::Result<()> {
        let Some(known) = self.known.take_if(|known| !known.refused.is_empty()) else {
            return Ok(());
        };
        let now = self.stores.read(&known.name).await?;
        if !known.stored.is_same(&now) {
            for cell in &known.refused {
                let why = format!("one of these is stored: {now:?}, before {:?}", known.stored);
                self.cells[*cell].3 = Err(why);
            }
        }
        self.known = Some(Known {
            stored: now,
            refused: Vec::new(),
            ..known
        });
        Ok(())
    }

    async fn read(&mut self, name: &str) -> anyhow::Result<()> {
        self.known = Some(Known {
            name: name.to_owned(),
            stored: self.stores.read(name).await?,
            refused: Vec::new(),
        });
        Ok(())
    }

    fn target(&self, member: &'a Member, action: Action) -> anyhow::Result<Target<'a>> {
        let known = self.known.as_ref().context("nothing was read")?;
        let share = match self.shares.get(&known.name) {
            Some(share) if matches!(action, Action::Prolong | Action::EndShare) => {
                known.stored.shares.get(share).context("no share")?.clone()
            }
            _ => places::share("none", &known.name, places::user(NEW_OWNER)),
        };
        let free = format!("new-{:?}-{}", self.place, member.kind.label()).to_lowercase();
        let mut another = self.place.workspace(&free, &member.user.name, self.home)?;
        another.metadata.annotations = None;
        another.spec.node_selector.clear();
        another.spec.desired_status = DesiredStatus::Stopped;
        Ok(Target {
            member,
            namespace: &self.home.scratch.namespace,
            name: known.name.clone(),
            workspace: known.stored.workspace()?.clone(),
            share,
            another,
        })
    }

    /// Brings the workspace into a state in which the action changes something.
    async fn prepare(&mut self, name: &str, action: Action) -> anyhow::Result<()> {
        let desired = match action {
            Action::Stop | Action::StopMany => DesiredStatus::Running,
            Action::Start => DesiredStatus::Stopped,
            Action::Prolong | Action::EndShare => return self.shared(name).await,
            _ => return Ok(()),
        };
        let known = self.known.as_ref().context("nothing was read")?;
        if known.stored.workspace()?.spec.desired_status == desired {
            return Ok(());
        }
        self.check().await?;
        workspace::set(&self.stores.workspaces, name, json!({"desiredStatus": desired})).await?;
        // The question names what ends with a stop: kernels, if the workspace runs.
        let is_to_run = desired == DesiredStatus::Running;
        self.knows(&format!("{name}/stop"), |view| {
            let ends = view["consequences"].as_array();
            ends.is_some_and(|all| all.is_empty() != is_to_run)
        })
        .await?;
        self.read(name).await
    }

    /// Makes a share of the workspace, if there is none.
    async fn shared(&mut self, name: &str) -> anyhow::Result<()> {
        if self.shares.contains_key(name) {
            return Ok(());
        }
        self.check().await?;
        self.made += 1;
        let share = format!("{name}-share-{}", self.made);
        let object = places::share(&share, name, places::user(NEW_OWNER));
        self.stores.shares.create(&PostParams::default(), &object).await?;
        self.knows(&format!("{name}/share"), |view| {
            let all = view["list"]["shares"].as_array();
            all.is_some_and(|all| all.iter().any(|one| one["name"] == *share))
        })
        .await?;
        self.shares.insert(name.to_owned(), share);
        self.read(name).await
    }

    /// A further workspace of this kind, which is stopped.
    async fn copy(&mut self, member: &Member) -> anyhow::Result<(String, Workspace)> {
        self.made += 1;
        let name = format!("{}-{}", self.place.name(member.kind), self.made);
        let mut copy = self.place.workspace(&name, &self.owner(member)?, self.home)?;
        copy.spec.desired_status = DesiredStatus::Stopped;
        let copy = self.create(&copy).await?;
        self.knows(&format!("{name}/delete"), |_| true).await?;
        Ok((name, copy))
    }
}
