//! Users, watches, controllers and operators that end, in any order.
//!
//! Two pods never use one disk, and a pod never mounts files of another user. At the end exactly the expected children
//! exist.

use std::time::Duration;

use api::{
    Workspace, names,
    workspace::{DesiredStatus, Retain, UpdatePolicy},
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::ResourceExt as _;
use operator::controllers::network_policies;
use proptest::prelude::*;
use serde_json::json;
use testkit::{
    api_server::Life,
    objects::{self, NAMESPACE},
};

use crate::{
    cluster::{self, Cluster},
    stage::{Stage, unisolated},
};

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Set(DesiredStatus),
    Edit(u8),
    Policy(UpdatePolicy),
    Restart(u8),
    Keep(Retain),
    /// A text names the Service, or none does.
    Service(bool),
    Delete,
    /// By hand, past the finalizer.
    Tear,
    Create(bool, Retain),
    /// All watches, the operator and all controllers of the cluster, once.
    Everything,
    Sync,
    SyncOne(usize),
    Reconcile,
    /// An operator that ends at this call, and its successor.
    Die(usize, bool),
    Schedule,
    StartPods,
    EndPods,
    /// Somebody deletes the pod.
    Evict,
    Garbage,
    /// The operator restores policies, and deletes those that are left.
    Policies,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let desired = prop_oneof![Just(DesiredStatus::Running), Just(DesiredStatus::Stopped)];
    let policy = prop_oneof![Just(UpdatePolicy::OnStop), Just(UpdatePolicy::Always)];
    let retain = || prop_oneof![1 => Just(Retain::Delete), 3 => Just(Retain::Retain)];
    let step = prop_oneof![
        6 => desired.prop_map(Step::Set),
        3 => any::<u8>().prop_map(Step::Edit),
        2 => policy.prop_map(Step::Policy),
        2 => any::<u8>().prop_map(Step::Restart),
        1 => retain().prop_map(Step::Keep),
        2 => any::<bool>().prop_map(Step::Service),
        2 => Just(Step::Delete),
        1 => Just(Step::Tear),
        8 => Just(Step::Everything),
        6 => (any::<bool>(), retain()).prop_map(|(bob, retain)| Step::Create(bob, retain)),
        6 => Just(Step::Sync),
        8 => (0..Stage::WATCHES).prop_map(Step::SyncOne),
        16 => Just(Step::Reconcile),
        3 => (1..12_usize, any::<bool>()).prop_map(|(calls, done)| Step::Die(calls, done)),
        8 => Just(Step::Schedule),
        8 => Just(Step::StartPods),
        2 => Just(Step::Evict),
        5 => Just(Step::EndPods),
        5 => Just(Step::Garbage),
        4 => Just(Step::Policies),
    ];
    prop::collection::vec(step, 1..120)
}

