//! Address -> the proxy that leads there, and a connection through it (IO).

use std::env;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service as _;

/// How long a proxy may take to connect.
const LIMIT: Duration = Duration::from_secs(30);

/// A proxy, and what names it.
#[derive(Clone)]
pub(crate) struct Proxy {
    source: &'static str,
    found: Intercept,
}

impl Proxy {
    /// By `$HTTPS_PROXY` (`$HTTP_PROXY` for an address without TLS), unless `$NO_PROXY` has the address. As for kubectl, none leads to this computer,
    /// and `$ALL_PROXY` counts for nothing.
    pub(crate) fn of_environment(to: &Uri) -> Option<Self> {
        if to.host().is_none_or(is_this_computer) {
            return None;
        }
        let (source, names) = match to.scheme_str() {
            Some("http") => ("$HTTP_PROXY", ["HTTP_PROXY", "http_proxy"]),
            _ => ("$HTTPS_PROXY", ["HTTPS_PROXY", "https_proxy"]),
        };
        let set = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(|name| env::var(name).ok());
            values.find(|value| !value.is_empty())
        };
        if set(names).is_none() || is_excepted(&set(["NO_PROXY", "no_proxy"]).unwrap_or_default(), to) {
            return None;
        }
        let found = Matcher::from_env().intercept(to)?;
        Some(Self { source, found })
    }

    /// By the `proxy-url` of a kubeconfig, whatever the environment has. The text may hold a password, so no error shows it.
    pub(crate) fn of_kubeconfig(url: &str) -> anyhow::Result<Self> {
        let any = Uri::from_static("https://any");
        let found = Matcher::builder().all(url).build().intercept(&any);
        Ok(Self {
            source: "proxy-url of the kubeconfig",
            found: found.context(
                "proxy-url of the kubeconfig must be an address that begins with http:// or socks5://",
            )?,
        })
    }

    /// Connects to the host and port of `to`.
    pub(crate) async fn connect(&self, to: Uri) -> anyhow::Result<TokioIo<TcpStream>> {
        let Self { source, found } = self;
        let proxy = found.uri();
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        let connecting = async {
            let connected = match proxy.scheme_str() {
                Some("http") => {
                    let mut tunnel = Tunnel::new(proxy.clone(), direct);
                    if let Some(credentials) = found.basic_auth() {
                        tunnel = tunnel.with_auth(credentials.clone());
                    }
                    tunnel.call(to).await?
                }
                Some("socks5" | "socks5h") => {
                    let mut socks = SocksV5::new(proxy.clone(), direct);
                    if let Some((user, password)) = found.raw_auth() {
                        socks = socks.with_auth(user.to_owned(), password.to_owned());
                    }
                    socks.call(to).await?
                }
                _ => bail!("it must begin with http:// or socks5://"),
            };
            Ok(connected)
        };
        match tokio::time::timeout(LIMIT, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(anyhow!("it did not answer within {LIMIT:?}")),
        }
        .with_context(|| format!("the proxy {proxy} ({source}) cannot be used"))
    }
}

/// Whether a list has all addresses, or this one with its port. The library knows no ports, and `*` for names alone.
fn is_excepted(list: &str, to: &Uri) -> bool {
    let port = if to.scheme_str() == Some("http") { 80 } else { 443 };
    let port = to.port_u16().unwrap_or(port);
    let own = format!("{}:{port}", to.host().unwrap_or_default());
    let mut entries = list.split(',').map(str::trim);
    entries.any(|entry| entry == "*" || entry.eq_ignore_ascii_case(&own))
}

/// Whether a name is this computer by RFC 6761, whether or not the system's resolver knows it.
pub(crate) fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether a host of an address is this computer by its name or number.
fn is_this_computer(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']').parse();
    is_localhost(host) || number.is_ok_and(|number: IpAddr| number.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_has_names_and_numbers() {
        for host in [
            "localhost",
            "auth.ws.localhost",
            "127.0.0.1",
            "127.9.0.1",
            "[::1]",
        ] {
            assert!(is_this_computer(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "[::2]", "128.0.0.1"] {
            assert!(!is_this_computer(host), "{host}");
        }
    }

    #[test]
    fn all_addresses_or_one_with_its_port_need_no_proxy() {
        for (list, to, expected) in [
            ("*", "https://10.0.0.1:6443", true),
            ("a.example, *", "https://[fd00::1]", true),
            ("10.0.0.1:6443", "https://10.0.0.1:6443", true),
            ("10.0.0.1:6443", "https://10.0.0.1:6444", false),
            ("[fd00::1]:443", "https://[fd00::1]", true),
            ("API.example:443,", "https://api.example", true),
            ("api.example:443", "http://api.example", false),
            ("api.example:80", "http://api.example", true),
            ("", "https://api.example", false),
        ] {
            assert_eq!(is_excepted(list, &to.parse().unwrap()), expected, "{list:?} {to}");
        }
    }

    #[test]
    fn a_proxy_of_a_kubeconfig_is_an_address_and_its_password_is_not_shown() {
        for good in ["http://proxy:3128", "socks5://me:secret@proxy:1080", "proxy:3128"] {
            assert!(Proxy::of_kubeconfig(good).is_ok(), "{good}");
        }
        for bad in ["", "ftp://me:secret@proxy", "http://me:se cret@proxy"] {
            let error = format!("{:#}", Proxy::of_kubeconfig(bad).err().unwrap());
            assert!(
                error.contains("must be an address") && !error.contains("cret"),
                "{error}"
            );
        }
    }
}
