//! Address of an HTTP proxy -> where to connect, and with which credentials (pure).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use openidconnect::url::Url;
use percent_encoding::percent_decode_str;

/// What every error says: the address itself may contain a password.
const RULE: &str =
    "must be the address of a proxy: http://host:port, in a Secret also http://user:password@host:port";

/// The proxy between the gateway and identity providers.
#[derive(Clone)]
pub(crate) struct HttpsProxy {
    /// Its address, without credentials.
    pub(super) uri: Uri,
    /// Value of `Proxy-Authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

impl HttpsProxy {
    /// Parses `http://[user:password@]host:port`. Special characters in the credentials are percent-encoded.
    ///
    /// # Errors
    /// A phrase without the text, which may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || RULE.to_owned();
        let url = Url::parse(text.trim()).map_err(|_| wrong())?;
        let is_plain =
            url.scheme() == "http" && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|_| is_plain).ok_or_else(wrong)?;
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        let uri = format!("http://{host}:{port}").parse().map_err(|_| wrong())?;
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(basic(user, password.unwrap_or_default()).ok_or_else(wrong)?),
        };
        Ok(Self { uri, authorization })
    }
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let decoded = |text| percent_decode_str(text).decode_utf8().ok();
    let credentials = STANDARD.encode(format!("{}:{}", decoded(user)?, decoded(password)?));
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Display for HttpsProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.authority().map_or(Ok(()), |authority| authority.fmt(f))
    }
}

impl fmt::Debug for HttpsProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpsProxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::http::Request;
    use openidconnect::AsyncHttpClient as _;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::oidc::http::{HttpClient, HttpError, Trusted};

    #[test]
    fn an_address_may_have_credentials_which_are_shown_nowhere() {
        let plain = HttpsProxy::parse("http://proxy.example:3128/\n").unwrap();
        assert!(plain.authorization.is_none());
        assert_eq!(plain.to_string(), "proxy.example:3128");
        let with = HttpsProxy::parse("http://me:p%40ss@[2001:db8::1]:8080").unwrap();
        assert_eq!(with.to_string(), "[2001:db8::1]:8080");
        let expected = format!("Basic {}", STANDARD.encode("me:p@ss"));
        assert_eq!(with.authorization.as_ref().unwrap(), &*expected);
        assert_eq!(format!("{with:?}"), "HttpsProxy([2001:db8::1]:8080)");
        assert_eq!(
            HttpsProxy::parse("http://proxy.example").unwrap().to_string(),
            "proxy.example:80"
        );
        for wrong in [
            "",
            "proxy.example:3128",
            "https://me:s3cret@proxy.example:3128",
            "http://me:s3cret@proxy.example:3128/path",
            "http://me:s3cret@proxy.example:port",
            "socks5://me:s3cret@proxy.example",
        ] {
            let error = HttpsProxy::parse(wrong).unwrap_err();
            assert!(
                error.contains("http://host:port") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }

    /// Answers with TLS as `localhost`; the address and the authority's PEM.
    async fn provider() -> (String, String) {
        let now = jiff::Timestamp::now();
        let authority = kit::pki::authority("test", now).unwrap();
        let pair = kit::pki::leaf(
            &authority,
            "x",
            &["localhost".to_owned()],
            kit::pki::Purpose::Server,
            now,
        )
        .unwrap();
        let certificate = kit::tls::Certificate::default();
        certificate.set(&pair).unwrap();
        let mut config = kit::tls::server_config(certificate, None).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor.accept(stream).await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.unwrap();
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
                    .await
                    .unwrap();
            }
        });
        (address, authority.certificate)
    }

    /// A proxy that answers CONNECT with this status line, and connects to `target` after a 200. Gives the head of each request.
    async fn proxy(
        status: &'static str,
        target: String,
    ) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, heads) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut client = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    client.read_line(&mut head).await.unwrap();
                }
                seen.send(head).unwrap();
                client
                    .write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes())
                    .await
                    .unwrap();
                let target = target.clone();
                if status.starts_with("200") {
                    tokio::spawn(async move {
                        let mut server = TcpStream::connect(target).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    });
                }
            }
        });
        (address, heads)
    }

    fn get(client: &HttpClient) -> impl Future<Output = Result<http::Response<Vec<u8>>, HttpError>> {
        client.call(Request::get("https://localhost:9443/").body(Vec::new()).unwrap())
    }

    #[tokio::test]
    async fn a_request_goes_through_the_proxy_with_its_credentials_and_ends_in_tls_with_the_provider() {
        let (target, authority) = provider().await;
        let (address, mut heads) = proxy("200 OK", target.clone()).await;
        let proxy = HttpsProxy::parse(&format!("http://me:s3cret@{address}")).unwrap();
        let trusted = Trusted::Authority(&authority);
        let client = HttpClient::over_tls(trusted, "id.example", None, Some(proxy.clone())).unwrap();
        assert_eq!(get(&client).await.unwrap().body(), b"hello");
        let head = heads.recv().await.unwrap().to_ascii_lowercase();
        assert!(head.starts_with("connect localhost:9443 http/1.1\r\n"), "{head}");
        let credentials = STANDARD.encode("me:s3cret").to_ascii_lowercase();
        assert!(
            head.contains(&format!("proxy-authorization: basic {credentials}\r\n")),
            "{head}"
        );

        // An address for this provider alone is used without the proxy.
        let direct = HttpClient::over_tls(trusted, "localhost", Some(&target), Some(proxy)).unwrap();
        assert_eq!(get(&direct).await.unwrap().body(), b"hello");
        assert!(heads.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_named_without_its_credentials() {
        for (status, part) in [
            (
                "407 Proxy Authentication Required",
                "proxy authorization required",
            ),
            ("403 Forbidden", "unsuccessful"),
        ] {
            let (address, _heads) = proxy(status, String::new()).await;
            let proxy = HttpsProxy::parse(&format!("http://me:s3cret@{address}")).unwrap();
            let client = HttpClient::over_tls(Trusted::System, "id.example", None, Some(proxy)).unwrap();
            let error = get(&client).await.unwrap_err().to_string();
            let start = format!("no connection to localhost (through the proxy {address}): ");
            assert!(error.starts_with(&start) && error.contains(part), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
