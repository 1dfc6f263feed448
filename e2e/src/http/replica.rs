//! Requests -> answers of one replica of the gateway, or of the portal (IO).
//!
//! Like the proxy, these clients use the proxy's certificate. No other replica can answer instead.

use std::sync::Arc;

use anyhow::Context as _;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client, ResourceExt as _};
use reqwest::{StatusCode, Url};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::WebSocketStream;

use super::socket::{self, origin};
use crate::{Environment, cluster};

/// Their port for the proxy.
const PORT: u16 = 8443;

/// The stream of a forwarded port.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One pod of the gateway, or of the portal.
#[derive(Clone)]
pub struct Replica {
    /// Name of the pod.
    pub name: String,
    pods: Api<Pod>,
    service: String,
    /// TLS configuration with the proxy's certificate.
    config: Arc<ClientConfig>,
    /// TLS configuration without a certificate.
    config_without_certificate: Arc<ClientConfig>,
}

impl Replica {
    /// All replicas of the gateway.
    pub async fn all() -> anyhow::Result<Vec<Self>> {
        Self::of("gateway").await
    }

    /// All replicas of a component that answers the proxy.
    pub(crate) async fn of(component: &str) -> anyhow::Result<Vec<Self>> {
        let environment = Environment::get()?;
        let (namespace, release) = (&environment.system_namespace, &environment.release);
        let admin: Client = cluster::admin().await?;
        let secrets = Api::<Secret>::namespaced(admin.clone(), namespace);
        let secret = secrets.get(&format!("{release}-proxy-client")).await?;
        let file = |name: &str| {
            let data = secret.data.as_ref().and_then(|data| data.get(name));
            data.map(|bytes| bytes.0.clone())
                .with_context(|| format!("the proxy's Secret has no {name}"))
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&file("ca.crt")?) {
            roots.add(certificate?)?;
        }
        let own = CertificateDer::pem_slice_iter(&file("tls.crt")?).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&file("tls.key")?)?;
        let roots = Arc::new(roots);
        let config_without_certificate = ClientConfig::builder()
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(own, key)?;
        let (config, config_without_certificate) = (Arc::new(config), Arc::new(config_without_certificate));
        let pods = cluster::component_pods(admin.clone(), component).await?;
        let live = pods.iter().filter(|pod| cluster::is_ready(pod));
        let replicas = live.map(|pod| Self {
            name: pod.name_any(),
            pods: Api::namespaced(admin.clone(), namespace),
            service: format!("{release}-{component}.{namespace}.svc"),
            config: Arc::clone(&config),
            config_without_certificate: Arc::clone(&config_without_certificate),
        });
        Ok(replicas.collect())
    }

    /// Opens a connection with the proxy's certificate.
    pub(crate) async fn connect(&self) -> anyhow::Result<TlsStream<Box<dyn Stream>>> {
        let stream = self.forward(PORT).await?;
        let name = ServerName::try_from(self.service.clone())?;
        Ok(TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await?)
    }

    async fn forward(&self, port: u16) -> anyhow::Result<Box<dyn Stream>> {
        let mut forwarded = self.pods.portforward(&self.name, &[port]).await?;
        let stream = forwarded.take_stream(port).context("no stream")?;
        // The forwarded port ends when this is dropped.
        tokio::spawn(async move { drop(forwarded.join().await) });
        Ok(Box::new(stream))
    }

    /// The error that a client without a certificate gets at a port of this replica.
    ///
    /// # Errors
    /// The port cannot be reached, or accepts the client.
    pub async fn without_certificate(&self, port: u16) -> anyhow::Result<String> {
        let (stream, name) = (
            self.forward(port).await?,
            ServerName::try_from(self.service.clone())?,
        );
        let connected = TlsConnector::from(Arc::clone(&self.config_without_certificate))
            .connect(name, stream)
            .await;
        // In TLS 1.3, a client gets the error about its missing certificate only with the first response.
        let asked = async {
            let mut stream = connected?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            let mut answer = [0; 64];
            let length = stream.read(&mut answer).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer[..length]).into_owned())
        };
        match asked.await {
            Ok(answer) => anyhow::bail!("{}:{port} answers {answer:?}", self.name),
            Err(refusal) => Ok(format!("{refusal:?}")),
        }
    }

    /// Opens a websocket at this replica. The inner error is the status of a refusal.
    ///
    /// # Errors
    /// The replica cannot be reached.
    pub async fn socket(
        &self,
        url: &str,
        cookies: &str,
    ) -> anyhow::Result<Result<WebSocketStream<TlsStream<Box<dyn Stream>>>, StatusCode>> {
        let target = format!("{}ws", url.replacen("https", "wss", 1));
        let origin = origin(url)?;
        let headers = socket::of_page(cookies, Some(&origin));
        socket::hand_shake(self.connect().await?, &target, &headers).await
    }

    /// Opens a connection for authorization requests to this replica.
    ///
    /// # Errors
    /// The replica cannot be reached.
    pub async fn questions(&self) -> anyhow::Result<Questions> {
        let io = TokioIo::new(self.connect().await?);
        let (sender, connection) = http1::handshake(io).await?;
        let carrier = tokio::spawn(async move { drop(connection.await) });
        Ok(Questions {
            sender,
            service: self.service.clone(),
            carrier,
        })
    }
}

/// A connection to one replica.
pub struct Questions {
    sender: http1::SendRequest<Empty<Bytes>>,
    service: String,
    carrier: JoinHandle<()>,
}

impl Questions {
    /// Whether a script of the workspace's own page may request `path` with these cookies: 200, or the refusal.
    ///
    /// # Errors
    /// The connection ended. The gateway closes it after half a minute.
    pub async fn verify(&mut self, url: &str, path: &str, cookies: &str) -> anyhow::Result<StatusCode> {
        let url = Url::parse(url)?;
        let host = url.host_str().context("no host")?;
        let authority = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let request = Request::get("/verify")
            .header(header::HOST, &self.service)
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", authority)
            .header("X-Forwarded-Uri", format!("{}{path}", url.path()))
            .header("X-Forwarded-For", "127.0.0.1")
            .header(header::COOKIE, cookies)
            .header("Sec-Fetch-Site", "same-origin")
            .body(Empty::new())?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(status)
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}
