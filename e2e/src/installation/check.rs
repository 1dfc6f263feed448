//! The Pod of `helm test` with a change -> the lines that it prints (IO).
//!
//! One test at a time: its account has one name in each release.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, LogParams, PostParams},
};
use serde_json::{Deserializer, Value, json};

use crate::{
    Environment, cluster,
    command::{administer_with, administered},
    installation::release,
    wait,
};

/// Arguments about the workspace that the release's own test creates.
const OF_THE_WORKSPACE: [&str; 3] = ["--workspace-namespace=", "--workspace-template=", "--delete-disk"];
/// Label of all objects of the Pod.
const COMPONENT: &str = "app.kubernetes.io/component=tests";

/// The Pod of `helm test`, with the objects that it needs.
#[derive(Debug)]
pub struct Check {
    pod: Value,
    objects: String,
}

impl Check {
    /// Renders them.
    ///
    /// # Errors
    /// The chart has no such Pod.
    pub async fn render() -> anyhow::Result<Self> {
        let files = ["templates/tests/check.yaml", "templates/rbac/tests.yaml"];
        let yaml = release::render_files(&files).await?;
        let json = administered(
            &["create", "--dry-run=client", "--output=json", "--filename=-"],
            &yaml,
        )
        .await?;
        let parsed: Vec<Value> = Deserializer::from_str(&json)
            .into_iter()
            .collect::<Result<_, _>>()?;
        let all = parsed
            .into_iter()
            .flat_map(|object| match object["items"].as_array().cloned() {
                Some(items) => items,
                None => vec![object],
            });
        let (pods, others): (Vec<Value>, Vec<Value>) = all.partition(|object| object["kind"] == "Pod");
        Ok(Self {
            pod: pods
                .into_iter()
                .next()
                .context("the chart has no Pod for helm test")?,
            objects: json!({"apiVersion": "v1", "kind": "List", "items": others}).to_string(),
        })
    }

    /// Creates what the Pod needs. [`Self::remove`] takes it away.
    ///
    /// # Errors
    /// The API server refuses an object.
    pub async fn apply(&self) -> anyhow::Result<()> {
        administered(&["apply", "--filename=-"], &self.objects)
            .await
            .map(drop)
    }

    /// User name of the Pod's account.
    ///
    /// # Errors
    /// The Pod has no account.
    pub fn user(&self) -> anyhow::Result<String> {
        let account = self.pod["spec"]["serviceAccountName"].as_str();
        let namespace = &Environment::get()?.system_namespace;
        let account = account.context("the Pod of helm test has no account")?;
        Ok(format!("system:serviceaccount:{namespace}:{account}"))
    }

    /// Runs the Pod with a change, which must fail, and returns its lines. `name`: end of the Pod's name.
    ///
    /// # Errors
    /// The Pod succeeds, or does not end.
    pub async fn failure(
        &self,
        name: &str,
        change: impl FnOnce(&mut ChangedPod) -> anyhow::Result<()>,
    ) -> anyhow::Result<Lines> {
        let name = format!("{}-check-{name}", Environment::get()?.release);
        let mut pod = ChangedPod(self.pod.clone());
        pod.0["metadata"]["name"] = json!(name);
        pod.0["metadata"]["annotations"] = Value::Null;
        change(&mut pod)?;
        let pods: Api<Pod> = Api::namespaced(cluster::admin().await?, &Environment::get()?.system_namespace);
        pods.create(&PostParams::default(), &serde_json::from_value(pod.0)?)
            .await?;
        let ended = wait::until(&format!("{name} to end"), wait::USUAL, || async {
            let pod = pods.get(&name).await.map_err(|error| error.to_string())?;
            let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
            ["Succeeded", "Failed"]
                .contains(&phase.as_str())
                .then(|| phase.clone())
                .ok_or(phase)
        })
        .await;
        let log = pods.logs(&name, &LogParams::default()).await;
        pods.delete(&name, &DeleteParams::default()).await?;
        let (ended, log) = (ended?, log?);
        ensure!(ended == "Failed", "{name} succeeds: {log}");
        Ok(Lines(log))
    }

