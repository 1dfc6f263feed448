//! Rules of the CRDs (schema, CEL), the webhook and the plugin's `lint` -> the same results.
//!
//! Webhook and `lint`, which needs no cluster, also give the same messages. The operator reports the webhook's result for
//! an object that is already stored.
//!
//! Objects are generated at random from values on both sides of each rule. The API server gets a dry run. The webhook is
//! called directly, since it never sees what the API server has refused.
//!
//! The dry run acts as a user whom the webhook skips. Otherwise the webhook would refuse objects before the schema does.

mod catalog;
mod changes;
mod idle;
mod shares;
mod templates;
mod webhook_and_status;
mod webhook_and_status_of_catalog;
mod webhook_and_status_of_shares;
mod workspaces;

use std::fmt::Debug;

use anyhow::Context as _;
use api::names::{ASSIGNED_BY, CREATED_BY};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::administer_with,
    installation::{self, unasked::UNASKED},
    objects::template,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// User of the requests to the webhook, with all rights.
const OTHER_USER: &str = "agreement";
/// Objects that are judged at the same time.
const AT_ONCE: usize = 8;

/// Seed for other objects than those of each run: `AGREEMENT_SEED=7 ./justw test e2e contract::agreement`.
const SEED: &str = "AGREEMENT_SEED";

/// How many random objects each comparison makes, in place of its own number: `AGREEMENT_CASES=300`.
const CASES: &str = "AGREEMENT_CASES";

fn cases(usual: usize) -> anyhow::Result<usize> {
    match std::env::var(CASES) {
        Ok(cases) => Ok(cases.parse()?),
        Err(_) => Ok(usual),
    }
}

/// Random numbers, the same in every run without a seed.
struct Chance(u64);

impl Chance {
    /// `usual`: a number of this test's own. What the test prints shows when it fails.
    fn new(usual: u64) -> Self {
        let Ok(seed) = std::env::var(SEED) else {
            println!("the usual objects: {SEED} is not set");
            return Self(usual);
        };
        println!("{SEED}={seed} makes these objects again");
        // As FNV does it; a sequence that begins with 0 would be none.
        let mixed = seed.bytes().fold(usual, |mixed, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mixed.max(1))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn of<'a>(&mut self, values: &'a [Value]) -> &'a Value {
        &values[self.below(values.len())]
    }

    /// An object with some of these fields, each with one of its values.
    fn object(&mut self, fields: &[(&str, Vec<Value>)]) -> Value {
        let mut object = Map::new();
        for (name, values) in fields {
            if self.below(2) == 0 {
                object.insert((*name).to_owned(), self.of(values).clone());
            }
        }
        object.into()
    }
}

/// Client of a user with all rights, for whose writes the API server does not call the webhook.
async fn unasked() -> anyhow::Result<Client> {
    installation::unasked::unasked(&["system:masters"]).await
}

/// Result of the CRDs' own rules: a refusal's message, or nothing. A refusal by the webhook comes after them.
fn by_definition<T: Debug>(result: kube::Result<T>) -> anyhow::Result<Option<String>> {
    match result {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.message.contains("admission webhook") => Ok(None),
        Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => {
            Ok(Some(status.message.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

/// What the webhook says to `object`, in place of `old` if there is one: the refusal, as a Status.
async fn asked<K: Resource<DynamicType = ()>>(
    client: &Client,
    object: &Value,
    old: Option<&Value>,
) -> anyhow::Result<Option<Value>> {
    asked_to::<K>("validate", client, object, old).await
}

/// The same for one of its two halves. `mutate` runs before the schema, and reports in sentences what the schema would refuse.
async fn asked_to<K: Resource<DynamicType = ()>>(
    half: &str,
    client: &Client,
    object: &Value,
    old: Option<&Value>,
) -> anyhow::Result<Option<Value>> {
    let environment = Environment::get()?;
    let kind = json!({"group": K::group(&()), "version": K::version(&()), "kind": K::kind(&())});
    let resource = json!({"group": K::group(&()), "version": K::version(&()), "resource": K::plural(&())});
    let mut object = object.clone();
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    // As the webhook itself would have left it.
    if old.is_none() && ["Workspace", "WorkspaceShare"].contains(&&*K::kind(&())) {
        object["metadata"]["annotations"] = json!({CREATED_BY: OTHER_USER});
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "agreement", "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"], "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": OTHER_USER, "groups": ["system:masters"]},
            "object": object, "oldObject": old, "dryRun": true, "options": null,
        },
    });
    let uri = format!(
        "/api/v1/namespaces/{}/services/https:{}-webhook:443/proxy/{half}",
        environment.system_namespace, environment.release
    );
    let request = http::Request::post(uri)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&review)?)?;
    let answer: Value = client.request(request).await?;
    let response = &answer["response"];
    anyhow::ensure!(response["allowed"].is_boolean(), "no decision: {answer}");
    let refused = response["allowed"] == false;
    Ok(refused.then(|| response["status"].clone()))
}