/// A stage, the rest of the cluster, and how many workspaces there were.
struct Play {
    stage: Stage,
    cluster: Cluster,
    made: usize,
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            stage: Stage::new(),
            cluster: Cluster::default(),
            made: 0,
        };
        play.create("alice", Retain::Delete);
        play
    }

    fn exists(&self) -> bool {
        !self.stage.all::<Workspace>().is_empty()
    }

    fn create(&mut self, owner: &str, retain: Retain) {
        if self.exists() {
            return;
        }
        self.made += 1;
        let uid = format!("workspace-{}", self.made);
        self.cluster.owners.insert(uid.clone(), owner.to_owned());
        let mut workspace = objects::workspace("demo");
        workspace.metadata.uid = Some(uid);
        let annotations = workspace.metadata.annotations.get_or_insert_default();
        annotations.insert(names::CREATED_BY.to_owned(), owner.to_owned());
        if let Some(storage) = &mut workspace.spec.storage {
            storage.retain = Some(retain);
        }
        self.stage.server.put(&workspace);
    }

    async fn reconcile(&mut self) {
        let cached = operator::cache::stores::get_parsed(
            &self.stage.context.stores.workspaces,
            Some(NAMESPACE),
            "demo",
        );
        if cached.is_some() {
            let _ = self.stage.reconcile_unsynced("demo").await;
        }
    }

    async fn take(&mut self, step: Step) {
        let server = self.stage.server.clone();
        match step {
            Step::Set(desired) => self
                .stage
                .edit_spec(|spec| spec["desiredStatus"] = json!(desired)),
            Step::Edit(number) => {
                self.stage
                    .edit_spec(|spec| spec["image"] = json!(format!("example.com/i:{number}")));
            }
            Step::Policy(policy) => self.stage.edit_spec(|spec| spec["updatePolicy"] = json!(policy)),
            Step::Restart(time) => {
                server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
                    object["metadata"]["annotations"][names::RESTARTED_AT] = json!(time.to_string());
                });
            }
            Step::Keep(retain) => self
                .stage
                .edit_spec(|spec| spec["storage"]["retain"] = json!(retain)),
            Step::Service(is_named) => self.stage.name_service(is_named),
            Step::Delete => self.stage.delete_demo(),
            Step::Tear => server.remove::<Workspace>(Some(NAMESPACE), "demo"),
            Step::Create(bob, retain) => self.create(if bob { "bob" } else { "alice" }, retain),
            Step::Everything => {
                self.stage.sync();
                self.reconcile().await;
                Cluster::schedule(&server);
                Cluster::end_pods(&server);
                self.cluster.start_pods(&server);
                Cluster::garbage(&server);
            }
            Step::Sync => self.stage.sync(),
            Step::SyncOne(watch) => self.stage.sync_one(watch),
            Step::Reconcile => self.reconcile().await,
            Step::Die(calls, last_is_done) => {
                self.stage.replace_operator(Some(Life { calls, last_is_done }));
                self.stage.sync();
                self.reconcile().await;
                self.reconcile().await;
                self.stage.replace_operator(None);
                self.stage.sync();
            }
            Step::Schedule => Cluster::schedule(&server),
            Step::Evict => Cluster::evict(&server),
            Step::StartPods => self.cluster.start_pods(&server),
            Step::EndPods => Cluster::end_pods(&server),
            Step::Garbage => Cluster::garbage(&server),
            Step::Policies => {
                network_policies::reconcile(&self.stage.context).await;
            }
        }
    }

    /// What must hold at any time.
    fn check(&self) -> Result<(), TestCaseError> {
        let server = self.stage.server.clone();
        let pods = cluster::live(&server);
        let names: Vec<_> = pods.iter().map(kube::ResourceExt::name_any).collect();
        prop_assert!(pods.len() <= 1, "two pods on one disk: {names:?}");
        prop_assert_eq!(unisolated(&server), [""; 0]);
        for (disk, owners) in &self.cluster.files_of {
            prop_assert!(owners.len() == 1, "disk {disk} was seen by {owners:?}");
        }
        Ok(())
    }

    /// Lets everybody do what is left to do. Between the rounds backoffs end.
    async fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..12 {
            tokio::time::advance(Duration::from_secs(6)).await;
            self.stage.sync();
            self.reconcile().await;
            for step in [
                Step::Policies,
                Step::Schedule,
                Step::EndPods,
                Step::StartPods,
                Step::Garbage,
            ] {
                self.take(step).await;
                self.check()?;
            }
        }
        Ok(())
    }

    /// What must be there in the end.
    fn check_end(&self) -> Result<(), TestCaseError> {
        let stage = &self.stage;
        let pods = cluster::live(&stage.server).len();
        let claims = stage.all::<PersistentVolumeClaim>();
        let others = (stage.all::<Service>().len(), stage.policies().len());
        if !self.exists() {
            prop_assert_eq!((pods, others), (0, (0, 0)));
            prop_assert!(claims.iter().all(|claim| claim.owner_references().is_empty()));
            return Ok(());
        }
        let workspace = stage.workspace();
        let (uid, owner) = (workspace.uid().unwrap(), names::owner(&workspace.metadata));
        prop_assert_eq!(claims.len(), 1);
        let disk = &claims[0];
        let ours = disk.annotations().get(names::WORKSPACE_UID) == Some(&uid);
        let running = workspace.spec.desired_status == DesiredStatus::Running;
        prop_assert!(
            ours || names::owner(&disk.metadata) != owner,
            "{:?}",
            disk.metadata
        );
        prop_assert_eq!(pods, usize::from(ours && running), "{:?}", workspace.status);
        let has_service = !workspace.spec.variables.is_empty();
        let status = workspace.status.clone().unwrap_or_default();
        prop_assert!(others.0 == 1 || !has_service, "a Service is named");
        // While a change is pending, the pod may use the Service that it was made with.
        prop_assert!(
            others.0 == 0 || has_service || !status.pending_update.is_empty(),
            "nothing uses it"
        );
        prop_assert!(pods == 0 || others.1 == 2);
        if workspace.spec.update_policy == UpdatePolicy::Always {
            prop_assert!(status.pending_update.is_empty(), "{status:?}");
        }
        for pod in stage.all::<Pod>() {
            prop_assert_eq!(&pod.owner_references()[0].uid, &uid);
        }
        Ok(())
    }
}

/// A start, a stop and a start again: without it, most random stories end before they begin.
const PROLOGUE: [Step; 7] = [
    Step::Sync,
    Step::Reconcile,
    Step::Schedule,
    Step::StartPods,
    Step::Garbage,
    Step::Sync,
    Step::Reconcile,
];

/// How many stories are played; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|number| number.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn one_pod_per_disk_one_owner_per_disk_and_in_the_end_what_was_planned(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut play = Play::new();
            for step in PROLOGUE.into_iter().chain(steps) {
                play.take(step).await;
                play.check()?;
            }
            play.settle().await?;
            play.check_end()
        })?;
    }
}
