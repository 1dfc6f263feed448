//! Address and tickets -> one line of JSON: where a server listens, and the requests for it (IO).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What a server shows, and who signed it.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    /// PEM.
    pub(crate) authority: String,
}

impl Tls {
    /// Without client certificates, which cost nothing after the handshake.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let now = jiff::Timestamp::now();
        let authority = kit::pki::authority("bench", now)?;
        let names = ["localhost".to_owned()];
        let pair = kit::pki::leaf(&authority, "localhost", &names, kit::pki::Purpose::Server, now)?;
        let certificate = kit::tls::Certificate::default();
        certificate.set(&pair)?;
        Ok(Self {
            config: Arc::new(kit::tls::server_config(certificate, None)?),
            authority: authority.certificate,
        })
    }
}

/// What requests are made of.
pub(crate) struct Headers<'a> {
    pub(crate) authority: &'a str,
    /// By name of the case; the case `none` needs none.
    pub(crate) tickets: &'a BTreeMap<&'static str, String>,
    /// Traefik sends each cookie in a header of its own over HTTP/2.
    pub(crate) http2: bool,
}

impl Headers<'_> {
    /// The headers of Traefik's question about a request of JupyterLab, by case; `none` is a user who opens a page.
    fn cases(&self) -> BTreeMap<&'static str, Vec<(&'static str, String)>> {
        let with = |ticket: &str| self.of("empty", "cors", "same-origin", "application/json", Some(ticket));
        let mut cases: BTreeMap<_, _> = self
            .tickets
            .iter()
            .map(|(case, ticket)| (*case, with(ticket)))
            .collect();
        cases.insert(
            "none",
            self.of("document", "navigate", "cross-site", "text/html", None),
        );
        cases
    }

    fn of(
        &self,
        dest: &str,
        mode: &str,
        site: &str,
        accept: &str,
        ticket: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("host", "localhost".to_owned()),
            ("accept", accept.into()),
            ("accept-encoding", "gzip".into()),
            ("sec-fetch-dest", dest.into()),
            ("sec-fetch-mode", mode.into()),
            ("sec-fetch-site", site.into()),
            ("user-agent", "Go-http-client/2.0".into()),
            ("x-forwarded-for", "203.0.113.7".into()),
            ("x-forwarded-host", self.authority.into()),
            ("x-forwarded-method", "GET".into()),
            ("x-forwarded-port", "443".into()),
            ("x-forwarded-proto", "https".into()),
            (
                "x-forwarded-uri",
                "/api/contents/work/analysis.ipynb?content=0&hash=0&1763624045123".into(),
            ),
        ];
        let cookies = cookies(ticket);
        if self.http2 {
            headers.extend(cookies.into_iter().map(|cookie| ("cookie", cookie)));
        } else {
            headers.push(("cookie", cookies.join("; ")));
        }
        headers
    }
}

/// The cookies of a browser that uses JupyterLab.
pub(crate) fn cookies(ticket: Option<&str>) -> Vec<String> {
    let mut cookies = vec![
        "_xsrf=2|a7ccf7a5|58a0ae0b0fbc4bd2bd1cdd0b94eb3cd7|1763624045".to_owned(),
        "theme=dark".to_owned(),
    ];
    if let Some(ticket) = ticket {
        cookies.insert(1, format!("__Host-ws={ticket}"));
    }
    cookies
}

/// Says where this server listens, and with which headers to ask it.
pub(crate) fn announce(
    socket: &TcpListener,
    headers: &Headers<'_>,
    tls: Option<&Tls>,
) -> std::io::Result<()> {
    let address = socket.local_addr()?.to_string();
    let authority = tls.map(|tls| tls.authority.as_str());
    print(&json!({"address": address, "authority": authority, "requests": headers.cases()}));
    Ok(())
}

/// Prints one line, for the process that started this one.
pub(crate) fn print(what: &Value) {
    println!("{what}");
}

/// A port of loopback.
pub(crate) async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}
