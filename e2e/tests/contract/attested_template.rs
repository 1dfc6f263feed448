//! The record of the template that existed at a workspace's creation: only the webhook writes it.

use std::collections::BTreeMap;

use api::{
    Workspace, WorkspaceTemplate,
    names::{ATTESTED_TEMPLATE, CREATED_BY},
    workspace::DesiredStatus,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::template,
    wait,
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

fn noted(workspace: &Workspace) -> Option<String> {
    workspace.annotations().get(ATTESTED_TEMPLATE).cloned()
}

#[tokio::test]
async fn the_attested_template_is_recorded_and_kept_by_every_kind_of_write() -> anyhow::Result<()> {
    let scratch = Scratch::new("attested", &[]).await?;
    let workspaces = scratch.api::<Workspace>();
    let forged = BTreeMap::from([(ATTESTED_TEMPLATE.to_owned(), "forged".to_owned())]);
    let stopped = |name: &str| -> anyhow::Result<Workspace> {
        let mut workspace = template::workspace(&scratch, name, &json!({}))?;
        workspace.spec.desired_status = DesiredStatus::Stopped;
        workspace.metadata.annotations = Some(forged.clone());
        Ok(workspace)
    };
    let early = workspaces
        .create(&PostParams::default(), &stopped("early")?)
        .await?;
    assert_eq!(noted(&early), None, "no template was there");
    template::make(
        &scratch,
        &json!({"defaultImage": Environment::get()?.images.echo}),
    )
    .await?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let uid = templates.get(&scratch.namespace).await?.uid();

    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    assert_eq!(noted(&workspaces.create(&dry, &stopped("late")?).await?), uid);
    let late = workspaces
        .create(&PostParams::default(), &stopped("late")?)
        .await?;
    assert_eq!(noted(&late), uid);

    let apply = PatchParams::apply("e2e").force();
    let manifest = |name: &str, annotations: serde_json::Value| {
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
            "metadata": {"name": name, "annotations": annotations}, "spec": late.spec,
        })
    };
    for (name, expected) in [("early", None), ("late", uid)] {
        let write = |change: serde_json::Value| {
            let workspaces = workspaces.clone();
            async move {
                let (merge, usual) = (Patch::Merge(change), PatchParams::default());
                Ok::<_, kube::Error>(noted(&workspaces.patch(name, &usual, &merge).await?))
            }
        };
        let annotated = |value: serde_json::Value| json!({"metadata": {"annotations": value}});
        for value in [json!("x"), json!(null)] {
            let change = annotated(json!({ ATTESTED_TEMPLATE: value }));
            assert_eq!(write(change).await?, expected, "{name}: merged");
        }
        let over = annotated(json!({CREATED_BY: "carol", ATTESTED_TEMPLATE: "x"}));
        assert_eq!(write(over).await?, expected, "{name}: reassigned");
        assert_eq!(
            write(annotated(json!(null))).await?,
            expected,
            "{name}: all taken away"
        );
        for annotations in [json!({}), json!({ATTESTED_TEMPLATE: "x"})] {
            let applied = Patch::Apply(manifest(name, annotations));
            let applied = workspaces.patch(name, &apply, &applied).await?;
            assert_eq!(noted(&applied), expected, "{name}: applied");
        }
        let replaced = wait::until("a replacement that nothing overtakes", wait::USUAL, || async {
            let mut whole = workspaces.get(name).await?;
            whole.metadata.annotations = None;
            whole.metadata.managed_fields = None;
            whole.spec.display_name = "Replaced".to_owned();
            workspaces.replace(name, &PostParams::default(), &whole).await
        })
        .await?;
        assert_eq!(noted(&replaced), expected, "{name}: replaced");
    }
    template::finish(scratch).await
}
