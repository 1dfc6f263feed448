//! Stream -> the same, whose writes fail when the client takes nothing for some time (IO).
//!
//! hyper has no such timeout: it would wait for the client until the connection ends.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream with a timeout of its writes.
#[derive(Debug)]
pub(super) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// While a write waits: when it fails.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            due: None,
        }
    }

    /// The outcome of a write, or an error if no write went on for too long.
    fn check<T>(&mut self, context: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.due = None;
            return write;
        }
        let limit = self.limit;
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(limit)));
        due.as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.check(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(context);
        self.check(context, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(context);
        self.check(context, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_when_nothing_is_taken_and_goes_on_when_a_byte_is() {
        for (pause, is_late) in [(LIMIT * 9 / 10, false), (LIMIT * 2, true)] {
            let (mut client, server) = tokio::io::duplex(1);
            let mut server = WriteTimeout::new(server, LIMIT);
            let write = async move { server.write_all(b"four").await };
            let read = async move {
                let mut got = Vec::new();
                for _ in 0..4 {
                    sleep(pause).await;
                    let mut byte = [0];
                    if client.read(&mut byte).await.unwrap() == 0 {
                        break;
                    }
                    got.extend(byte);
                }
                got
            };
            let (written, got) = tokio::join!(write, read);
            let failed = written.map_err(|error| error.kind()).err();
            assert_eq!(failed, is_late.then_some(io::ErrorKind::TimedOut));
            assert_eq!(got, if is_late { &b"f"[..] } else { b"four" });
        }
    }
}
