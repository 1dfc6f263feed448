//! Images of a registry with a password on the nodes before a workspace starts there.
//!
//! It runs in the stage `settings`, where the installation names a pull Secret.

use api::{condition::reason, names::PRE_PULL_LABEL};
use e2e::{
    cluster::{self, Scratch},
    failures::Registry,
    objects::template,
    test_run::finally::always,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::images_in_advance::{gone, images, label, prepared};

/// `settings.imagePullSecrets` of the stage (`crates/xtask/src/test/end_to_end.rs`).
const SECRET: &str = "e2e-credentials";

#[tokio::test]
async fn a_node_has_a_private_image_in_advance_once_the_pull_secret_is_there() -> anyhow::Result<()> {
    let registry = Registry::start().await?;
    let place = registry.place();
    let scratch = Scratch::new("private-in-advance", &[]).await?;
    let name = scratch.namespace.clone();
    let image = place.image(&name);
    let spec = json!({"defaultImage": image, "defaultNodeSelector": place.selected()});
    template::make(&scratch, &spec).await?;
    label(&name, &json!({PRE_PULL_LABEL: "true"})).await?;
    let refused = format!(
        "{image}: it cannot be pulled with the Secret {SECRET} of namespace {}: ",
        images()?
    );
    let parts = [refused.as_str(), "401 Unauthorized"];
    prepared(&name, Some("0/1"), reason::PRE_PULL_FAILED, &parts).await?;

    let secrets = Api::<Secret>::namespaced(cluster::admin().await?, &images()?);
    let work = async {
        let secret: Secret = serde_json::from_value(place.secret(SECRET, true))?;
        secrets.create(&PostParams::default(), &secret).await?;
        let message = "1 of 1 nodes have the image.";
        prepared(&name, Some("1/1"), reason::PREPARED, &[message]).await
    };
    let restore = async {
        // The work may have ended before it was made.
        match secrets.delete(SECRET, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop).map_err(Into::into),
        }
    };
    always(work, restore).await?;
    template::finish(scratch).await?;
    gone(&name).await?;
    registry.finish().await
}
