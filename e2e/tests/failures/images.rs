//! Images that cannot be pulled.

use std::sync::OnceLock;

use anyhow::Context as _;
use api::{WorkspaceExecutionProfile, condition::reason};
use e2e::{
    Environment,
    failures::{Fixture, Place, Registry, table},
    row,
};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::evidence::waiting;

/// The registry that requires a password, while the test that started it runs.
static REGISTRY: OnceLock<Place> = OnceLock::new();

fn registry() -> anyhow::Result<&'static Place> {
    REGISTRY.get().context("no registry was started")
}

/// An execution profile `runner`.
pub(crate) async fn make_profile(fixture: &Fixture, spec: Value) -> anyhow::Result<()> {
    fixture
        .make::<WorkspaceExecutionProfile>(json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceExecutionProfile",
            "metadata": {"name": "runner"}, "spec": spec,
        }))
        .await?;
    Ok(())
}

/// A workspace of the private image, with the profile `runner`.
async fn create_private(fixture: &Fixture) -> anyhow::Result<String> {
    let place = registry()?;
    let image = place.image(&fixture.name);
    let spec = json!({"image": image, "nodeSelector": place.selected(), "executionProfileRef": "runner"});
    fixture.create_as_admin(spec).await?;
    Ok(image)
}

/// The kubelet ignores a missing Secret.
async fn private_image_whose_secret_is_missing(fixture: &Fixture) -> anyhow::Result<()> {
    make_profile(fixture, json!({"imagePullSecrets": [{"name": "credentials"}]})).await?;
    let image = create_private(fixture).await?;
    let expected = [
        image.as_str(),
        "\"runner\" pulls it with credentials (spec.imagePullSecrets): check that they exist in this namespace",
    ];
    let evidence = waiting(&["ErrImagePull"]);
    fixture
        .reports(reason::IMAGE_PULL_FAILED, &expected, evidence)
        .await?;
    fixture
        .make::<Secret>(registry()?.secret("credentials", true))
        .await?;
    fixture.recovered().await
}

async fn private_image_whose_password_is_wrong(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .make::<Secret>(registry()?.secret("credentials", false))
        .await?;
    make_profile(fixture, json!({"imagePullSecrets": [{"name": "credentials"}]})).await?;
    let image = create_private(fixture).await?;
    let expected = [image.as_str(), "401 Unauthorized", "suit the registry"];
    let evidence = waiting(&["ErrImagePull"]);
    fixture
        .reports(reason::IMAGE_PULL_FAILED, &expected, evidence)
        .await?;
    let right = registry()?.secret("credentials", true);
    let data = json!({"stringData": right["stringData"]});
    fixture.change::<Secret>("credentials", data).await?;
    fixture.recovered().await
}

async fn init_container_s_image_is_missing(fixture: &Fixture) -> anyhow::Result<()> {
    let init = |image: &str| {
        json!({"initContainers": [{
            "name": "seed", "image": image, "command": ["python3", "-c", "pass"],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        }]})
    };
    fixture.create(init("localhost/no-such-seed:1")).await?;
    let evidence = waiting(&["ErrImagePull"]);
    fixture
        .reports(reason::IMAGE_PULL_FAILED, &["localhost/no-such-seed:1"], evidence)
        .await?;
    // It never started, so it is replaced at once.
    fixture.edit(init(&Environment::get()?.images.echo)).await?;
    fixture.recovered().await
}

#[tokio::test]
async fn images_that_cannot_be_pulled_are_reported() -> anyhow::Result<()> {
    let registry = Registry::start().await?;
    REGISTRY.get_or_init(|| registry.place());
    let rows = [
        row!(private_image_whose_secret_is_missing),
        row!(private_image_whose_password_is_wrong),
        row!(init_container_s_image_is_missing),
    ];
    table("images", rows).await?;
    registry.finish().await
}
