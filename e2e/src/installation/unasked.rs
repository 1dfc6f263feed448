//! Groups -> a client of a user whose writes the API server does not show to the webhook (IO).
//!
//! The chart exempts no user altogether. So this adds a condition to the webhook's configurations, for a name that only an
//! administrator may take. Several tests may do so at the same time.

use api::{Workspace, names::RESTARTED_AT};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{Environment, cluster, wait};

/// The user.
pub const UNASKED: &str = "e2e:unasked";

/// The client. The user has the rights of `groups`, and those that tests grant to [`UNASKED`].
///
/// # Errors
/// The configurations cannot be changed, or the API server still shows such writes to the webhook.
pub async fn unasked(groups: &[&str]) -> anyhow::Result<Client> {
    exempt::<MutatingWebhookConfiguration>(|it| json!(it.webhooks)).await?;
    exempt::<ValidatingWebhookConfiguration>(|it| json!(it.webhooks)).await?;
    let probing = cluster::acting_as(UNASKED, &["system:masters"]).await?;
    wait::until("the webhook to be skipped", wait::USUAL, || is_skipped(&probing)).await?;
    cluster::acting_as(UNASKED, groups).await
}

/// Adds the condition to each webhook of the configuration.
async fn exempt<K>(webhooks: impl Fn(&K) -> Value) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let all = Api::<K>::all(cluster::admin().await?);
    let name = format!("{}-webhook", Environment::get()?.release);
    let condition = json!({
        "name": "not-unasked", "expression": format!("request.userInfo.username != '{UNASKED}'"),
    });
    let stored = webhooks(&all.get(&name).await?);
    let exempted: Vec<Value> = stored
        .as_array()
        .into_iter()
        .flatten()
        .map(|webhook| json!({"name": webhook["name"], "matchConditions": [&condition]}))
        .collect();
    // Lists are merged by name.
    let patch = Patch::Strategic(json!({"webhooks": exempted}));
    all.patch(&name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Whether no webhook speaks of a workspace that the first one refuses by its schema, nor of one that the second one refuses.
async fn is_skipped(client: &Client) -> Result<(), String> {
    let workspaces = Api::<DynamicObject>::namespaced_with(
        client.clone(),
        "default",
        &ApiResource::erase::<Workspace>(&()),
    );
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for (annotations, spec) in [
        (json!({}), json!({"displayName": 5})),
        (
            json!({RESTARTED_AT: "now"}),
            json!({"displayName": "x", "desiredStatus": "Stopped"}),
        ),
    ] {
        let object = serde_json::from_value(json!({
            "apiVersion": Workspace::api_version(&()), "kind": Workspace::kind(&()),
            "metadata": {"name": "unasked", "annotations": annotations}, "spec": spec,
        }));
        let object: DynamicObject = object.map_err(|error| error.to_string())?;
        match workspaces.create(&dry, &object).await {
            Ok(_) => {}
            Err(kube::Error::Api(status))
                if status.code < 500 && !status.message.contains("admission webhook") => {}
            // Also an answer that does not come says nothing.
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}
