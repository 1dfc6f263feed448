//! The bundled provider with a database: both are restarted without an effect for users.

mod broker;
mod connections;
mod database;

use std::{fs, pin::pin, time::Duration};

use anyhow::{Context as _, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::{HttpSession, provider},
    installation::{component, release},
    objects::workspace,
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::sleep;

use broker::Broker;
use database::Database;

/// The component.
const PROVIDER: &str = "identity";
/// Time between two sign-ins of a user while pods are evicted.
const PAUSE: Duration = Duration::from_millis(500);
/// Administers the realm as docs/sign-in.md says. The environment is that of Keycloak's pod.
const ADMINISTER: &str = "export KC_OPTS='-Xmx64m -Duser.home=/tmp' KC_CLI_PASSWORD=$KC_BOOTSTRAP_ADMIN_PASSWORD
/opt/keycloak/bin/kcadm.sh config credentials --server http://localhost:8080 --realm master --user \"$KC_BOOTSTRAP_ADMIN_USERNAME\"
/opt/keycloak/bin/kcadm.sh ";

/// A random value.
fn random() -> anyhow::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?
        .trim()
        .to_owned())
}

#[tokio::test]
async fn with_a_database_users_and_sessions_outlive_every_pod_of_provider_and_database() -> anyhow::Result<()>
{
    let scratch = Scratch::new("identity", &["alice", broker::USER]).await?;
    let password = random()?;
    let database = Database::start(&scratch, &password).await?;
    let broker = Broker::new(random()?, random()?).await?;
    let secrets = Api::<Secret>::namespaced(cluster::admin().await?, &Environment::get()?.system_namespace);
    let name = scratch.namespace.as_str();
    let secret = json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "stringData": {
            "password": password, "username": "admin", "ca.crt": database.authority, "clientSecret": broker.client_secret,
        },
    });
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    let back = async {
        release::upgrade(&[]).await?;
        secrets.delete(name, &DeleteParams::default()).await?;
        Ok(())
    };
    always(Box::pin(with_database(&scratch, &database, &broker)), back).await?;
    scratch.finish().await
}

async fn with_database(scratch: &Scratch, database: &Database<'_>, broker: &Broker) -> anyhow::Result<()> {
    let values = [
        ("database.host", database.host.as_str()),
        ("database.name", "postgres"),
        ("database.passwordSecretName", &scratch.namespace),
        ("database.caSecretName", &scratch.namespace),
        ("adminSecretName", &scratch.namespace),
    ];
    let mut values = values
        .map(|(key, value)| format!("identity.{key}={value}"))
        .to_vec();
    values.extend(broker::values(&scratch.namespace).await?);
    // The local cluster's has no half for a database.
    let image = Environment::get()?.images.reference("identity")?;
    let (_, tag) = image.rsplit_once(':').context("no tag")?;
    values.push(format!("images.identity.tag={tag}"));
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    release::upgrade_with_post_renderer(&values, &broker.edit.program).await?;
    ready_pods(2).await?;
    connections::are_the_provider_s_alone(scratch, database::NAME).await?;

    // alice is in the values. carol is made by the administrator, with an id that the database alone knows.
    let workspaces = Api::<Workspace>::namespaced(cluster::user("alice").await?, &scratch.namespace);
    workspaces
        .create(&PostParams::default(), &workspace::echo("kept")?)
        .await?;
    let url = workspace::url(&workspace::reached(&scratch.api(), "kept", Phase::Running).await?)?;
    let alice = HttpSession::new()?;
    alice.enter(&url, "alice").await?;
    let password = random()?;
    administer("create users -r jupyter -s username=carol -s enabled=true").await?;
    administer(&format!(
        "set-password -r jupyter --username carol --new-password {password}"
    ))
    .await?;
    let carol = HttpSession::new()?;
    let tokens = provider::sign_in(&carol, "carol", &password).await?;
    let subject = provider::subject(&carol, &tokens).await?;
    let brokered = Box::pin(broker.signs_in(scratch)).await?;

    // One replica after the other is killed. The one that is left answers at once, with the sessions of both.
    for pod in ready_pods(2).await? {
        let now = DeleteParams::default().grace_period(0);
        pods().await?.delete(&pod, &now).await?;
        is_still(&carol, &subject).await?;
        let page = alice.open(&url).await?;
        ensure!(page.status() == StatusCode::OK, "{}", page.status());
        ready_pods(2).await?;
    }

    // Each is evicted in turn, and the user is signed in all the time.
    let mut evictions = pin!(component::evict_each(PROVIDER));
    loop {
        let still = async {
            is_still(&carol, &subject).await?;
            sleep(PAUSE).await;
            anyhow::Ok(())
        };
        tokio::select! {
            evicted = &mut evictions => break evicted?,
            still = still => still?,
        }
    }
    is_still(&carol, &subject).await?;
    let page = alice.open(&url).await?;
    ensure!(page.status() == StatusCode::OK, "{}", page.status());

    // All pods at once, and the database's.
    component::scale(PROVIDER, 0).await?;
    database.replace().await?;
    component::scale(PROVIDER, 2).await?;
    is_still(&carol, &subject).await?;
    let again = HttpSession::new()?;
    let tokens = provider::sign_in(&again, "carol", &password).await?;
    ensure!(
        provider::subject(&again, &tokens).await? == subject,
        "carol became another user"
    );
    HttpSession::new()?.enter(&url, "alice").await?;
    broker.is_still(scratch, &brokered).await
}

/// The user of this browser is signed in at the provider without a password, and has the same id as before.
async fn is_still(session: &HttpSession, subject: &str) -> anyhow::Result<()> {
    // The proxy learns a moment later that a pod is gone.
    let found = wait::until("the provider to answer", wait::USUAL, || async {
        let found = async {
            let tokens = provider::signed_in(session).await?;
            provider::subject(session, &tokens).await
        };
        found.await.map_err(|error| format!("{error:#}"))
    });
    let found = found.await?;
    ensure!(found == subject, "{found} is not {subject}");
    Ok(())
}

async fn pods() -> anyhow::Result<Api<Pod>> {
    let namespace = &Environment::get()?.system_namespace;
    Ok(Api::namespaced(cluster::admin().await?, namespace))
}

/// Names of the provider's pods, when so many are ready and no other is left.
async fn ready_pods(number: usize) -> anyhow::Result<Vec<String>> {
    let admin = cluster::admin().await?;
    wait::until(&format!("{number} pods of the provider"), wait::USUAL, || async {
        let pods = cluster::component_pods(admin.clone(), PROVIDER).await;
        let pods = pods.map_err(|error| format!("{error:#}"))?;
        let ready = pods.iter().filter(|pod| cluster::is_ready(pod)).count();
        if pods.len() == number && ready == number {
            Ok(pods.iter().map(kube::ResourceExt::name_any).collect())
        } else {
            Err(format!("{} pods, {ready} ready", pods.len()))
        }
    })
    .await
}

/// Runs a command of Keycloak's administration in one of its pods.
async fn administer(command: &str) -> anyhow::Result<()> {
    let pod = ready_pods(2).await?.into_iter().next().context("no pod")?;
    let script = format!("set -e\n{ADMINISTER}{command}");
    cluster::exec(&pods().await?, &pod, &["/bin/sh", "-c", &script]).await?;
    Ok(())
}
