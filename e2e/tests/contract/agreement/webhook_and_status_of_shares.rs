//! The webhook's result for shares -> the operator's status of them.
//!
//! A share's status says whether the share is active, not whether a user could create it today. When rules get stricter,
//! existing shares remain.
//!
//! So the status names only what ends a share. For the manager's bounds, it has the webhook's message. A subject that
//! cannot be a user's name gives no access, so only the webhook refuses it.

use api::{
    Workspace, WorkspaceManager, WorkspaceShare,
    condition::{ACTIVE, reason},
};
use e2e::{objects::workspace, wait};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt as _, api::DeleteParams};

use super::{
    webhook_and_status::{judged, past_the_webhook, store, violations},
    *,
};

/// What the webhook says of an end in the past.
const PASSED: &str = "is in the past";

async fn manager(scratch: &Scratch) -> anyhow::Result<()> {
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    let bounds = json!({"maxDurationMinutes": 60, "allowGroups": false});
    let manager = json!({
        "metadata": {"name": scratch.namespace, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "routing": {"baseDomain": "shares.example.org", "traefik": {}}, "authentication": {"gateway": {}},
            "authorization": {"sharing": bounds},
        },
    });
    managers
        .create(&PostParams::default(), &serde_json::from_value(manager)?)
        .await?;
    Ok(())
}

/// A workspace of the manager, owned by the user of the requests.
async fn lab(scratch: &Scratch) -> anyhow::Result<Workspace> {
    let mut lab = workspace::echo("lab")?;
    lab.spec.desired_status = api::workspace::DesiredStatus::Stopped;
    lab.spec.manager_ref = Some(scratch.namespace.clone());
    // The webhook is skipped, so the test itself records which user set the owner.
    let named = [(CREATED_BY, OTHER_USER), (ASSIGNED_BY, UNASKED)];
    lab.metadata.annotations = Some(
        named
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    );
    let past = Api::<Workspace>::namespaced(unasked().await?, &scratch.namespace);
    past.create(&PostParams::default(), &lab).await?;
    wait::until("the workspace to have a manager", wait::USUAL, || async {
        let lab = past.get("lab").await.map_err(|error| error.to_string())?;
        let resolved = lab.status.as_ref().and_then(|status| status.resolved.as_ref());
        if resolved.is_some_and(|resolved| resolved.manager.is_some()) {
            Ok(lab)
        } else {
            Err(format!("{:?}", lab.status))
        }
    })
    .await
}

/// Each end and each subject alone, and then as many random ones.
fn specs(uid: &str, now: Timestamp) -> anyhow::Result<Vec<Value>> {
    let mut chance = Chance::new(0x5eed_000b);
    let minutes = |minutes| json!((now + SignedDuration::from_mins(minutes)).to_string());
    let ends = [minutes(30), minutes(-5), minutes(600), Value::Null];
    let subjects = [
        json!({"kind": "User", "name": "bob"}),
        json!({"kind": "User", "name": "carol@example.org"}),
        json!({"kind": "User", "name": " bob"}),
        json!({"kind": "Group", "name": "ml"}),
        json!({"kind": "ServiceAccount", "name": "No Account", "namespace": "ci"}),
    ];
    let spec = |subject: &Value, end: &Value| {
        let mut spec = json!({"workspaceRef": "lab", "workspaceUID": uid, "subjects": [subject]});
        if !end.is_null() {
            spec["expiresAt"] = end.clone();
        }
        spec
    };
    let mut specs = Vec::new();
    for subject in &subjects[..2] {
        specs.extend(ends.iter().map(|end| spec(subject, end)));
    }
    specs.extend(subjects[2..].iter().map(|subject| spec(subject, &ends[0])));
    for _ in 0..cases(15)? {
        let from = if chance.below(3) == 0 {
            &subjects[..]
        } else {
            &subjects[..2]
        };
        let end = if chance.below(2) == 0 {
            &ends[0]
        } else {
            chance.of(&ends)
        };
        specs.push(spec(chance.of(from), end));
    }
    Ok(specs)
}

/// The manager that it makes is of the caller to remove, by [`forget`].
pub(super) async fn agree(scratch: &Scratch) -> anyhow::Result<()> {
    manager(scratch).await?;
    let uid = lab(scratch).await?.uid().unwrap_or_default();
    let specs = specs(&uid, Timestamp::now())?.into_iter().enumerate();
    let objects = specs.map(|(number, spec)| {
        json!({"metadata": {"name": format!("of-chance-{number}"), "namespace": scratch.namespace}, "spec": spec})
    });
    let api = past_the_webhook::<WorkspaceShare>(scratch).await?;
    let stored = store::<WorkspaceShare>(&api, objects.collect()).await?;
    let webhook_and_status = judged(&api, ACTIVE, &stored).await?;

    let (mut counting, mut ineffective, mut over, mut beyond) = (0, 0, 0, 0);
    for (name, refusal) in &stored {
        let judged_object = webhook_and_status.iter().find(|(other, _)| other == name);
        let (_, judged_object) = judged_object.ok_or_else(|| anyhow::anyhow!("{name} was not judged"))?;
        let lines: Vec<_> = refusal.iter().flat_map(violations).collect();
        let bounds = lines.iter().find_map(|line| line.strip_prefix("spec: "));
        let agree = match bounds {
            _ if lines.iter().any(|line| line.contains(PASSED)) => {
                over += 1;
                judged_object.status == "False" && judged_object.reason == reason::EXPIRED
            }
            Some(words) => {
                beyond += 1;
                judged_object.status == "False"
                    && judged_object.reason == reason::SHARE_OUT_OF_BOUNDS
                    && judged_object.message == words
            }
            None => {
                counting += 1;
                ineffective += usize::from(!lines.is_empty());
                let only_names = lines.iter().all(|line| line.starts_with("spec.subjects["));
                only_names && judged_object.status == "True" && judged_object.reason == reason::SHARED
            }
        };
        anyhow::ensure!(
            agree,
            "{name}: the operator says {judged_object:?}, and the webhook: {lines:?}"
        );
    }
    let all = [counting - ineffective, ineffective, over, beyond];
    assert!(all.iter().all(|count| *count >= 2), "{all:?}");
    Ok(())
}

/// Deletes the manager, and waits until nothing refers to it.
pub(super) async fn forget(name: &str) -> anyhow::Result<()> {
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    managers.delete(name, &DeleteParams::default()).await?;
    wait::until("the manager to be gone", wait::USUAL, || async {
        match managers.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}
