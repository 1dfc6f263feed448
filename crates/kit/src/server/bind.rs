//! Address -> a listening TCP socket (IO).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// Listens on `address`. `[::]` also accepts IPv4. It becomes `0.0.0.0` where IPv6 is disabled.
///
/// # Errors
/// The address is in use or cannot be used.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            let other = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            tracing::info!(%error, "cannot listen on {address}; listening on {other} instead");
            TcpListener::bind(other).await
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn an_unspecified_address_binds_both_families_if_they_exist() {
        let listener = bind((Ipv6Addr::UNSPECIFIED, 0).into()).await.unwrap();
        let bound = listener.local_addr().unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, bound.port()))
            .await
            .unwrap();
        if bound.is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, bound.port()))
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error() {
        let first = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let second = bind(first.local_addr().unwrap()).await;
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