    /// Deletes what the Pod needs, and checks that nothing of it is left.
    ///
    /// # Errors
    /// Something is left.
    pub async fn remove(&self) -> anyhow::Result<()> {
        let gone = administer_with(&["delete", "--ignore-not-found", "--filename=-"], &self.objects).await?;
        ensure!(gone.code == 0, "{}", gone.stderr);
        let kinds = "serviceaccounts,networkpolicies,roles,rolebindings";
        let list = ["get", kinds, "-A", "-l", COMPONENT, "--output=name"];
        let left = administered(&list, "").await?;
        ensure!(left.trim().is_empty(), "left behind: {left}");
        let name = format!("{}-tests", Environment::get()?.release);
        let list = ["get", "workspaces", "-A", "--output=name"];
        let left = administered(&list, "").await?;
        let suffix = format!("/{name}");
        ensure!(
            !left.lines().any(|line| line.ends_with(&suffix)),
            "left behind: {left}"
        );
        Ok(())
    }
}

/// The Pod before its creation.
#[derive(Debug)]
pub struct ChangedPod(Value);

impl ChangedPod {
    /// Adds arguments, each in place of those of the same flag.
    ///
    /// # Errors
    /// The Pod has no arguments.
    pub fn set(&mut self, arguments: &[&str]) -> anyhow::Result<()> {
        for argument in arguments {
            let flag = argument.split_once('=').map_or(*argument, |(flag, _)| flag);
            let flag = format!("{flag}=");
            self.arguments()?
                .retain(|one| !one.as_str().unwrap_or_default().starts_with(&flag));
        }
        self.arguments()?
            .extend(arguments.iter().map(|argument| json!(argument)));
        Ok(())
    }

    /// Leaves out the workspace that the release's own test creates.
    ///
    /// # Errors
    /// The Pod has no arguments.
    pub fn without_workspace(&mut self) -> anyhow::Result<()> {
        self.arguments()?.retain(|one| {
            let one = one.as_str().unwrap_or_default();
            !OF_THE_WORKSPACE.iter().any(|left_out| one.starts_with(left_out))
        });
        Ok(())
    }

    /// Leaves out the check that calls the webhook.
    ///
    /// # Errors
    /// The Pod has no arguments.
    pub fn without_admission(&mut self) -> anyhow::Result<()> {
        self.without_workspace()?;
        self.set(&["--without=webhook"])
    }

    /// Leads this host to this address.
    pub fn resolve(&mut self, host: &str, address: &str) {
        self.0["spec"]["hostAliases"] = json!([{"ip": address, "hostnames": [host]}]);
    }

    /// Mounts another Secret in place of the source of this volume.
    ///
    /// # Errors
    /// The Pod has no such volume.
    pub fn mount(&mut self, volume: &str, secret: &str) -> anyhow::Result<()> {
        let mut volumes = self.0["spec"]["volumes"].as_array_mut().into_iter().flatten();
        let found = volumes.find(|found| found["name"] == volume);
        let found = found.with_context(|| format!("the Pod of helm test has no volume {volume}"))?;
        *found = json!({"name": volume, "secret": {"secretName": secret}});
        Ok(())
    }

    fn arguments(&mut self) -> anyhow::Result<&mut Vec<Value>> {
        let arguments = self.0["spec"]["containers"][0]["args"].as_array_mut();
        arguments.context("the Pod has no arguments")
    }
}

/// What the Pod printed.
#[derive(Debug)]
pub struct Lines(String);

impl Lines {
    /// Checks that the line about `check` begins with `result`, such as `FAIL`, and contains all `parts`.
    ///
    /// # Errors
    /// There is no such line.
    pub fn say(&self, result: &str, check: &str, parts: &[&str]) -> anyhow::Result<()> {
        let beginning = format!("{result:<5} {check:<12} ");
        let line = self.0.lines().find(|line| line.starts_with(&beginning));
        let line = line.with_context(|| format!("no line {beginning:?}: {}", self.0))?;
        for part in parts {
            ensure!(line.contains(part), "no {part:?}: {line}");
        }
        Ok(())
    }
}
