//! Workspaces that name no template, in a namespace with a default one; the last user who changed one.
//!
//! A cluster-wide default would affect all tests.

use api::{Workspace, names};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::{kubectl, kubectl_with},
    objects::{template, workspace},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::rules::alice;

#[tokio::test]
async fn a_name_alone_makes_a_workspace_of_the_default_template_and_its_last_user_cannot_be_forged()
-> anyhow::Result<()> {
    let scratch = Scratch::new("default-of", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image, "appType": "jupyterlab"})).await?;
    let namespaces = Api::<Namespace>::all(cluster::admin().await?);
    let says = json!({"metadata": {"annotations": {names::DEFAULT_TEMPLATE: scratch.namespace}}});
    namespaces
        .patch(&scratch.namespace, &PatchParams::default(), &Patch::Merge(says))
        .await?;

    let arguments = ["create", "workspace", "lab", "-n", &scratch.namespace];
    let outcome = kubectl("alice", &arguments).await?;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let workspaces = alice(&scratch).await?;
    let made: Workspace = workspaces.get("lab").await?;
    assert_eq!(
        made.spec.template_ref.as_deref(),
        Some(scratch.namespace.as_str())
    );
    assert!(made.annotations().contains_key(names::ATTESTED_TEMPLATE));

    // Its manifest, which names no template, once more.
    let mut again = Workspace::new("lab", made.spec.clone());
    again.spec.template_ref = None;
    again.spec.display_name = "Again".to_owned();
    let apply = PatchParams::apply("e2e-default").force();
    let unchanged = workspaces.patch("lab", &apply, &Patch::Apply(&again)).await?;
    assert_eq!(unchanged.spec.template_ref, made.spec.template_ref);

    // The same by `kubectl replace`, which sends the manifest as it is. The workspace was stopped meanwhile.
    let stop = json!({"desiredStatus": "Stopped"});
    let stopped = workspace::set(&workspaces, "lab", stop).await?;
    let mut manifest = json!(again);
    if let Some(spec) = manifest["spec"].as_object_mut() {
        spec.remove("desiredStatus");
    }
    let replace = ["replace", "-n", &scratch.namespace, "-f", "-"];
    let outcome = kubectl_with("alice", &replace, &manifest.to_string()).await?;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let replaced = workspaces.get("lab").await?;
    assert_eq!(replaced.spec, stopped.spec);
    its_last_user_is_recorded_and_cannot_be_forged(&scratch, &workspaces).await?;
    template::finish(scratch).await
}

async fn its_last_user_is_recorded_and_cannot_be_forged(
    scratch: &Scratch,
    hers: &Api<Workspace>,
) -> anyhow::Result<()> {
    let last = async || -> anyhow::Result<String> {
        let now = hers.get("lab").await?;
        Ok(now
            .annotations()
            .get(names::LAST_UPDATED_BY)
            .cloned()
            .unwrap_or_default())
    };
    let own = hers.get("lab").await?.annotations()[names::CREATED_BY].clone();
    assert_eq!(last().await?, own);

    let carol = cluster::acting_as("carol", &["system:masters"]).await?;
    let hers_too: Api<Workspace> = Api::namespaced(carol, &scratch.namespace);
    let patch = |value: Value| Patch::Merge(json!({"metadata": value}));
    let forged = patch(json!({"annotations": {names::LAST_UPDATED_BY: "mallory"}}));
    hers_too.patch("lab", &PatchParams::default(), &forged).await?;
    assert_eq!(last().await?, own, "nothing else changed");
    let labelled = patch(json!({"labels": {"a": "b"}}));
    hers_too.patch("lab", &PatchParams::default(), &labelled).await?;
    assert_eq!(last().await?, "carol");
    Ok(())
}
