//! The chart -> renderings by both Helms, for every example, part and scope (IO: runs `helm`).

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, ensure};
use e2e::command::shell::{Helm, Shell};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::server::chart;

/// Namespace of the release.
pub(crate) const NAMESPACE: &str = "jupyter-k8s-system";
/// Processes of Helm at a time.
const AT_ONCE: usize = 2;
/// Parts that can be off.
const PARTS: [&str; 6] = [
    "proxy.enabled",
    "gateway.enabled",
    "portal.enabled",
    "manager.enabled",
    "identity.enabled",
    "rbac.create",
];
/// Which parts need which others: a combination without these is refused by the chart.
const NEEDS: [(&str, &str); 6] = [
    ("proxy.enabled", "gateway.enabled"),
    ("manager.enabled", "gateway.enabled"),
    ("identity.enabled", "gateway.enabled"),
    ("identity.enabled", "proxy.enabled"),
    ("portal.enabled", "gateway.enabled"),
    ("portal.enabled", "proxy.enabled"),
];
/// Combinations that these leave: with all four of proxy, gateway, portal and manager, and so on, each with roles and without.
pub(crate) const COMBINATIONS: usize = 2 * (1 + 8 + 2);

/// Values that every installation needs, but for its identity provider.
const BASE: &str = "--set image.registry=registry.example.com/jupyter-k8s --set routing.baseDomain=workspaces.example.org \
                    --set proxy.tls.secretName=tls";
const ISSUER: &str = "--set oidc.issuerUrl=https://id.example.com/realm";

/// What Helm renders for some values.
pub(crate) struct Rendering {
    pub(crate) name: String,
    pub(crate) objects: Vec<Value>,
}

/// Values, and whose they are.
struct Values {
    name: String,
    /// Arguments of `helm template`.
    arguments: String,
}

/// All renderings, which both Helms agree about.
pub(crate) async fn all() -> anyhow::Result<Vec<Rendering>> {
    let (three, four) = (Shell::new(Helm::Three)?, Shell::new(Helm::Four)?);
    let mut sources = examples()?;
    sources.extend(combinations(&three, &four)?);
    sources.extend(scopes());
    sources.extend(others()?);
    let rendered = stream::iter(sources).map(|values| rendering(&three, &four, values));
    rendered.buffered(AT_ONCE).try_collect().await
}

async fn rendering(three: &Shell, four: &Shell, values: Values) -> anyhow::Result<Rendering> {
    let command = format!(
        "helm template jupyter-k8s {} --namespace {NAMESPACE} {}",
        chart()?.display(),
        values.arguments
    );
    let objects = objects(&three.run(&command).await?)?;
    let others = self::objects(&four.run(&command).await?)?;
    let (one, other) = (texts(&objects), texts(&others));
    let difference: Vec<_> = one.symmetric_difference(&other).collect();
    ensure!(
        difference.is_empty(),
        "{}: Helm 3 and Helm 4 render different objects: {difference:?}",
        values.name
    );
    Ok(Rendering {
        name: values.name,
        objects,
    })
}

/// Objects of a stream of YAML.
pub(crate) fn objects(yaml: &str) -> anyhow::Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    Ok(all.into_iter().filter(|object| !object.is_null()).collect())
}

/// The same as texts, in no order.
pub(crate) fn texts(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().map(Value::to_string).collect()
}

/// Every example, the local cluster's values, and those of the one-file installation.
fn examples() -> anyhow::Result<Vec<Values>> {
    let chart = chart()?;
    let folder = chart.join("examples");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    ensure!(!files.is_empty(), "no examples in {}", folder.display());
    files.push(chart.join("values-local.yaml"));
    let mut all: Vec<Values> = files
        .iter()
        .map(|file| Values {
            name: file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            arguments: format!("-f {}", file.display()),
        })
        .collect();
    all.push(Values {
        name: "install-values.yaml".to_owned(),
        arguments: format!(
            "-f {} --set image.registry=registry.example.com/jupyter-k8s",
            chart.join("ci/install-values.yaml").display()
        ),
    });
    Ok(all)
}

