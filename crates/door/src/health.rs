//! Where the application listens -> whether it does, and when only a restart helps (IO).

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::application::Address;

/// Pause between two connections.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long nothing may listen: a server that loads itself anew listens again sooner.
const LIMIT: Duration = Duration::from_secs(30);

/// Returns when nothing has listened there for a while: no program listens again on a socket that was removed. A busy server, or one without
/// file descriptors, still listens.
pub(crate) async fn until_nothing_listens(address: &Address) {
    let mut listened = Instant::now();
    while listened.elapsed() < LIMIT {
        sleep(INTERVAL).await;
        if listens(address).await {
            listened = Instant::now();
        }
    }
}

/// Whether a program listens there.
pub(crate) async fn listens(address: &Address) -> bool {
    match timeout(INTERVAL, address.connect()).await {
        Ok(Err(error)) => !matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound | ErrorKind::NotADirectory
        ),
        Ok(Ok(_)) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use socket2::{Domain, SockAddr, Socket, Type};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_was_removed_counts_unless_something_listens_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("application.sock");
        let address = Address::Socket(path.clone());
        let _first = UnixListener::bind(&path).unwrap();
        let gone = until_nothing_listens(&address);
        tokio::pin!(gone);
        assert!(timeout(LIMIT * 3, &mut gone).await.is_err());
        fs::remove_file(&path).unwrap();
        assert!(timeout(LIMIT / 2, &mut gone).await.is_err());
        let _second = UnixListener::bind(&path).unwrap();
        assert!(timeout(LIMIT * 3, &mut gone).await.is_err());
        fs::remove_file(&path).unwrap();
        assert!(timeout(LIMIT * 2, &mut gone).await.is_ok());
    }

    #[tokio::test]
    async fn a_server_that_accepts_nothing_still_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("application.sock");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(1).unwrap();
        let address = Address::Socket(path);
        for _ in 0..10 {
            assert!(listens(&address).await);
        }
        assert!(address.connect().await.is_err(), "the queue is full");
    }
}
