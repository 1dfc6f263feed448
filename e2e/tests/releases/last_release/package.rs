//! The chart of the last release in `charts/released` -> the installed release (IO).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use e2e::{Environment, cluster, installation::release};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Components whose pods another version's images would replace.
const SERVERS: [&str; 4] = ["gateway", "operator", "proxy", "webhook"];

/// The package, and values files of the installation that it accepts.
pub(crate) struct Package {
    pub(crate) chart: PathBuf,
    pub(crate) has_portal: bool,
    values: Vec<PathBuf>,
    _files: TempDir,
}

impl Package {
    /// The one in the tree.
    pub(crate) async fn kept() -> anyhow::Result<Self> {
        let chart = package(&this_chart()?.with_file_name("released"))?;
        let defaults: Value = serde_saphyr::from_str(&release::show("values", &chart).await?)?;
        let files = tempfile::tempdir()?;
        let mut all = Vec::new();
        for file in &Environment::get()?.values {
            let values = serde_saphyr::from_str(&fs::read_to_string(file)?)?;
            all.push(with_known_keys(values, &defaults));
        }
        all.push(of_another_version(&defaults));
        let write = |(number, values): (usize, Value)| {
            let file = files.path().join(format!("{number}.json"));
            fs::write(&file, values.to_string())?;
            anyhow::Ok(file)
        };
        let values = all.into_iter().enumerate().map(write);
        Ok(Self {
            chart,
            has_portal: defaults["portal"]["enabled"] == true,
            values: values.collect::<Result<_, _>>()?,
            _files: files,
        })
    }

    /// Makes the release the last one. What servers of this build made for their own parts goes, too.
    pub(crate) async fn install(&self) -> anyhow::Result<()> {
        release::replace_by(&self.chart, &self.values).await?;
        if self.has_portal {
            return Ok(());
        }
        let environment = Environment::get()?;
        let secrets = Api::<Secret>::namespaced(cluster::admin().await?, &environment.system_namespace);
        let certificate = format!("{}-portal-tls", environment.release);
        secrets.delete(&certificate, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// The chart of this build.
pub(crate) fn this_chart() -> anyhow::Result<&'static Path> {
    let chart = Environment::get()?.chart.as_deref();
    chart.context("the installation does not say where its chart is: run `./justw demo` again")
}

/// The only package in a folder.
fn package(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        packages.extend(path.extension().is_some_and(|end| end == "tgz").then_some(path));
    }
    ensure!(packages.len() == 1, "not one package: {packages:?}");
    Ok(packages.remove(0))
}

/// Values without the keys, images, settings and nulls that a chart with these defaults does not have (pure).
fn with_known_keys(mut values: Value, defaults: &Value) -> Value {
    keep(Some(&mut values), defaults);
    for section in ["images", "settings"] {
        keep(values.get_mut(section), &defaults[section]);
    }
    without_needless_nulls(&mut values, defaults);
    values
}

/// A null removes a default of the chart. Where there is none, the chart refuses it.
fn without_needless_nulls(values: &mut Value, defaults: &Value) {
    if let Some(map) = values.as_object_mut() {
        map.retain(|key, value| !value.is_null() || defaults.get(key).is_some());
        for (key, value) in map {
            without_needless_nulls(value, &defaults[key.as_str()]);
        }
    }
}

fn keep(values: Option<&mut Value>, known: &Value) {
    if let Some(map) = values.and_then(Value::as_object_mut) {
        map.retain(|key, _| known.get(key).is_some());
    }
}

/// Values that change pods as other images would, and name the images of this build by tag: a published chart has digests (pure).
fn of_another_version(defaults: &Value) -> Value {
    let images = defaults["images"].as_object().into_iter().flatten();
    let images: Value = images
        .map(|(name, _)| (name.clone(), json!({"digest": ""})))
        .collect();
    let mut values: Value = SERVERS
        .iter()
        .map(|server| (*server, json!({"annotations": {"e2e.test/release": "last"}})))
        .collect();
    values["images"] = images;
    values
}
