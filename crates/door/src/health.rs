//! Requests of the door's own -> whether the application answers, and when only a restart helps (IO).

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONNECTION, HOST};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::application::Address;

/// Pause between two attempts to reach an application that starts.
const PAUSE: Duration = Duration::from_millis(20);
/// Pause between two requests to an application that has answered.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long an application may be silent: a server that is busy with one request answers no other.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks the application whether it answers.
#[derive(Debug)]
pub(crate) struct Health {
    address: Address,
    /// What it is asked for.
    path: String,
}

/// Why there is no answer.
#[derive(Debug)]
enum Silence {
    /// Nothing accepts connections.
    NotListening,
    /// A connection is accepted, and nothing comes.
    NoAnswer,
}

impl Health {
    /// `path`: what the application is asked for. Whatever it says is an answer.
    pub(crate) fn new(address: Address, path: String) -> Self {
        Self { address, path }
    }

    /// Says in `answers` whether the application answers. Returns when it has not listened for a while: it is asked for nothing more
    /// then, because no program listens again on a socket that was removed.
    pub(crate) async fn watch(&self, answers: &watch::Sender<bool>) {
        while self.ask().await.is_err() {
            sleep(PAUSE).await;
        }
        answers.send_replace(true);
        let mut answered = Instant::now();
        let mut listened = answered;
        loop {
            sleep(INTERVAL).await;
            match self.ask().await {
                Ok(()) => {
                    answered = Instant::now();
                    listened = answered;
                }
                Err(Silence::NoAnswer) => listened = Instant::now(),
                Err(Silence::NotListening) if listened.elapsed() >= LIMIT => return,
                Err(Silence::NotListening) => {}
            }
            let is_answering = answered.elapsed() < LIMIT;
            let is_changed =
                answers.send_if_modified(|was| std::mem::replace(was, is_answering) != is_answering);
            if is_changed && is_answering {
                eprintln!("door: the application answers again");
            } else if is_changed {
                eprintln!(
                    "door: the application has not answered for {} s. The workspace is not ready until it does; connections stay open",
                    LIMIT.as_secs()
                );
            }
        }
    }

    /// Sends one request, on a connection of its own: users' connections outlive a socket that was removed.
    async fn ask(&self) -> Result<(), Silence> {
        let stream = self.address.connect().await.map_err(|_| Silence::NotListening)?;
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let request = Request::get(&self.path)
                .header(HOST, "localhost")
                .header(CONNECTION, "close")
                .body(Empty::<Bytes>::new());
            let Ok(request) = request else { return Ok(()) };
            let answer = sender.send_request(request);
            tokio::pin!(answer);
            tokio::select! {
                answer = &mut answer => answer.map(drop),
                _ = connection => answer.await.map(drop),
            }
        };
        match timeout(LIMIT, exchange).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Silence::NoAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    /// An application that answers unless it hangs.
    struct Application {
        folder: TempDir,
        hangs: Arc<AtomicBool>,
    }

    impl Application {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                hangs: Arc::default(),
            }
        }

        fn socket(&self) -> PathBuf {
            self.folder.path().join("application.sock")
        }

        fn health(&self) -> Health {
            Health::new(Address::Socket(self.socket()), "/".to_owned())
        }

        fn listen(&self) {
            let listener = UnixListener::bind(self.socket()).unwrap();
            let hangs = Arc::clone(&self.hangs);
            tokio::spawn(async move {
                let mut held = Vec::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    if hangs.load(Ordering::Relaxed) {
                        held.push(stream);
                        continue;
                    }
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                        .await;
                }
            });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_listens_and_does_not_answer_is_not_ready_and_is_again_when_it_answers() {
        let application = Application::new();
        application.hangs.store(true, Ordering::Relaxed);
        application.listen();
        let (sender, mut answers) = watch::channel(false);
        let health = application.health();
        let watching = tokio::spawn(async move { health.watch(&sender).await });
        sleep(Duration::from_mins(2)).await;
        assert!(!*answers.borrow(), "it accepts connections and never answered");
        for hangs in [false, true, false] {
            application.hangs.store(hangs, Ordering::Relaxed);
            answers.wait_for(|answers| *answers != hangs).await.unwrap();
        }
        assert!(!watching.is_finished(), "nobody restarts what may answer again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_silence_is_none() {
        let application = Application::new();
        application.listen();
        let (sender, mut answers) = watch::channel(false);
        let health = application.health();
        let _watching = tokio::spawn(async move { health.watch(&sender).await });
        answers.wait_for(|answers| *answers).await.unwrap();
        answers.mark_unchanged();
        application.hangs.store(true, Ordering::Relaxed);
        sleep(LIMIT / 2).await;
        application.hangs.store(false, Ordering::Relaxed);
        sleep(LIMIT * 3).await;
        assert!(*answers.borrow());
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_restart_helps_an_application_whose_socket_was_removed() {
        let application = Application::new();
        application.listen();
        let (sender, mut answers) = watch::channel(false);
        let health = application.health();
        let watching = tokio::spawn(async move { health.watch(&sender).await });
        answers.wait_for(|answers| *answers).await.unwrap();
        // The control: a server that reloads listens again.
        fs::remove_file(application.socket()).unwrap();
        sleep(LIMIT / 2).await;
        application.listen();
        sleep(LIMIT * 2).await;
        assert!(!watching.is_finished());
        fs::remove_file(application.socket()).unwrap();
        watching.await.unwrap();
    }

    /// What the door adds to the start of its application.
    #[tokio::test(start_paused = true)]
    async fn it_notices_at_most_a_pause_after_the_application_answers() {
        let application = Application::new();
        let (sender, mut answers) = watch::channel(false);
        let health = application.health();
        let _watching = tokio::spawn(async move { health.watch(&sender).await });
        // It has just looked in vain: the longest wait.
        tokio::task::yield_now().await;
        application.listen();
        let since = Instant::now();
        answers.wait_for(|answers| *answers).await.unwrap();
        let took = since.elapsed();
        assert!(took <= PAUSE, "{took:?}");
    }
}
