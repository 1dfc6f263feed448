//! The proxy's certificate changes its source while a user works: cert-manager, gateway, Secret.

pub(crate) mod cert_manager;
mod served;

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    installation::release,
    objects::workspace,
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use reqwest::{Method, StatusCode};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use cert_manager::{CertManager, text};
use served::OpenSocket;

/// Time between two requests of the user.
const PAUSE: Duration = Duration::from_millis(100);

/// What the tests of this suite change.
struct Site {
    scratch: Scratch,
    cert_manager: CertManager,
    secrets: Api<Secret>,
    maps: Api<ConfigMap>,
    pods: Api<Pod>,
    /// The Secret of the installation, by the name that the chart also has cert-manager write.
    secret: String,
    url: String,
    hosts: [String; 3],
}

impl Site {
    async fn new(scratch: Scratch) -> anyhow::Result<Self> {
        let environment = Environment::get()?;
        let (workspace, cert_manager) =
            tokio::try_join!(workspace::running(&scratch, "ws"), CertManager::start(&scratch))?;
        let (admin, namespace) = (cluster::admin().await?, &environment.system_namespace);
        Ok(Self {
            cert_manager,
            secrets: Api::namespaced(admin.clone(), namespace),
            maps: Api::namespaced(admin.clone(), namespace),
            pods: Api::namespaced(admin, namespace),
            secret: format!("{}-proxy-tls", environment.release),
            url: workspace::url(&workspace)?,
            hosts: [
                workspace::host(&workspace)?,
                environment.base_domain.clone(),
                environment.identity_host.clone(),
            ],
            scratch,
        })
    }

    /// Who moves to another authority trusts both for a while: the ConfigMap for the gateway.
    async fn trust_both(&self) -> anyhow::Result<()> {
        let own = fs::read_to_string(&Environment::get()?.ca_file)?;
        let map = json!({
            "metadata": {"name": self.scratch.namespace, "labels": {"e2e.test/scratch": "true"}},
            "data": {"ca.crt": format!("{own}\n{}", self.cert_manager.authority)},
        });
        self.maps
            .create(&PostParams::default(), &serde_json::from_value(map)?)
            .await?;
        Ok(())
    }

    /// The first certificate of a Secret.
    async fn stored(&self, secret: &str) -> anyhow::Result<CertificateDer<'static>> {
        let stored = text(&self.secrets.get(secret).await?, "tls.crt")?;
        Ok(CertificateDer::from_pem_slice(stored.as_bytes())?)
    }

    /// Waits until the proxy serves the certificate of this Secret to those who trust its authority alone, for each kind of host.
    async fn serves(&self, secret: &str, authority: &str) -> anyhow::Result<CertificateDer<'static>> {
        let stored = self.stored(secret).await?;
        for host in &self.hosts {
            wait::until(
                &format!("{host} to have the certificate"),
                wait::USUAL,
                || async {
                    match served::certificate(host, authority).await {
                        Ok(it) if it == stored => Ok(()),
                        Ok(_) => Err("it has another one".to_owned()),
                        Err(error) => Err(format!("{error:#}")),
                    }
                },
            )
            .await?;
        }
        Ok(stored)
    }

    /// The proxy's pods, and how often their containers have been restarted.
    async fn proxies(&self) -> anyhow::Result<Vec<(String, i32)>> {
        let pods = cluster::component_pods(cluster::admin().await?, "proxy").await?;
        let restarts = |pod: &Pod| {
            let statuses = pod
                .status
                .as_ref()
                .and_then(|status| status.container_statuses.as_ref());
            statuses
                .into_iter()
                .flatten()
                .map(|status| status.restart_count)
                .sum()
        };
        Ok(pods
            .iter()
            .map(|pod| (pod.uid().unwrap_or_default(), restarts(pod)))
            .collect())
    }

    /// The kubelet looks at the Secrets of a pod once a minute, and whenever the pod changes.
    async fn refresh(&self) -> anyhow::Result<()> {
        for pod in cluster::component_pods(cluster::admin().await?, "proxy").await? {
            let now = jiff::Timestamp::now().to_string();
            let patch = Patch::Merge(json!({"metadata": {"annotations": {"e2e.test/refreshed": now}}}));
            self.pods
                .patch(&pod.name_any(), &PatchParams::default(), &patch)
                .await?;
        }
        Ok(())
    }

    /// A user signs in again. So the gateway also trusts the authority at the address of the provider.
    async fn lets_in(&self, authority: &str) -> anyhow::Result<()> {
        let page = HttpSession::new()?
            .trusting(authority)?
            .enter(&self.url, "alice")
            .await?;
        ensure!(page.status() == StatusCode::OK, "{}", page.status());
        Ok(())
    }
}

/// A page that asks its workspace all the time.
struct Work {
    /// The browser; nothing once the page is closed.
    browser: watch::Sender<Option<HttpSession>>,
    task: JoinHandle<(usize, Vec<String>)>,
}

impl Work {
    fn begin(session: &HttpSession, url: &str) -> Self {
        let url = format!("{url}at-work");
        let (browser, at_work) = watch::channel(Some(session.clone()));
        let task = tokio::spawn(async move {
            let (mut asked, mut failed) = (0, Vec::new());
            loop {
                let Some(session) = at_work.borrow().clone() else {
                    return (asked, failed);
                };
                let request = session
                    .request(Method::GET, &url)
                    .header("Sec-Fetch-Site", "same-origin");
                match request.send().await {
                    Ok(answer) if answer.status() == StatusCode::OK => {}
                    Ok(answer) => failed.push(answer.status().to_string()),
                    Err(error) => failed.push(format!("{error:?}")),
                }
                asked += 1;
                sleep(PAUSE).await;
            }
        });
        Self { browser, task }
    }

