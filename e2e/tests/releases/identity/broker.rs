//! A second Keycloak realm as a provider behind the bundled one -> its users sign in (IO).

use anyhow::{Context as _, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::{HttpSession, provider},
    objects::workspace,
    wait,
};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::providers::realm::{self, Edit, NAME};

/// A user of the provider behind.
pub(crate) const USER: &str = "erin";
/// A user of both providers.
const SAME_NAME: &str = "alice";
/// The group that users of the provider behind join.
const GROUP: &str = "partners";
/// Where Keycloak finds the authority of the certificate of its own address.
const AUTHORITY: (&str, &str) = ("proxy-ca", "/etc/proxy-ca");

/// The provider behind.
pub(crate) struct Broker {
    password: String,
    pub(crate) client_secret: String,
    pub(crate) edit: Edit,
}

impl Broker {
    pub(crate) async fn new(password: String, client_secret: String) -> anyhow::Result<Self> {
        let accounts = [
            (USER, password.as_str(), "engineers"),
            (SAME_NAME, password.as_str(), "engineers"),
        ];
        let callback = format!("{}/realms/jupyter/broker/{NAME}/endpoint", origin()?);
        let realm = realm::of(&accounts, &client_secret, &callback).await?;
        Ok(Self {
            edit: Edit::adding(&realm)?,
            password,
            client_secret,
        })
    }

    /// A user of the provider behind opens a workspace and gets the broker's group. Returns the id of that user at the bundled provider.
    /// A user with the name of another account is refused.
    pub(crate) async fn signs_in(&self, scratch: &Scratch) -> anyhow::Result<String> {
        let workspaces =
            Api::<Workspace>::namespaced(cluster::acting_as(USER, &[]).await?, &scratch.namespace);
        workspaces
            .create(&PostParams::default(), &workspace::echo("brokered")?)
            .await?;
        workspace::reached(&scratch.api(), "brokered", Phase::Running).await?;
        let session = self.opened(scratch).await?;
        let tokens = provider::signed_in(&session).await?;
        let claims = provider::claims(&session, &tokens).await?;
        ensure!(claims["preferred_username"] == USER, "{claims}");
        ensure!(claims["groups"] == json!([GROUP]), "{claims}");
        let url = url(scratch).await?;
        let taken = HttpSession::new()?;
        let link = link(&taken, &url).await?;
        let refused = taken.sign_in_with(&link, SAME_NAME, &self.password).await;
        let is_taken = matches!(&refused, Err(error) if error.to_string().contains("already exists"));
        ensure!(is_taken, "{refused:?}");
        let tokens = provider::signed_in(&taken).await;
        ensure!(tokens.is_err(), "{SAME_NAME} of the broker has a session");
        Ok(claims["sub"].as_str().context("no subject")?.to_owned())
    }

    /// The user signs in anew, and has the same id as before.
    pub(crate) async fn is_still(&self, scratch: &Scratch, subject: &str) -> anyhow::Result<()> {
        let session = self.opened(scratch).await?;
        let tokens = provider::signed_in(&session).await?;
        let found = provider::subject(&session, &tokens).await?;
        ensure!(found == subject, "{USER} became another user");
        Ok(())
    }

    /// A browser in which the user has opened the workspace.
    async fn opened(&self, scratch: &Scratch) -> anyhow::Result<HttpSession> {
        let url = url(scratch).await?;
        let session = HttpSession::new()?;
        let link = link(&session, &url).await?;
        session.sign_in_with(&link, USER, &self.password).await?;
        wait::until("the workspace to open", wait::USUAL, || async {
            let page = session.open(&url).await.map_err(|error| format!("{error:#}"))?;
            let (status, at) = (page.status(), page.url().to_string());
            let open = status.is_success() && at.starts_with(&url) && page.headers().get("refresh").is_none();
            open.then_some(()).ok_or_else(|| format!("{status} at {at}"))
        })
        .await?;
        Ok(session)
    }
}

/// The values of the chart for it, as `helm upgrade --set` takes them. `secret`: the Secret with the client's secret.
///
/// Keycloak asks the provider behind as any other one, by the address that users know: pods know neither this name nor its authority.
pub(crate) async fn values(secret: &str) -> anyhow::Result<Vec<String>> {
    let environment = Environment::get()?;
    let proxy = format!("{}-proxy", environment.release);
    let services = Api::<Service>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let address = services.get(&proxy).await?.spec.and_then(|spec| spec.cluster_ip);
    let address = address.context("the proxy has no address")?;
    let issuer = format!("{}/realms/{NAME}", origin()?);
    let endpoint = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
    let (volume, folder) = AUTHORITY;
    let values = [
        ("brokers[0].name", NAME),
        ("brokers[0].type", "OpenIDConnect"),
        ("brokers[0].displayName", "Partners"),
        ("brokers[0].clientId", "jupyter-k8s"),
        ("brokers[0].clientSecretName", secret),
        ("brokers[0].groups[0]", GROUP),
        ("brokers[0].issuerUrl", &issuer),
        ("brokers[0].authorizationUrl", &endpoint("auth")),
        ("brokers[0].tokenUrl", &endpoint("token")),
        ("brokers[0].jwksUrl", &endpoint("certs")),
        ("hostAliases[0].ip", &address),
        ("hostAliases[0].hostnames[0]", &environment.identity_host),
        ("extraArgs[0]", &format!("--truststore-paths={folder}/ca.crt")),
        ("extraVolumes[0].name", volume),
        ("extraVolumes[0].secret.secretName", &format!("{proxy}-tls")),
        ("extraVolumes[0].secret.items[0].key", "ca.crt"),
        ("extraVolumes[0].secret.items[0].path", "ca.crt"),
        ("extraVolumeMounts[0].name", volume),
        ("extraVolumeMounts[0].mountPath", folder),
    ];
    let mut values = values
        .map(|(key, value)| format!("identity.{key}={value}"))
        .to_vec();
    values.push("networkPolicy.identityProviders.networks[0]=0.0.0.0/0".to_owned());
    Ok(values)
}

fn origin() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    Ok(environment.origin(&environment.identity_host))
}

async fn url(scratch: &Scratch) -> anyhow::Result<String> {
    workspace::url(&scratch.api().get("brokered").await?)
}

/// Where the page of the bundled provider leads users of the provider behind, in a browser that opens `url`.
async fn link(session: &HttpSession, url: &str) -> anyhow::Result<String> {
    wait::until("the page to offer the broker", wait::USUAL, || async {
        let page = session.open(url).await.map_err(|error| format!("{error:#}"))?;
        let base = page.url().clone();
        let page = page.text().await.map_err(|error| error.to_string())?;
        let link = broker_link(&page).and_then(|link| base.join(&link).ok());
        link.map(String::from).ok_or_else(|| format!("{base}: {page}"))
    })
    .await
}

fn broker_link(page: &str) -> Option<String> {
    let path = format!("/broker/{NAME}/login");
    let mut links = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let link = links.find(|link| link.contains(&path))?;
    Some(link.replace("&amp;", "&"))
}
