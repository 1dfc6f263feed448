//! 100 workspaces are stopped together: some are refused, the run is cancelled and repeated.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use api::Workspace;
use api::workspace::DesiredStatus;
use e2e::cluster::{self, Scratch};
use e2e::portal::Portal;
use e2e::{objects::workspace, wait};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use scraper::{Html, Selector};
use serde_json::json;

/// Number of workspaces.
const ALL: usize = 100;
/// Those that an administrator's policy keeps running: two of the first fifty, one of the rest.
const KEPT: [usize; 3] = [10, 20, 70];
/// The policy's message.
const REASON: &str = "the exam lasts until noon";

fn name(number: usize) -> String {
    format!("bulk-{number:02}")
}

/// Creates the workspaces as alice. They are to run, and the namespace has no room for anything of theirs.
async fn make(scratch: &Scratch) -> anyhow::Result<()> {
    let hard = json!({"pods": "0", "services": "0", "count/pods": "0"});
    let quota = serde_json::from_value(json!({"metadata": {"name": "none"}, "spec": {"hard": hard}}))?;
    let quotas = scratch.api::<ResourceQuota>();
    quotas.create(&PostParams::default(), &quota).await?;
    wait::until("the quota to be counted", wait::USUAL, || async {
        let quota = quotas.get("none").await.map_err(|error| error.to_string())?;
        let is_counted = quota.status.as_ref().is_some_and(|it| it.used.is_some());
        is_counted.then_some(()).ok_or_else(|| format!("{quota:?}"))
    })
    .await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    stream::iter(0..ALL)
        .map(|number| {
            let alice = &alice;
            async move {
                let new = workspace::echo(&name(number))?;
                alice.create(&PostParams::default(), &new).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(8)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

/// A policy of the cluster that refuses the stop of some, with the name of the namespace.
struct Policy {
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
    name: String,
}

impl Policy {
    async fn start(scratch: &Scratch) -> anyhow::Result<Self> {
        let (name, admin) = (scratch.namespace.clone(), cluster::admin().await?);
        let kept = KEPT.map(self::name);
        let passes = format!(
            "object.spec.desiredStatus != 'Stopped' || !(object.metadata.name in {})",
            json!(kept)
        );
        let labels = json!({"e2e.test/scratch": "true"});
        let policy = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["workspaces.jupyter.org"], "apiVersions": ["v1alpha1"], "operations": ["UPDATE"], "resources": ["workspaces"],
                }]},
                "validations": [{"expression": passes, "message": REASON}],
            },
        }))?;
        let binding = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
            },
        }))?;
        let policy_ = Self {
            policies: Api::all(admin.clone()),
            bindings: Api::all(admin),
            name,
        };
        let new = PostParams::default();
        policy_.policies.create(&new, &policy).await?;
        policy_.bindings.create(&new, &binding).await?;
        policy_.is_in_force(scratch, true).await?;
        Ok(policy_)
    }

    async fn end(&self, scratch: &Scratch) -> anyhow::Result<()> {
        let now = DeleteParams::default();
        self.bindings.delete(&self.name, &now).await?;
        self.policies.delete(&self.name, &now).await?;
        self.is_in_force(scratch, false).await
    }

    /// Waits until a stop of one of them is refused, or no longer. Nothing is stored.
    async fn is_in_force(&self, scratch: &Scratch, expected: bool) -> anyhow::Result<()> {
        let workspaces = scratch.api::<Workspace>();
        let dry = kube::api::PatchParams {
            dry_run: true,
            ..kube::api::PatchParams::default()
        };
        let stop = kube::api::Patch::Merge(json!({"spec": {"desiredStatus": DesiredStatus::Stopped}}));
        wait::until("the policy", wait::USUAL, || async {
            let answer = workspaces.patch(&name(KEPT[0]), &dry, &stop).await;
            let answer = answer.map(drop).map_err(|error| error.to_string());
            let is_refused = answer.as_ref().is_err_and(|error| error.contains(REASON));
            if is_refused == expected && (expected || answer.is_ok()) {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await
    }
}

/// What the page shows after a stop of many.
struct Outcome {
    sentence: String,
    /// Names that were not stopped, without their namespace, with the reason.
    failed: Vec<(String, String)>,
    /// Number of those whose stop was accepted.
    accepted: usize,
}

/// Presses the button of the question about all workspaces of the namespace, which asks about `asked` of them.
async fn stop_all(portal: &Portal, scratch: &Scratch, asked: usize) -> anyhow::Result<Outcome> {
    let own = &scratch.namespace;
    let question = format!("/stop?namespace={own}");
    let hidden = wait::until("the portal to know what runs", wait::USUAL, || async {
        let page = portal
            .json(&question)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let hidden: Vec<(String, String)> =
            serde_json::from_value(page["hidden"].clone()).unwrap_or_default();
        if hidden.len() == asked {
            Ok(hidden)
        } else {
            Err(page.to_string())
        }
    })
    .await?;
    let form: Vec<_> = hidden.iter().map(|(name, value)| (&**name, &**value)).collect();
    let answer = portal.post("/stop", &form).await?;
    let status = answer.status().as_u16();
    let page = answer.text().await?;
    ensure!(status == 200, "{status}: {page}");
    outcome(&page).with_context(|| page.clone())
}

fn outcome(page: &str) -> anyhow::Result<Outcome> {
    let page = Html::parse_document(page);
    let selector = |css: &str| Selector::parse(css).map_err(|error| anyhow::anyhow!("{css}: {error}"));
    let (sentence, row) = (selector("#bulk > p")?, selector("#bulk > ul > li")?);
    let (link, why) = (selector("a bdi")?, selector(".why")?);
    let sentence = page.select(&sentence).next().context("no sentence")?;
    let mut failed = Vec::new();
    let mut accepted = 0;
    for row in page.select(&row) {
        let name: String = row.select(&link).next().context("no name")?.text().collect();
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        match row.select(&why).next() {
            Some(why) => failed.push((name, why.text().collect())),
            None => accepted += 1,
        }
    }
    Ok(Outcome {
        sentence: sentence.text().collect(),
        failed,
        accepted,
    })
}

impl Outcome {
    fn expect(&self, sentence: &str, accepted: usize, failed: &[usize]) {
        assert_eq!(self.sentence, sentence, "{:?}", self.failed);
        assert_eq!(self.accepted, accepted, "{:?}", self.failed);
        let names: Vec<_> = self.failed.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, failed.iter().copied().map(name).collect::<Vec<_>>());
        assert!(
            self.failed.iter().all(|(_, why)| why.contains(REASON)),
            "{:?}",
            self.failed
        );
    }
}

/// Names of the workspaces that are to run.
async fn running(scratch: &Scratch) -> anyhow::Result<BTreeSet<String>> {
    let all = scratch.api::<Workspace>().list(&ListParams::default()).await?;
    let runs = |it: &&Workspace| it.spec.desired_status == DesiredStatus::Running;
    Ok(all.iter().filter(runs).map(ResourceExt::name_any).collect())
}

#[tokio::test]
async fn a_hundred_are_stopped_in_two_halves_and_each_that_is_refused_is_named_with_its_reason()
-> anyhow::Result<()> {
    let scratch = Scratch::new("portal-bulk", &["alice"]).await?;
    make(&scratch).await?;
    let policy = Policy::start(&scratch).await?;
    let portal = Portal::enter("alice").await?;
    let at = format!("/namespaces/{}", scratch.namespace);
    wait::until("the page of the namespace to offer it", wait::USUAL, || async {
        let (_, page) = portal.open(&at).await.map_err(|error| format!("{error:#}"))?;
        let offered = page.contains(&format!("Stop all {ALL}…"));
        offered.then_some(()).ok_or(page)
    })
    .await?;

    // Half of them. The button for the rest is not pressed.
    let half = stop_all(&portal, &scratch, ALL).await?;
    half.expect("48 are being stopped, 2 are not, 50 are left.", 48, &[10, 20]);
    let expected = (50..ALL).chain([10, 20]).map(name).collect();
    assert_eq!(running(&scratch).await?, expected, "the rest was not touched");

    let again = stop_all(&portal, &scratch, 52).await?;
    again.expect("47 are being stopped, 3 are not, 2 are left.", 47, &KEPT);
    let expected = KEPT.into_iter().chain([98, 99]).map(name).collect();
    assert_eq!(running(&scratch).await?, expected);

    policy.end(&scratch).await?;
    let rest = stop_all(&portal, &scratch, 5).await?;
    rest.expect("All 5 are being stopped.", 5, &[]);
    assert_eq!(running(&scratch).await?, BTreeSet::new());
    scratch.finish().await
}