    /// The user continues in a browser that trusts other authorities.
    fn go_on_in(&self, session: HttpSession) {
        self.browser.send_replace(Some(session));
    }

    async fn end(self) -> anyhow::Result<()> {
        self.browser.send_replace(None);
        let (asked, failed) = self.task.await?;
        ensure!(asked > 20, "only {asked} requests");
        ensure!(failed.is_empty(), "of {asked} requests failed: {failed:#?}");
        Ok(())
    }
}

#[tokio::test]
async fn cert_manager_issues_and_renews_the_certificate_and_sources_are_exchanged_while_a_user_works()
-> anyhow::Result<()> {
    let site = Site::new(Scratch::new("certificates", &["alice"]).await?).await?;
    let installed = site.secrets.get(&site.secret).await?;
    let session = HttpSession::new()?.trusting(&site.cert_manager.authority)?;
    session.enter(&site.url, "alice").await?;
    site.trust_both().await?;
    let back = async {
        // It would write the Secret again.
        let stopped = site.cert_manager.stop();
        let name = installed.name_any();
        site.secrets.delete(&name, &DeleteParams::default()).await?;
        let mut before = installed.clone();
        before.metadata.resource_version = None;
        before.metadata.uid = None;
        before.metadata.managed_fields = None;
        site.secrets.create(&PostParams::default(), &before).await?;
        release::upgrade(&[]).await?;
        site.cert_manager.remove().await?;
        site.maps
            .delete(&site.scratch.namespace, &DeleteParams::default())
            .await?;
        stopped
    };
    always(Box::pin(sources(&site, &session)), back).await?;

    // The Secret of the installation again: who was signed in all the time still is.
    let authority = fs::read_to_string(&Environment::get()?.ca_file)?;
    site.refresh().await?;
    site.serves(&site.secret, &authority).await?;
    let page = session.open(&site.url).await?;
    ensure!(
        page.status() == StatusCode::OK && page.url().as_str() == site.url,
        "{page:?}"
    );
    site.scratch.finish().await
}

async fn sources(site: &Site, session: &HttpSession) -> anyhow::Result<()> {
    let (authority, environment) = (&site.cert_manager.authority, Environment::get()?);
    let (proxies, work) = (site.proxies().await?, Work::begin(session, &site.url));
    let issuer = &site.cert_manager.issuer;
    let values = [
        "proxy.tls.secretName=".to_owned(),
        format!("proxy.tls.certManager.issuerRef.name={issuer}"),
        "proxy.tls.certManager.issuerRef.kind=ClusterIssuer".to_owned(),
        "oidc.caSecretName=".to_owned(),
        format!("oidc.caConfigMapName={}", site.scratch.namespace),
    ];
    release::upgrade(&values.each_ref().map(String::as_str)).await?;
    let (certificate, namespace) = (
        format!("{}-proxy", environment.release),
        &environment.system_namespace,
    );
    let ready = site
        .cert_manager
        .ready(&format!("certificate/{certificate}"), namespace)
        .await;
    ready.with_context(|| site.cert_manager.log())?;
    site.refresh().await?;
    let first = site.serves(&site.secret, authority).await?;

    let mut socket = OpenSocket::open(session, &site.url, authority).await?;
    CertManager::renew(&certificate, namespace).await?;
    wait::until("another certificate in the Secret", wait::USUAL, || async {
        match site.stored(&site.secret).await {
            Ok(it) if it != first => Ok(()),
            Ok(_) => Err(site.cert_manager.log()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    site.refresh().await?;
    site.serves(&site.secret, authority).await?;
    socket.echoes("after the renewal").await?;
    work.end().await?;
    ensure!(
        site.proxies().await? == proxies,
        "the proxy was replaced or restarted"
    );
    site.lets_in(authority).await?;

    // The gateway's own certificate is in another Secret, so the proxy's pods are replaced. The user trusts its authority, too, as soon as
    // it exists, which is before the first of the new pods.
    let work = Work::begin(session, &site.url);
    let made = format!("{}-proxy-self-signed", environment.release);
    let trust = async {
        let authority = wait::until("the authority of the gateway", wait::USUAL, || async {
            text(&site.secrets.get(&made).await?, "ca.crt")
        });
        let authority = authority.await?;
        work.go_on_in(session.trusting(&authority)?);
        anyhow::Ok(authority)
    };
    let values = [
        "proxy.tls.secretName=",
        "proxy.tls.selfSigned=true",
        "oidc.caSecretName=",
    ];
    let (authority, ()) = tokio::try_join!(trust, release::upgrade(&values))?;
    site.serves(&made, &authority).await?;
    work.end().await?;
    ensure!(
        site.proxies().await? != proxies,
        "the proxy's pods are those of before"
    );
    let page = session.trusting(&authority)?.open(&site.url).await?;
    ensure!(
        page.status() == StatusCode::OK && page.url().as_str() == site.url,
        "{page:?}"
    );
    site.lets_in(&authority).await?;
    check_trusts_it().await
}

/// `helm test` names the source of the certificate, and reaches the bundled provider by it.
async fn check_trusts_it() -> anyhow::Result<()> {
    let lines = release::test().await?;
    let line = |check: &str| {
        let found = lines.iter().find(|line| line.contains(&format!(" {check} ")));
        found.cloned().unwrap_or_default()
    };
    let certificate = line("certificate");
    ensure!(
        certificate.starts_with("ok ") && certificate.contains("self-signed by this installation"),
        "{lines:#?}"
    );
    ensure!(line("provider").starts_with("ok "), "{lines:#?}");
    Ok(())
}
