//! Request -> 200 with so many bytes, by hyper alone (IO).

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;

use super::{Args, listen, tls};
use crate::load::Transport;

pub(super) async fn serve(args: Args) -> anyhow::Result<()> {
    let transport = args.transport;
    let body = Bytes::from(vec![b'a'; args.bytes]);
    let answer = service_fn(move |request: Request<Incoming>| {
        let body = body.clone();
        async move {
            request.into_body().collect().await?;
            Ok::<_, hyper::Error>(Response::new(Full::new(body)))
        }
    });
    if let Some(path) = args.socket {
        let socket = UnixListener::bind(path)?;
        loop {
            let (stream, _) = socket.accept().await?;
            let stream = TokioIo::new(stream);
            tokio::spawn(http1::Builder::new().serve_connection(stream, answer.clone()));
        }
    }
    let socket = listen(vec![]).await?;
    let acceptor = TlsAcceptor::from(tls()?);
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            if transport == Transport::Plain {
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await?;
                return anyhow::Ok(());
            }
            let stream = TokioIo::new(acceptor.accept(stream).await?);
            if transport == Transport::Http2 {
                let server = http2::Builder::new(TokioExecutor::new());
                server.serve_connection(stream, answer).await?;
            } else {
                http1::Builder::new().serve_connection(stream, answer).await?;
            }
            Ok(())
        });
    }
}
