//! stream -> the same without vectored writes, so that the writer joins small pieces (IO).
//!
//! HTTP/2 writes the ready frames of all requests at once. But a body above a threshold becomes a piece of its own: 256 bytes for a
//! stream with vectored writes, a kibibyte without. Each such body ends the call, the TLS record and the packet, which takes as
//! long as a decision. Over TLS all pieces are copied anyway. So bodies of refusals, about 300 bytes, are better joined.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that takes one piece per call.
#[derive(Debug)]
pub(super) struct Unvectored<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Unvectored<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

// The methods for vectored writes keep their defaults: there is one piece.
impl<S: AsyncWrite + Unpin> AsyncWrite for Unvectored<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, piece)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use futures::future::join_all;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Empty, Full};
    use hyper::service::service_fn;
    use hyper::{client, server};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio_util::io::InspectWriter;

    use super::*;

    #[tokio::test]
    async fn answers_that_are_ready_together_are_written_together_with_their_bodies() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let pieces = Arc::new(AtomicUsize::new(0));
        let written = Arc::clone(&pieces);
        let count = move |_: &[u8]| _ = written.fetch_add(1, Ordering::Relaxed);
        let stream = Unvectored(InspectWriter::new(far, count));
        let answer = service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("x".repeat(600))))
        });
        tokio::spawn(
            server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer),
        );
        let (sender, connection) = client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near))
            .await
            .unwrap();
        tokio::spawn(connection);
        let asked = (0..50).map(|_| {
            let mut sender = sender.clone();
            async move {
                let request = Request::get("https://a.example/").body(Empty::<Bytes>::new());
                let answer = sender.send_request(request.unwrap()).await.unwrap();
                answer.into_body().collect().await.unwrap().to_bytes().len()
            }
        });
        assert_eq!(join_all(asked).await, [600; 50]);
        let pieces = pieces.load(Ordering::Relaxed);
        assert!(pieces < 25, "{pieces} pieces for 50 answers");
    }
}
