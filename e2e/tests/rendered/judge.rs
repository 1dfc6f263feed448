//! Rendered objects -> what a real API server says of each, in a dry run (IO).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective},
    core::GroupVersionKind,
    discovery::{self, Scope},
};
use serde_json::{Value, json};

use super::renderings::Rendering;

/// Requests at a time.
const AT_ONCE: usize = 8;
/// Kinds without which others are refused: they are stored.
const STORED: [&str; 3] = ["Namespace", "PriorityClass", "ServiceAccount"];

/// Kinds by API version and name; nothing for those that the server does not have.
type Kinds = BTreeMap<(String, String), Option<(ApiResource, Scope)>>;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// Objects that were accepted.
    pub(crate) accepted: usize,
    /// Kinds that the server does not have.
    pub(crate) unknown: BTreeSet<String>,
    /// Refusals, with the renderings of the object.
    pub(crate) refused: Vec<String>,
}

/// Asks the server about every object. Equal objects of several renderings are asked about once.
pub(crate) async fn judge(client: &Client, renderings: &[Rendering]) -> anyhow::Result<Judgement> {
    let mut objects: BTreeMap<String, (&Value, Vec<&str>)> = BTreeMap::new();
    for rendering in renderings {
        ensure!(!rendering.objects.is_empty(), "{} is empty", rendering.name);
        for object in &rendering.objects {
            let entry = objects.entry(object.to_string());
            entry.or_insert((object, Vec::new())).1.push(&rendering.name);
        }
    }
    make_namespaces(client, objects.values().map(|(object, _)| *object)).await?;
    let kinds = kinds(client, objects.values().map(|(object, _)| *object)).await?;
    for kind in STORED {
        for (object, _) in objects.values().filter(|(object, _)| object["kind"] == kind) {
            let stored = ask(client, &kinds, object, false).await;
            stored.with_context(|| name(object))?;
        }
    }
    let answers = stream::iter(objects.values()).map(async |(object, renderings)| {
        let answer = ask(client, &kinds, object, true).await;
        (*object, renderings, answer)
    });
    let mut judgement = Judgement::default();
    let mut answers = answers.buffer_unordered(AT_ONCE);
    while let Some((object, renderings, answer)) = answers.next().await {
        match answer {
            Ok(true) => judgement.accepted += 1,
            Ok(false) => {
                judgement.unknown.insert(text(object, "kind").to_owned());
            }
            Err(error) => judgement
                .refused
                .push(format!("{} of {renderings:?}: {error:#}", name(object))),
        }
    }
    Ok(judgement)
}

/// Creates the namespaces of objects. Most renderings expect that of the release to exist.
async fn make_namespaces(client: &Client, objects: impl Iterator<Item = &Value>) -> anyhow::Result<()> {
    let names: BTreeSet<_> = objects
        .filter_map(|object| object["metadata"]["namespace"].as_str())
        .collect();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in names {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let parameters = PatchParams::apply("rendered").force();
        namespaces
            .patch(name, &parameters, &Patch::Apply(namespace))
            .await?;
    }
    Ok(())
}

/// Applies an object; whether the server has its kind.
async fn ask(client: &Client, kinds: &Kinds, object: &Value, dry_run: bool) -> anyhow::Result<bool> {
    let kind = kinds.get(&key(object)).context("a kind that was not looked up")?;
    let Some((resource, scope)) = kind else {
        return Ok(false);
    };
    let namespace = object["metadata"]["namespace"].as_str();
    let api: Api<DynamicObject> = match (scope, namespace) {
        (Scope::Cluster, None) => Api::all_with(client.clone(), resource),
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, resource),
        (Scope::Cluster, Some(_)) => anyhow::bail!("it names a namespace, and its kind has none"),
        (Scope::Namespaced, None) => anyhow::bail!("it names no namespace"),
    };
    let parameters = PatchParams {
        dry_run,
        force: true,
        field_manager: Some("rendered".to_owned()),
        // As kubectl and Helm 4: a field that does not exist, or exists twice, is an error.
        field_validation: Some(ValidationDirective::Strict),
    };
    let name = object["metadata"]["name"].as_str().context("it has no name")?;
    api.patch(name, &parameters, &Patch::Apply(object)).await?;
    Ok(true)
}

async fn kinds(client: &Client, objects: impl Iterator<Item = &Value>) -> anyhow::Result<Kinds> {
    let keys: BTreeSet<_> = objects.map(key).collect();
    let mut kinds = Kinds::new();
    for (version, kind) in keys {
        let (group, short) = version.rsplit_once('/').unwrap_or(("", &version));
        let gvk = GroupVersionKind::gvk(group, short, &kind);
        let found = match discovery::pinned_kind(client, &gvk).await {
            Ok((resource, capabilities)) => Some((resource, capabilities.scope)),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(kube::Error::Discovery(_)) => None,
            Err(error) => return Err(error).with_context(|| format!("{version} {kind}")),
        };
        kinds.insert((version, kind), found);
    }
    Ok(kinds)
}

fn key(object: &Value) -> (String, String) {
    (
        text(object, "apiVersion").to_owned(),
        text(object, "kind").to_owned(),
    )
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

fn name(object: &Value) -> String {
    format!("{} {}", text(object, "kind"), text(&object["metadata"], "name"))
}
