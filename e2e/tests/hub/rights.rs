//! The hub's account, in a thief's hands.

use anyhow::{bail, ensure};
use api::{Workspace, names::CREATED_BY, workspace::Phase};
use e2e::{
    cluster::{self, service_account},
    command,
    objects::workspace,
};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::sample::{self, HUB, SERVERS};

/// What the sample's policy says of templates, and of what else a hub must not set.
const TEMPLATES: &str = "the hub may use the templates jupyterhub and jupyterhub-large only";
const OTHERS: &str = "the hub must not set env, managerRef or executionProfileRef";
/// What the product says of an object for which a user has no `use`.
const NO_USE: &str = "or you may not use it";

/// A claim of somebody else.
const CLAIM: &str = "of-others";

fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// What the hub makes, with this in place of parts of it. Null removes a field.
fn server(change: &Value) -> anyhow::Result<Workspace> {
    let mut made = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "thief"},
        "spec": {
            "displayName": "thief",
            "templateRef": "jupyterhub",
            "desiredStatus": "Stopped",
            "ownershipType": "OwnerOnly",
        },
    });
    for part in ["metadata", "spec"] {
        for (key, value) in change[part].as_object().into_iter().flatten() {
            made[part][key] = value.clone();
        }
    }
    Ok(serde_json::from_value(made)?)
}

/// Checks for a refusal by one of these sentences: where several policies refuse, the API server answers by any of them.
fn refused<T: std::fmt::Debug>(
    what: &str,
    result: kube::Result<T>,
    sentences: &[&str],
) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(status))
            if [403, 422].contains(&status.code)
                && sentences.iter().any(|sentence| status.message.contains(sentence)) =>
        {
            Ok(())
        }
        other => bail!("{what}: expected a refusal by {sentences:?}, got {other:?}"),
    }
}

async fn thief() -> anyhow::Result<Client> {
    let accounts = Api::<ServiceAccount>::namespaced(cluster::admin().await?, HUB);
    cluster::with_token(&service_account::token_of(&accounts, "hub", None).await?).await
}

#[tokio::test]
async fn the_hub_s_account_has_nothing_but_workspaces() -> anyhow::Result<()> {
    sample::hub().await?;
    let own = service_account::rights_beyond_others(HUB, "hub", HUB).await?;
    let of_servers = service_account::rights_beyond_others(HUB, "hub", SERVERS).await?;
    assert_eq!(
        format!("# in its own namespace\n{own}\n# in that of its servers\n{of_servers}"),
        include_str!("rights.txt")
    );

    let (admin, thief) = (cluster::admin().await?, thief().await?);
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM, "namespace": SERVERS},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    });
    command::apply(&[claim]).await?;
    let [all, theirs] = [&admin, &thief].map(|client| Api::<Workspace>::namespaced(client.clone(), SERVERS));
    // What the hub makes is taken, and what else it could ask for is not. An administrator may.
    theirs.create(&dry(), &server(&json!({}))?).await?;
    for (what, change, sentences) in [
        (
            "a template of the chart",
            json!({"spec": {"templateRef": "jupyterlab"}}),
            [TEMPLATES, NO_USE].as_slice(),
        ),
        (
            "another owner",
            json!({"metadata": {"annotations": {CREATED_BY: "alice"}}}),
            &["\"alice\" is another owner"],
        ),
        (
            "an environment",
            json!({"spec": {"env": [{"name": "A", "value": "b"}]}}),
            &[OTHERS],
        ),
        (
            "a manager",
            json!({"spec": {"managerRef": "jupyterhub"}}),
            &[OTHERS, NO_USE],
        ),
        (
            "a profile",
            json!({"spec": {"executionProfileRef": "jupyterhub"}}),
            &[OTHERS, NO_USE],
        ),
        (
            "a claim",
            json!({"spec": {"storage": {"claimName": CLAIM}}}),
            &["which needs a permission that you lack"],
        ),
    ] {
        let wanted = server(&change)?;
        refused(what, theirs.create(&dry(), &wanted).await, sentences)?;
        let taken = all.create(&dry(), &wanted).await;
        ensure!(taken.is_ok(), "{what}, by an administrator: {taken:?}");
    }
    let bare = server(&json!({"spec": {"templateRef": null}}))?;
    // An installation's default template fills in.
    let none = theirs.create(&dry(), &bare).await;
    refused("no template", none, &[TEMPLATES, NO_USE])?;

    // A workspace of somebody else, in the same namespace.
    all.create(
        &PostParams::default(),
        &server(&json!({"metadata": {"name": "of-others"}}))?,
    )
    .await?;
    workspace::reached(&all, "of-others", Phase::Stopped).await?;
    let start = Patch::Merge(json!({"spec": {"desiredStatus": "Running"}}));
    let try_it = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let started = theirs.patch("of-others", &try_it, &start).await;
    refused("a start", started, &["changed and deleted only by its owner"])?;
    all.patch("of-others", &try_it, &start).await?;
    workspace::delete(&all, "of-others").await?;

    let pod: Pod = serde_json::from_value(cluster::restricted_pod(
        "thief",
        json!({"image": "localhost/none"}),
        &json!([]),
    ))?;
    for namespace in [HUB, SERVERS] {
        let pods = |client: &Client| Api::<Pod>::namespaced(client.clone(), namespace);
        let made = pods(&thief).create(&dry(), &pod).await;
        refused("a pod", made, &[r#"cannot create resource "pods""#])?;
        pods(&admin).create(&dry(), &pod).await?;
        let secrets = Api::<Secret>::namespaced(thief.clone(), namespace);
        let listed = secrets.list(&ListParams::default()).await;
        refused("Secrets", listed, &[r#"cannot list resource "secrets""#])?;
    }
    command::administered(&["delete", "pvc", CLAIM, "-n", SERVERS, "--wait=false"], "")
        .await
        .map(drop)
}
