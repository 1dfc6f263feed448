//! A plan -> what proxy and gateway are for browsers: an address for each user, which adds the assertion about that user (IO).
//!
//! It listens as the proxy does, with TLS and HTTP/2, and until its standard input ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderName, StatusCode};
use kit::assertion::{LIFE, Signer};
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::user::{User, client, signer};

const ASSERTION: HeaderName = HeaderName::from_static(api::names::ASSERTION_HEADER);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Kubeconfig of a client of the portal.
    server: PathBuf,
    /// Folder with the serving certificate.
    tls: PathBuf,
    /// Who reads pages at which address.
    people: Vec<(SocketAddr, User)>,
}

/// One address.
struct Front {
    portal: Client,
    signer: Arc<Signer>,
    user: User,
}

/// Listens, says `ready`, and forwards until standard input ends.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let portal = client(&plan.server).await?;
    let signer = Arc::new(signer()?);
    let config = Arc::new(kit::tls::server_config(crate::certificate(&plan.tls)?, None)?);
    for (address, user) in plan.people {
        let front = Arc::new(Front {
            portal: portal.clone(),
            signer: signer.clone(),
            user,
        });
        let router = Router::new().fallback(move |request| front.clone().answer(request));
        let (listener, stop) = (TcpListener::bind(address).await?, CancellationToken::new());
        tokio::spawn(kit::https::serve(
            listener,
            config.clone(),
            router,
            kit::https::IDLE,
            stop,
        ));
    }
    println!("ready");
    spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}

impl Front {
    async fn answer(self: Arc<Self>, request: Request) -> Response {
        let answer = self.forward(request).await;
        answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
    }

    /// Asks the portal for what the browser asks for. Browsers only read here.
    async fn forward(&self, request: Request) -> anyhow::Result<Response> {
        let (head, _) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut forwarded = http::Request::builder()
            .method(head.method)
            .uri(path)
            .body(Body::empty())?;
        *forwarded.headers_mut() = head.headers;
        forwarded.headers_mut().remove(HOST);
        let assertion = HeaderValue::from_str(&self.user.assertion(&self.signer, LIFE)?)?;
        forwarded.headers_mut().insert(ASSERTION, assertion);
        let mut answer = self.portal.send(forwarded).await?;
        // Of the connection to the portal, and not of the browser's.
        for name in [CONNECTION, TRANSFER_ENCODING] {
            answer.headers_mut().remove(name);
        }
        Ok(answer.map(axum::body::Body::new))
    }
}
