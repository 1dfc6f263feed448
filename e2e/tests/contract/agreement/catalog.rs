//! Managers and profiles, at their creation and when they are changed.

use api::{WorkspaceExecutionProfile, WorkspaceManager};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};

use super::*;

/// The results for the creation of each object and for the change of `stored` to it agree. Returns how many are admitted.
async fn agree_on_creations_and_changes<K>(
    api: &Api<DynamicObject>,
    client: &Client,
    stored: &Value,
    specs: Vec<Value>,
) -> anyhow::Result<usize>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let mut first = stored.clone();
    first["apiVersion"] = json!(K::api_version(&()));
    first["kind"] = json!(K::kind(&()));
    let first: DynamicObject = serde_json::from_value(first)?;
    let stored_now = api.create(&PostParams::default(), &first).await?;
    let mut objects = Vec::new();
    for spec in &specs {
        let mut object = stored.clone();
        object["metadata"]["name"] = json!(format!("{}-new", stored_now.name_any()));
        object["spec"] = spec.clone();
        objects.push(object);
    }
    let admitted = all_agree::<K>(api, client, objects).await?;
    let changes = stream::iter(specs).map(|spec| agree_on_change::<K>(api, client, &stored_now, spec));
    let _: Vec<()> = changes.buffer_unordered(AT_ONCE).try_collect().await?;
    api.delete(&stored_now.name_any(), &DeleteParams::default())
        .await?;
    Ok(admitted)
}

async fn agree_on_change<K>(
    api: &Api<DynamicObject>,
    client: &Client,
    stored: &DynamicObject,
    spec: Value,
) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    // A patch replaces the spec of any stored version, because the operator also writes during this test.
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let replacement = serde_json::from_value(json!([{"op": "replace", "path": "/spec", "value": spec}]))?;
    let patch = Patch::<()>::Json(replacement);
    let definition = by_definition(api.patch(&stored.name_any(), &dry, &patch).await)?;
    let old = serde_json::to_value(stored)?;
    let mut new = old.clone();
    new["spec"] = spec;
    let webhook = asked::<K>(client, &new, Some(&old)).await?;
    anyhow::ensure!(
        definition.is_some() == webhook.is_some(),
        "definition and webhook differ on the change to {}:\ndefinition: {definition:?}\nwebhook: {webhook:?}",
        new["spec"]
    );
    Ok(())
}

pub(super) async fn agree_on_managers(scratch: &Scratch) -> anyhow::Result<()> {
    let client = cluster::admin().await?;
    let api = Api::all_with(unasked().await?, &ApiResource::erase::<WorkspaceManager>(&()));
    let mut chance = Chance::new(0x5eed_0005);
    let all = cases(50)?;
    let route = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "spec": {"rules": [{"host": "{workspace.host}"}]},
    });
    let domains = [
        "w.example.org",
        "example",
        "Example.org",
        "-a.example.org",
        "a.b-.org",
    ]
    .map(Value::from);
    let mut specs = Vec::new();
    for _ in 0..all {
        let mut routing = chance.object(&[
            ("mode", vec![json!("Subdomain"), json!("Path")]),
            ("port", vec![json!(0), json!(1), json!(65535), json!(65536)]),
        ]);
        // Most are right in this, so that the other rules have a say.
        routing["baseDomain"] = if chance.below(4) == 0 {
            chance.of(&domains).clone()
        } else {
            json!("w.example.org")
        };
        let by_gateway = chance.below(2) == 0;
        if by_gateway != (chance.below(6) == 0) {
            routing["traefik"] = json!({});
        }
        if by_gateway == (chance.below(6) == 0) {
            routing["custom"] = json!({"resources": [route]});
        }
        let mut authentication = json!({});
        if by_gateway != (chance.below(6) == 0) {
            authentication["gateway"] = json!({});
        } else if chance.below(2) == 0 {
            authentication["none"] = json!({});
        }
        if (authentication == json!({})) != (chance.below(6) == 0) {
            let addresses = [
                "http://auth.example",
                "https://auth.example/verify",
                "auth.example",
            ];
            let address = chance.of(&addresses.map(Value::from)).clone();
            authentication["forwardAuth"] = json!({"address": address});
        }
        // Only the webhook checks whether a manifest refers to the authorization service.
        let somebody_decides =
            authentication["gateway"].is_object() || authentication["forwardAuth"].is_object();
        if somebody_decides && routing["custom"].is_object() {
            let asks = json!({"annotations": {"example.com/auth": "{authentication.address}"}});
            routing["custom"]["resources"][0]["metadata"] = asks;
        }
        let mut spec = json!({"routing": routing, "authentication": authentication});
        if chance.below(3) == 0 {
            let groups = vec![
                json!(["ml"]),
                json!(["system:masters"]),
                json!(["ml", "system:nodes"]),
            ];
            spec["authorization"] = chance.object(&[("adminGroups", groups)]);
        }
        specs.push(spec);
    }
    let stored = json!({
        "metadata": {"name": scratch.namespace, "labels": {"e2e.test/scratch": "true"}},
        "spec": {"routing": {"baseDomain": "stored.example.org", "custom": {"resources": [route]}}, "authentication": {"none": {}}},
    });
    let admitted = agree_on_creations_and_changes::<WorkspaceManager>(&api, &client, &stored, specs).await?;
    both_came_up(admitted, all)
}

pub(super) async fn agree_on_profiles(scratch: &Scratch) -> anyhow::Result<()> {
    let client = cluster::admin().await?;
    let resource = ApiResource::erase::<WorkspaceExecutionProfile>(&());
    let api = Api::namespaced_with(unasked().await?, &scratch.namespace, &resource);
    let mut chance = Chance::new(0x5eed_0006);
    let all = cases(50)?;
    let accounts = vec![
        json!({"name": "batch"}),
        json!({"perWorkspace": {}}),
        json!({"name": "batch", "perWorkspace": {}}),
        json!({}),
    ];
    let paths = ["/var/run/tokens/a", "/tokens/a", "/a", "a/b", "/a/../b", "/a:b/c"].map(Value::from);
    let seconds = [599, 600, 86_400, 86_401].map(Value::from);
    let mut specs = Vec::new();
    for _ in 0..all {
        let mut spec = chance.object(&[("automountToken", vec![json!(true), json!(false)])]);
        if chance.below(3) > 0 {
            spec["serviceAccount"] = chance.of(&accounts).clone();
        }
        if chance.below(2) == 0 {
            let mut token = json!({"audience": "vault", "path": chance.of(&paths)});
            if chance.below(2) == 0 {
                token["expirationSeconds"] = chance.of(&seconds).clone();
            }
            spec["projectedTokens"] = json!([token]);
        }
        specs.push(spec);
    }
    let stored = json!({
        "metadata": {"name": "stored", "namespace": scratch.namespace},
        "spec": {"env": [{"name": "COLOUR", "value": "blue"}]},
    });
    let admitted =
        agree_on_creations_and_changes::<WorkspaceExecutionProfile>(&api, &client, &stored, specs).await?;
    both_came_up(admitted, all)
}
