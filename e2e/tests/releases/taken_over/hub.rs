//! Homes of a hub, taken over by the printed steps, and given back as docs/coming-over.md says.
//!
//! The hub is this test's: a chart with the names of zero-to-jupyterhub's, of a Deployment, its disk and the Secret of the servers' files.

use std::{fs, path::Path};

use anyhow::Context as _;
use api::WorkspaceTemplate;
use e2e::{
    Environment,
    cluster::{self, Scratch, exec, is_ready},
    command::{self, administered, apply, shell::Helm},
    objects::template,
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Secret},
    rbac::v1::Role,
};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use super::{
    WRITE,
    printed::{Steps, commands_of, way_back},
    ready_pod, sum_in,
};

/// Claims, with user and named server.
const HOMES: [(&str, &str, &str); 3] = [
    ("claim-alice", "alice", ""),
    ("claim-alice--lab", "alice", "lab"),
    ("claim-bob", "bob", ""),
];
const DATABASE: &str = "cat /srv/jupyterhub/jupyterhub.sqlite";
/// What the values call a credential, and what is typed for it.
const TYPED: &str = "typed-9";

#[tokio::test]
async fn homes_of_a_hub_are_taken_over_and_given_back_by_the_printed_steps() -> anyhow::Result<()> {
    let scratch = Scratch::new("hub-replaced", &["alice"]).await?;
    let release = scratch.namespace.clone();
    let roles = [
        "delete",
        "clusterrole,clusterrolebinding",
        super::IMPORTER,
        "--ignore-not-found",
    ];
    let forget = async { administered(&roles, "").await.map(drop) };
    always(Box::pin(replace(&scratch, &release)), forget).await?;
    scratch.finish().await?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    for made in templates.list(&ListParams::default()).await? {
        if made.name_any().starts_with("z2jh-") {
            template::forget(&made.name_any()).await?;
        }
    }
    Ok(())
}

async fn replace(scratch: &Scratch, release: &str) -> anyhow::Result<()> {
    let namespace = scratch.namespace.as_str();
    let folder = tempfile::tempdir()?;
    write_chart(&folder.path().join("chart"))?;
    let prelude = format!("helm() {{ '{}' \"$@\"; }}\n", Helm::Three.program()?.display());
    let install = format!(
        "helm upgrade --install {release} {}/chart -n {namespace} --wait --timeout 2m\n",
        folder.path().display()
    );
    command::shell_by(&Environment::get()?.kubeconfig, &format!("{prelude}{install}")).await?;
    let claims: Vec<_> = HOMES.iter().map(|home| claim(namespace, *home)).collect();
    apply(&claims).await?;
    let mut sums = Vec::new();
    for (claim, ..) in HOMES {
        sums.push(sum_of_server(scratch, claim).await?);
    }
    let database = in_hub(scratch, DATABASE).await?;
    let steps = import(scratch, folder.path(), &prelude).await?;
    let policies = policies(scratch).await?;

    // Until the hub is taken away, and back.
    let (begin, _) = steps.split("Take the hub away")?;
    for step in begin {
        let done = steps.answer(step, &format!("{TYPED}\n")).await?;
        if step.title.starts_with("Start each once") {
            let files = done.lines().filter(|line| *line == "data").count();
            assert_eq!(files, HOMES.len(), "{done}");
        }
    }
    assert_eq!(secret(scratch, "imported-z2jh", "API_TOKEN").await?, TYPED);
    assert_eq!(secret(scratch, "imported-z2jh-files", "settings").await?, "{}");
    let stop = commands_of("## Way back")?;
    let start = way_back("| `z2jh`, `--hub replace` | \"Take the hub away\" | ")?;
    steps
        .bash(&format!("{stop}{}", start.replace("NAMESPACE", namespace)), "")
        .await?;
    steps.give_back().await?;
    let roles = Api::<Role>::namespaced(cluster::admin().await?, namespace);
    let roles = roles.list_metadata(&ListParams::default()).await?;
    let mut roles = roles.iter().map(ResourceExt::name_any);
    assert_eq!(roles.find(|name| name.starts_with("imported-")), None);
    assert_eq!(in_hub(scratch, DATABASE).await?, database);
    for ((claim, ..), sum) in HOMES.iter().zip(&sums) {
        assert_eq!(&sum_of_server(scratch, claim).await?, sum, "{claim}");
    }
    assert_eq!(self::policies(scratch).await?, policies);

    // Each step may be run again, now to the end; and back once more, with the copy of the hub's database.
    for step in &steps.all {
        if step.title.starts_with("Take the hub away") {
            steps
                .bash(&format!("helm uninstall {release} -n {namespace} --wait\n"), "")
                .await?;
            let phases = steps.check(step).await?;
            assert_eq!(phases.lines().collect::<Vec<_>>(), ["Bound"; HOMES.len()]);
        } else {
            steps.answer(step, &format!("{TYPED}\n")).await?;
        }
    }
    assert_eq!(self::policies(scratch).await?, policies);
    steps
        .bash(
            &format!(
                "{stop}{install}kubectl -n {namespace} scale deployment hub --replicas=0 --timeout=2m\n"
            ),
            "",
        )
        .await?;
    let echo = &Environment::get()?.images.echo;
    let copy = commands_of("### The hub's database")?;
    steps
        .bash(
            &copy.replace("NAMESPACE", namespace).replace("busybox:1", echo),
            "",
        )
        .await?;
    assert_eq!(in_hub(scratch, DATABASE).await?, database);
    for ((claim, ..), sum) in HOMES.iter().zip(&sums) {
        assert_eq!(&sum_of_server(scratch, claim).await?, sum, "{claim}");
    }
    Ok(())
}