/// Every combination of parts that the chart accepts. The values are in files of both shells.
fn combinations(three: &Shell, four: &Shell) -> anyhow::Result<Vec<Values>> {
    let all = (0..1_u32 << PARTS.len()).map(|bits| {
        let is_off = |(at, part): (usize, &'static str)| (bits >> at & 1 == 1).then_some(part);
        PARTS
            .into_iter()
            .enumerate()
            .filter_map(is_off)
            .collect::<Vec<_>>()
    });
    let works = |off: &Vec<&str>| {
        let lacks = |(part, other): &(&str, &str)| !off.contains(part) && off.contains(other);
        !NEEDS.iter().any(lacks)
    };
    let values = all.filter(works).enumerate().map(|(number, off)| {
        let file = format!("combination-{number}.json");
        for shell in [three, four] {
            shell.write(&file, combination(&off).to_string())?;
        }
        Ok(Values {
            name: format!("without {off:?}"),
            arguments: format!("-f {file}"),
        })
    });
    let values = values.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(values.len() == COMBINATIONS, "{} combinations", values.len());
    Ok(values)
}

/// Values with these parts off and as much as possible of the others on.
fn combination(off: &[&str]) -> Value {
    let issuer = if off.contains(&"identity.enabled") {
        "https://id.example.com/realm"
    } else {
        ""
    };
    let mut values = json!({
        "image": {"registry": "registry.example.com/jupyter-k8s", "pullSecrets": ["registry"]},
        "routing": {"baseDomain": "workspaces.example.org"},
        "proxy": {"tls": {"secretName": "tls"}},
        "oidc": {"issuerUrl": issuer},
        "identity": {"host": "id.example.net", "accounts": [{"username": "alice", "groups": ["staff"]}]},
        "networkPolicy": {"apiServer": {"networks": ["10.0.0.1"]}, "metricsNamespaces": ["monitoring"]},
        "monitoring": {
            "podMonitor": {"enabled": true}, "prometheusRule": {"enabled": true}, "grafanaDashboard": {"enabled": true},
        },
        "userNamespaces": [{
            "name": "team-a", "users": ["alice"], "disruptionBudget": true, "logs": true,
            "quota": {"workspaces": 20, "requests.cpu": "40"}, "limits": {"default": {"cpu": "1", "memory": "1Gi"}},
        }],
    });
    for part in PARTS {
        if let Some((section, key)) = part.split_once('.') {
            values[section][key] = json!(!off.contains(&part));
        }
    }
    values
}

/// Both halves of an installation in one namespace, together and apart.
fn scopes() -> Vec<Values> {
    let half = |objects: &str| Values {
        name: format!("scope Namespace, objects {objects}"),
        arguments: format!("{BASE} {ISSUER} --set scope=Namespace --set objects={objects}"),
    };
    ["All", "Cluster", "Namespace"].map(half).into()
}

/// What no example and no combination has.
fn others() -> anyhow::Result<Vec<Values>> {
    let pods = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rendered/pods.json");
    let (values, schema) = (json_file(pods)?, json_file(chart()?.join("values.schema.json"))?);
    let keys = |value: &Value| -> BTreeSet<String> {
        value
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys().cloned())
            .collect()
    };
    let (set, all) = (
        keys(&values["pods"]),
        keys(&schema["definitions"]["pods"]["properties"]),
    );
    ensure!(set == all, "{pods} sets {set:?}, and the keys are {all:?}");
    let route = "--set proxy.tlsRoute.enabled=true --set 'proxy.tlsRoute.parentRefs[0].name=edge'";
    Ok([
        ("behind a TLSRoute", format!("{ISSUER} {route}")),
        (
            "without network policies",
            format!("{ISSUER} --set networkPolicy.enabled=false"),
        ),
        ("routing mode Path", format!("{ISSUER} --set routing.mode=Path")),
        ("every key of pods", format!("-f {pods}")),
    ]
    .map(|(name, more)| Values {
        name: name.to_owned(),
        arguments: format!("{BASE} {more}"),
    })
    .into())
}

fn json_file(path: impl AsRef<Path>) -> anyhow::Result<Value> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}
