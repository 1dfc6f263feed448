//! The command of `helm test` where one thing is wrong: its line says what, and what to do.

use anyhow::{Context as _, ensure};
use e2e::{Environment, cluster, command::administer_with, finally::always, release, wait};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api,
    api::{DeleteParams, LogParams, PostParams},
};
use serde_json::{Deserializer, Value, json};

/// What a check with access to all but workspaces leaves out.
const WITHOUT_WORKSPACE: [&str; 4] = [
    "--workspace-namespace=",
    "--workspace-template=",
    "--delete-disk",
    "--webhook-port=",
];

/// The Pod of `helm test`, with the objects that it needs.
struct Check {
    pod: Value,
    objects: String,
}

impl Check {
    /// Creates what the Pod needs.
    async fn new() -> anyhow::Result<Self> {
        let files = ["templates/tests/check.yaml", "templates/rbac/tests.yaml"];
        let yaml = release::render_files(&files).await?;
        let json = administer_with(
            &["create", "--dry-run=client", "--output=json", "--filename=-"],
            &yaml,
        )
        .await?;
        ensure!(json.code == 0, "{}", json.stderr);
        let parsed: Vec<Value> = Deserializer::from_str(&json.stdout)
            .into_iter()
            .collect::<Result<_, _>>()?;
        let all = parsed
            .into_iter()
            .flat_map(|object| match object["items"].as_array().cloned() {
                Some(items) => items,
                None => vec![object],
            });
        let (pods, others): (Vec<Value>, Vec<Value>) = all.partition(|object| object["kind"] == "Pod");
        let check = Self {
            pod: pods
                .into_iter()
                .next()
                .context("the chart has no Pod for helm test")?,
            objects: json!({"apiVersion": "v1", "kind": "List", "items": others}).to_string(),
        };
        let applied = administer_with(&["apply", "--filename=-"], &check.objects).await?;
        ensure!(applied.code == 0, "{}", applied.stderr);
        Ok(check)
    }

    /// The line about `check` of a Pod with this change, and its status at the end.
    async fn line(&self, check: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<String> {
        let name = format!("{}-check-{check}", Environment::get()?.release);
        let mut pod = self.pod.clone();
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["annotations"] = Value::Null;
        change(&mut pod);
        let pods: Api<Pod> = system().await?;
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
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
        ensure!(ended == "Failed", "the check passes: {log}");
        let found = log.lines().find(|line| line.contains(&format!(" {check} ")));
        Ok(found
            .with_context(|| format!("no line about {check}: {log}"))?
            .to_owned())
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let gone = administer_with(&["delete", "--ignore-not-found", "--filename=-"], &self.objects).await?;
        ensure!(gone.code == 0, "{}", gone.stderr);
        Ok(())
    }
}

async fn system<K>() -> anyhow::Result<Api<K>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    let namespace = &Environment::get()?.system_namespace;
    Ok(Api::namespaced(cluster::admin().await?, namespace))
}

fn arguments(pod: &mut Value) -> anyhow::Result<&mut Vec<Value>> {
    let arguments = pod["spec"]["containers"][0]["args"].as_array_mut();
    arguments.context("the Pod has no arguments")
}

/// Adds an argument, in place of the one of the same flag, and leaves the workspace out.
fn with(pod: &mut Value, argument: &str) {
    let Ok(all) = arguments(pod) else { return };
    let flag = argument
        .split_once('=')
        .map_or(argument, |(flag, _)| flag)
        .to_owned()
        + "=";
    all.retain(|one| {
        let one = one.as_str().unwrap_or_default();
        !one.starts_with(&flag) && !WITHOUT_WORKSPACE.iter().any(|left_out| one.starts_with(left_out))
    });
    all.extend([json!(argument), json!("--without=webhook")]);
}

#[tokio::test]
async fn each_line_of_helm_test_fails_for_its_own_reason() -> anyhow::Result<()> {
    let check = Check::new().await?;
    always(Box::pin(failures(&check)), check.remove()).await
}

async fn failures(check: &Check) -> anyhow::Result<()> {
    let line = check
        .line("certificate", |pod| with(pod, "--base-domain=elsewhere.example"))
        .await?;
    for part in ["FAIL", "and not *.elsewhere.example", "(proxy.tls)"] {
        ensure!(line.contains(part), "{line}");
    }
    // A port on which nothing listens.
    let line = check
        .line("provider", |pod| with(pod, "--oidc-connect-to=127.0.0.1:9"))
        .await?;
    for part in ["FAIL", "does not answer", "start it"] {
        ensure!(line.contains(part), "{line}");
    }

    let secrets: Api<Secret> = system().await?;
    let name = format!("{}-check-wrong", Environment::get()?.release);
    let wrong = json!({"metadata": {"name": name}, "stringData": {"clientSecret": "wrong"}});
    secrets
        .create(&PostParams::default(), &serde_json::from_value(wrong)?)
        .await?;
    let line = check
        .line("provider", |pod| {
            with(pod, "--routing-mode=Subdomain");
            for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
                if volume["name"] == "oidc-client" {
                    volume["secret"]["secretName"] = json!(name);
                }
            }
        })
        .await;
    secrets.delete(&name, &DeleteParams::default()).await?;
    let line = line?;
    for part in ["FAIL", "refuses the client", "clientSecretName"] {
        ensure!(line.contains(part), "{line}");
    }
    Ok(())
}