/// Imports the hub's values and claims.
async fn import(scratch: &Scratch, folder: &Path, prelude: &str) -> anyhow::Result<Steps> {
    let values = json!({"singleuser": {
        "memory": {"limit": "256M", "guarantee": "64M"}, "cpu": {"limit": 1, "guarantee": 0.05},
        "extraEnv": {"API_TOKEN": "in-the-values"},
        "extraFiles": {"settings": {"mountPath": "/etc/settings.json", "stringData": "{}"}},
        "profileList": [{"display_name": "Echo", "kubespawner_override": {"image": Environment::get()?.images.echo}}],
    }});
    fs::write(folder.join("values.yaml"), values.to_string())?;
    let claims = administered(&["get", "pvc", "-n", &scratch.namespace, "-o", "json"], "").await?;
    fs::write(folder.join("pvcs.json"), claims)?;
    let [values, claims, out] =
        ["values.yaml", "pvcs.json", "out"].map(|name| folder.join(name).display().to_string());
    let words = [
        "workspace",
        "import",
        "z2jh",
        "--hub",
        "replace",
        "--user-prefix",
        "",
        "-f",
        &values,
        "-f",
        &claims,
        "--dir",
        &out,
    ];
    let imported = command::administer(&words).await?;
    assert_eq!(imported.code, 0, "{imported:?}");
    Steps::of(Path::new(&out), prelude)
}

/// A claim as a hub makes it.
fn claim(namespace: &str, (name, user, server): (&str, &str, &str)) -> Value {
    let mut annotations = json!({"hub.jupyter.org/username": user});
    if !server.is_empty() {
        annotations["hub.jupyter.org/servername"] = json!(server);
    }
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations, "labels": {"component": "singleuser-storage"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
    })
}