/// What a user reads of the object, a line for each rule that it breaks. Definition and webhook admit it, or both refuse it.
async fn refusal<K>(api: &Api<DynamicObject>, client: &Client, object: &Value) -> anyhow::Result<Vec<String>>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let definition = by_definition(api.create(&dry, &serde_json::from_value(object.clone())?).await)?;
    let webhook = asked::<K>(client, object, None).await?;
    anyhow::ensure!(
        definition.is_some() == webhook.is_some(),
        "definition and webhook differ on {object}:\ndefinition: {definition:?}\nwebhook: {webhook:?}"
    );
    let Some(status) = webhook else {
        return Ok(Vec::new());
    };
    let malformed = asked_to::<K>("mutate", client, object, None).await?;
    let lines = webhook_and_status::violations(malformed.as_ref().unwrap_or(&status));
    anyhow::ensure!(
        !lines.is_empty(),
        "a refusal without causes: {malformed:?} {status}"
    );
    Ok(lines)
}

/// How many of these objects are admitted. Each is judged by itself, some at the same time; lint judges all of them at once, and says
/// the same of the same fields.
async fn all_agree<K>(
    api: &Api<DynamicObject>,
    client: &Client,
    mut objects: Vec<Value>,
) -> anyhow::Result<usize>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    for object in &mut objects {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
    }
    let refusals = stream::iter(&objects).map(|object| refusal::<K>(api, client, object));
    let mut refusals: Vec<_> = refusals.buffered(AT_ONCE).try_collect().await?;
    let problems = by_lint(&objects).await?;
    for ((object, refusal), mut problems) in objects.iter().zip(&mut refusals).zip(problems) {
        refusal.sort();
        problems.sort();
        anyhow::ensure!(
            *refusal == problems,
            "API server and lint differ on {object}:\nAPI server: {refusal:#?}\nlint: {problems:#?}"
        );
    }
    Ok(refusals.into_iter().filter(Vec::is_empty).count())
}

/// What `kubectl workspace lint` finds in each of these objects with the installation's settings: field and words.
async fn by_lint(objects: &[Value]) -> anyhow::Result<Vec<Vec<String>>> {
    let manifests: Vec<_> = objects.iter().map(Value::to_string).collect();
    let environment = Environment::get()?;
    let maps = Api::<ConfigMap>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let map = maps.get(&format!("{}-settings", environment.release)).await?;
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("settings.yaml");
    std::fs::write(&settings, &map.data.unwrap_or_default()["settings.yaml"])?;
    let settings = settings.display().to_string();
    let lint = [
        "workspace",
        "lint",
        "-",
        "--output",
        "json",
        "--settings",
        &settings,
    ];
    let outcome = administer_with(&lint, &manifests.join("\n---\n")).await?;
    let report: Value = serde_json::from_str(&outcome.stdout).with_context(|| format!("{outcome:?}"))?;
    anyhow::ensure!(report["checked"] == objects.len(), "{report}");
    let mut found = vec![Vec::new(); objects.len()];
    for problem in report["problems"].as_array().into_iter().flatten() {
        let number = problem["document"]
            .as_u64()
            .context("a problem without document")?;
        let at = usize::try_from(number)?.checked_sub(1);
        let of_object = at
            .and_then(|at| found.get_mut(at))
            .with_context(|| problem.to_string())?;
        let text = |key: &str| problem[key].as_str().unwrap_or_default();
        of_object.push(format!("{}: {}", text("field"), text("message")));
    }
    Ok(found)
}

/// Both results must have occurred, or nothing was compared.
fn both_came_up(admitted: usize, all: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        admitted > 0 && admitted < all,
        "{admitted} of {all} were admitted"
    );
    Ok(())
}

#[tokio::test]
async fn crd_webhook_and_lint_agree_on_objects_of_every_kind() -> anyhow::Result<()> {
    let scratch = Scratch::new("agreement", &[]).await?;
    Box::pin(templates::agree()).await.context("templates")?;
    Box::pin(workspaces::agree(&scratch))
        .await
        .context("workspaces")?;
    Box::pin(changes::agree(&scratch))
        .await
        .context("changes of workspaces")?;
    Box::pin(shares::agree(&scratch)).await.context("shares")?;
    Box::pin(catalog::agree_on_managers(&scratch))
        .await
        .context("managers")?;
    Box::pin(catalog::agree_on_profiles(&scratch))
        .await
        .context("profiles")?;
    scratch.finish().await
}

#[tokio::test]
async fn webhook_and_status_agree_on_objects_of_every_kind() -> anyhow::Result<()> {
    let scratch = Scratch::new("messages", &[]).await?;
    Box::pin(webhook_and_status_of_catalog::agree_on_templates(&scratch))
        .await
        .context("templates")?;
    Box::pin(webhook_and_status_of_catalog::agree_on_managers(&scratch))
        .await
        .context("managers")?;
    Box::pin(webhook_and_status::agree_on_profiles(&scratch))
        .await
        .context("profiles")?;
    Box::pin(webhook_and_status_of_shares::agree(&scratch))
        .await
        .context("shares")?;
    Box::pin(webhook_and_status::agree_on_workspaces(&scratch))
        .await
        .context("workspaces")?;
    let manager = scratch.namespace.clone();
    template::finish(scratch).await?;
    webhook_and_status_of_shares::forget(&manager).await
}
