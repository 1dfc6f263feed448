//! A replica of the gateway, asked as the proxy asks it: with the proxy's certificate, and no other replica in its place (IO).

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

use crate::{Environment, cluster, kernel::origin, socket};

/// Port that the proxy asks.
const PORT: u16 = 8443;

/// What a forwarded port carries.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One pod of the gateway.
#[derive(Clone)]
pub struct Replica {
    /// Its pod.
    pub name: String,
    pods: Api<Pod>,
    service: String,
    /// With the proxy's certificate.
    config: Arc<ClientConfig>,
    /// With none.
    stranger: Arc<ClientConfig>,
}

impl Replica {
    /// All of them.
    pub async fn all() -> anyhow::Result<Vec<Self>> {
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
        let stranger = ClientConfig::builder()
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(own, key)?;
        let (config, stranger) = (Arc::new(config), Arc::new(stranger));
        let pods = cluster::component_pods(admin.clone(), "gateway").await?;
        let live = pods.iter().filter(|pod| cluster::is_ready(pod));
        let replicas = live.map(|pod| Self {
            name: pod.name_any(),
            pods: Api::namespaced(admin.clone(), namespace),
            service: format!("{release}-gateway.{namespace}.svc"),
            config: Arc::clone(&config),
            stranger: Arc::clone(&stranger),
        });
        Ok(replicas.collect())
    }

    async fn connect(&self) -> anyhow::Result<TlsStream<Box<dyn Stream>>> {
        let stream = self.forward(PORT).await?;
        let name = ServerName::try_from(self.service.clone())?;
        Ok(TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await?)
    }

    async fn forward(&self, port: u16) -> anyhow::Result<Box<dyn Stream>> {
        let mut forwarded = self.pods.portforward(&self.name, &[port]).await?;
        let stream = forwarded.take_stream(port).context("no stream")?;
        // It carries nothing any more when it is dropped.
        tokio::spawn(async move { drop(forwarded.join().await) });
        Ok(Box::new(stream))
    }

    /// What a client without certificate is told at one of this replica's ports.
    ///
    /// # Errors
    /// When the port cannot be reached, or answers.
    pub async fn without_certificate(&self, port: u16) -> anyhow::Result<String> {
        let (stream, name) = (
            self.forward(port).await?,
            ServerName::try_from(self.service.clone())?,
        );
        let connected = TlsConnector::from(Arc::clone(&self.stranger))
            .connect(name, stream)
            .await;
        // By TLS 1.3 a client learns with the first answer that its certificate is missed.
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

    /// Opens a websocket at this replica; the inner error is the status of a refusal.
    ///
    /// # Errors
    /// When the replica cannot be reached.
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

    /// Questions to this replica, on one connection.
    ///
    /// # Errors
    /// When the replica cannot be reached.
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
    /// Whether a script of the workspace's own page may ask for `path` with these cookies: 200, or the refusal.
    ///
    /// # Errors
    /// When the connection broke: it ends after half a minute.
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