/// Starts a server as the hub does, unless it runs: the sum of the file that it finds, or writes.
async fn sum_of_server(scratch: &Scratch, claim: &str) -> anyhow::Result<String> {
    let name = claim.replace("claim-", "jupyter-");
    let mut pod = cluster::restricted_pod(
        &name,
        json!({
            "image": Environment::get()?.images.echo, "imagePullPolicy": "Never",
            "command": ["sh", "-c", format!("{WRITE}; exec sleep 3600")],
            "volumeMounts": [{"name": "home", "mountPath": "/home/jovyan"}],
            "readinessProbe": {"exec": {"command": ["test", "-e", "/home/jovyan/data"]}, "periodSeconds": 1},
        }),
        &json!([{"name": "home", "persistentVolumeClaim": {"claimName": claim}}]),
    );
    pod["metadata"]["namespace"] = json!(scratch.namespace);
    pod["metadata"]["labels"] = json!({"component": "singleuser-server"});
    apply(&[pod]).await?;
    let pods = scratch.api::<Pod>();
    wait::until("the server to be ready", wait::USUAL, || async {
        let found = pods.get(&name).await.map_err(|error| error.to_string())?;
        if is_ready(&found) {
            Ok(())
        } else {
            Err(format!("{:?}", found.status))
        }
    })
    .await?;
    sum_in(&pods, &name).await
}

/// Runs a line of shell in the hub, once it is ready.
async fn in_hub(scratch: &Scratch, line: &str) -> anyhow::Result<String> {
    let pods = scratch.api::<Pod>();
    let pod = ready_pod(&pods, "component=hub").await?;
    exec(&pods, &pod, &["sh", "-c", line]).await
}

async fn secret(scratch: &Scratch, name: &str, key: &str) -> anyhow::Result<String> {
    let found = scratch.api::<Secret>().get(name).await?.data.unwrap_or_default();
    let value = found.get(key).with_context(|| format!("{name} has no {key}"))?;
    Ok(String::from_utf8(value.0.clone())?)
}

/// Reclaim policies of the homes' volumes.
async fn policies(scratch: &Scratch) -> anyhow::Result<Vec<Option<String>>> {
    let volumes = Api::<PersistentVolume>::all(cluster::admin().await?);
    let mut policies = Vec::new();
    for (claim, ..) in HOMES {
        let claim = scratch.api::<PersistentVolumeClaim>().get(claim).await?;
        let name = claim
            .spec
            .and_then(|spec| spec.volume_name)
            .context("no volume")?;
        let volume = volumes.get(&name).await?;
        policies.push(volume.spec.and_then(|spec| spec.persistent_volume_reclaim_policy));
    }
    Ok(policies)
}

/// The chart: its hub writes its database once.
fn write_chart(folder: &Path) -> anyhow::Result<()> {
    let mut pod = cluster::restricted_pod(
        "hub",
        json!({
            "image": Environment::get()?.images.echo, "imagePullPolicy": "Never", "workingDir": "/srv/jupyterhub",
            "command": ["sh", "-c", "test -e jupyterhub.sqlite || date +%s%N > jupyterhub.sqlite; exec sleep 3600"],
            "volumeMounts": [{"name": "db", "mountPath": "/srv/jupyterhub"}],
            "readinessProbe": {"exec": {"command": ["test", "-s", "jupyterhub.sqlite"]}, "periodSeconds": 1},
        }),
        &json!([{"name": "db", "persistentVolumeClaim": {"claimName": "hub-db-dir"}}]),
    );
    let labels = json!({"component": "hub"});
    let objects = [
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "hub-db-dir"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
        }),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "singleuser"}, "stringData": {"settings": "{}"}}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hub"},
            "spec": {
                "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod["spec"].take()},
            },
        }),
    ];
    let templates = folder.join("templates");
    fs::create_dir_all(&templates)?;
    fs::write(
        folder.join("Chart.yaml"),
        "{apiVersion: v2, name: jupyterhub, version: 4.0.0}\n",
    )?;
    let objects: Vec<_> = objects.iter().map(Value::to_string).collect();
    Ok(fs::write(templates.join("hub.yaml"), objects.join("\n---\n"))?)
}
