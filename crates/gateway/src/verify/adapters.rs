//! auth requests of nginx and Envoy <-> Traefik's form of request and answer (pure).
//!
//! There is one decision: `/verify`. The adapter reads what a proxy reports only from headers that the proxy alone writes.
//! All other such headers may come from the browser and are dropped.

use axum::response::Response;
use clap::ValueEnum;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE, UPGRADE};
use http::{Method, StatusCode, Uri};

use crate::tokens::cookies::StripList;
use crate::verify::request::Malformed;
use crate::verify::request::forwarded::Forwarded;
use crate::verify::request::pod_headers::REPLACED;
use crate::verify::request::source_rule::single;

/// Path prefix of Envoy's auth requests: Envoy puts it before the path of the original request.
pub(super) const ENVOY: &str = "/ext_authz";

const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Headers that a proxy adds when it forwards a request to the relay. Envoy's auth requests never have them.
const HANDED_OVER: [&str; 2] = ["x-forwarded-host", "x-forwarded-server"];
/// Answer header that lists the request headers for Envoy to remove.
const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// The proxy that sends the auth request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProxyKind {
    /// nginx's `auth_request`.
    Nginx,
    /// Envoy's HTTP service of `ext_authz`.
    Envoy,
}

/// Paths of this proxy's auth requests.
pub(crate) fn paths(proxy_kind: ProxyKind) -> &'static [&'static str] {
    match proxy_kind {
        ProxyKind::Nginx => &["/verify/nginx"],
        ProxyKind::Envoy => &["/ext_authz/", "/ext_authz/{*path}"],
    }
}

/// The headers of the auth request as Traefik would send them.
///
/// # Errors
/// A value that the proxy must report is missing or repeated, or the original connection is not encrypted. Or the request asks for
/// an upgrade to anything but a websocket.
pub fn question(
    proxy_kind: ProxyKind,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<HeaderMap, Malformed> {
    // The gateway could not close a tunnel of another protocol.
    let upgrade = single(headers, &UPGRADE)?;
    if upgrade.is_some_and(|kind| !kind.eq_ignore_ascii_case("websocket")) {
        return Err(Malformed);
    }
    let original = match proxy_kind {
        ProxyKind::Nginx => by_original(headers)?,
        ProxyKind::Envoy => by_itself(method, uri, headers)?,
    };
    let mut question = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        if !is_about_the_request(name.as_str()) {
            question.append(name, value.clone());
        }
    }
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Malformed);
    question.insert("x-forwarded-method", text(original.method)?);
    question.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    question.insert("x-forwarded-host", text(original.authority)?);
    question.insert("x-forwarded-uri", text(original.uri)?);
    Ok(question)
}

/// Header names that proxies use to describe requests and that a browser may send as well, and names that some servers read as
/// such.
fn is_about_the_request(name: &str) -> bool {
    name.starts_with("x-forwarded")
        || name.starts_with("x-original")
        || matches!(name, "forwarded" | "x-real-ip" | "x-rewrite-url")
        || name.contains(['_', '.'])
}

/// The value of a header that must come exactly once and not be empty.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Malformed> {
    single(headers, name)?
        .filter(|value| !value.is_empty())
        .ok_or(Malformed)
}

/// `X-Original-URL: https://<host><uri>` and `X-Original-Method`.
fn by_original(headers: &HeaderMap) -> Result<Forwarded<'_>, Malformed> {
    let url = text(headers, &ORIGINAL_URL)?
        .strip_prefix("https://")
        .ok_or(Malformed)?;
    let (authority, uri) = url.split_at(url.find('/').ok_or(Malformed)?);
    Ok(Forwarded {
        method: text(headers, &ORIGINAL_METHOD)?,
        authority,
        uri,
    })
}

/// Envoy's auth request repeats the original method, host and path; the path has the prefix [`ENVOY`].
fn by_itself<'a>(
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Forwarded<'a>, Malformed> {
    // This may be a browser's request that another proxy forwards, and not an auth request.
    let handed_over = HANDED_OVER.iter().any(|name| headers.contains_key(*name));
    if handed_over || single(headers, &FORWARDED_PROTO)? != Some("https") {
        return Err(Malformed);
    }
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => single(headers, &HOST)?.ok_or(Malformed)?,
    };
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let path = path
        .strip_prefix(ENVOY)
        .filter(|path| path.starts_with('/'))
        .ok_or(Malformed)?;
    Ok(Forwarded {
        method: method.as_str(),
        authority,
        uri: path,
    })
}

/// The answer in the form that this proxy understands. `strip`: further headers that the proxy must remove from the request.
pub fn answer(proxy_kind: ProxyKind, mut response: Response, strip: &StripList) -> Response {
    if response.status() == StatusCode::OK {
        match proxy_kind {
            // If the header were absent, the proxy would keep the browser's own.
            ProxyKind::Nginx => {
                for name in &REPLACED {
                    let headers = response.headers_mut();
                    headers.entry(name).or_insert(HeaderValue::from_static(""));
                }
            }
            ProxyKind::Envoy => remove_absent(response.headers_mut(), strip),
        }
        return response;
    }
    if proxy_kind == ProxyKind::Nginx {
        // nginx knows 2xx, 401 and 403. It turns anything else into an internal error. On 401 it sends pages to the gateway, which
        // also has the page about a link that is too long.
        *response.status_mut() = match response.status() {
            StatusCode::FOUND | StatusCode::UNAUTHORIZED | StatusCode::URI_TOO_LONG => {
                StatusCode::UNAUTHORIZED
            }
            status if status.is_server_error() => status,
            _ => StatusCode::FORBIDDEN,
        };
        response.headers_mut().remove(LOCATION);
        response.headers_mut().remove(SET_COOKIE);
    }
    response
}

fn remove_absent(headers: &mut HeaderMap, strip: &StripList) {
    let replaced = REPLACED;
    let names = replaced
        .iter()
        .map(HeaderName::as_str)
        .chain(strip.header_names());
    let absent: Vec<&str> = names.filter(|name| !headers.contains_key(*name)).collect();
    if let Ok(names) = HeaderValue::from_str(&absent.join(","))
        && !absent.is_empty()
    {
        headers.insert(REMOVE, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::header::{AUTHORIZATION, COOKIE};

    fn headers(lines: &[(&str, &'static str)]) -> HeaderMap {
        let parsed = lines.iter().map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_static(value),
            )
        });
        // Repeated headers stay repeated.
        let mut headers = HeaderMap::new();
        for (name, value) in parsed {
            headers.append(name, value);
        }
        headers
    }

    /// What the auth request reports about the original request.
    fn read(
        proxy_kind: ProxyKind,
        path: &str,
        lines: &[(&str, &'static str)],
    ) -> Result<[String; 3], Malformed> {
        let question = question(proxy_kind, &Method::PUT, &path.parse().unwrap(), &headers(lines))?;
        let one = |name: &str| {
            assert_eq!(question.get_all(name).iter().count(), 1, "{name}");
            question[name].to_str().unwrap().to_owned()
        };
        assert_eq!(one("x-forwarded-proto"), "https");
        Ok([
            one("x-forwarded-method"),
            one("x-forwarded-host"),
            one("x-forwarded-uri"),
        ])
    }

    const NGINX: [(&str, &str); 6] = [
        ("host", "gateway.system.svc"),
        ("x-original-url", "https://w.ws.example:8443/lab?x=%2F..&y"),
        ("x-original-method", "POST"),
        ("x-sent-from", "nginx-ingress-controller"),
        ("cookie", "__Host-ws=t"),
        ("x-forwarded-for", "10.0.0.1"),
    ];

    #[test]
    fn only_headers_that_the_proxy_writes_are_trusted() {
        let expected = ["POST", "w.ws.example:8443", "/lab?x=%2F..&y"].map(str::to_owned);
        let lies = [
            ("x-forwarded-host", "other.ws.example"),
            ("x-forwarded-uri", "/other"),
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "http"),
            ("x_original_url", "https://other.ws.example/"),
            ("x.forwarded.host", "other.ws.example"),
        ];
        assert_eq!(
            read(ProxyKind::Nginx, "/verify/nginx", &[&NGINX[..], &lies].concat()),
            Ok(expected)
        );
        let envoy = [("host", "w.ws.example"), ("x-forwarded-proto", "https")];
        let lies = [
            ("x-original-url", "https://other.ws.example/"),
            ("x-forwarded-uri", "/other"),
            ("x-envoy-original-path", "/other"),
        ];
        assert_eq!(
            read(
                ProxyKind::Envoy,
                "/ext_authz/lab?x=%2F..&y",
                &[&envoy[..], &lies].concat()
            ),
            Ok(["PUT", "w.ws.example", "/lab?x=%2F..&y"].map(str::to_owned))
        );
    }

    #[test]
    fn required_headers_of_a_proxy_appear_once_and_name_https() {
        for wrong in [
            &NGINX[2..],
            &NGINX[..2],
            &[&NGINX[..], &[("x-original-url", "https://w.ws.example/")]].concat(),
            &[&NGINX[..], &[("x-original-method", "POST")]].concat(),
            &[("x-original-url", "http://w.ws.example/"), NGINX[2]],
            &[("x-original-url", ""), NGINX[2]],
            &[("x-original-url", "https://w.ws.example"), NGINX[2]],
            &[("x-original-method", ""), NGINX[1]],
            &[&NGINX[..], &[("upgrade", "tunnel")]].concat(),
            &[&NGINX[..], &[("upgrade", "websocket"), ("upgrade", "websocket")]].concat(),
        ] {
            assert_eq!(
                read(ProxyKind::Nginx, "/verify/nginx", wrong),
                Err(Malformed),
                "{wrong:?}"
            );
        }
        let envoy = [("host", "w.ws.example"), ("x-forwarded-proto", "https")];
        for (path, wrong) in [
            ("/ext_authz/", &envoy[..1]),
            ("/ext_authz/", &envoy[1..]),
            ("/ext_authz/", &[envoy[0], ("x-forwarded-proto", "http")]),
            ("/ext_authz/", &[envoy[0], envoy[0], envoy[1]]),
            ("/ext_authz/", &[envoy[0], envoy[1], envoy[1]]),
            ("/ext_authzlab", &envoy),
            ("/ext_authz", &envoy),
            // A request that a proxy forwards to the relay.
            (
                "/ext_authz/",
                &[envoy[0], envoy[1], ("x-forwarded-host", "w.ws.example")],
            ),
            (
                "/ext_authz/",
                &[envoy[0], envoy[1], ("x-forwarded-server", "proxy")],
            ),
        ] {
            assert_eq!(
                read(ProxyKind::Envoy, path, wrong),
                Err(Malformed),
                "{path} {wrong:?}"
            );
        }
    }

    fn given(status: StatusCode, lines: &[(&str, &'static str)]) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = headers(lines);
        response
    }

    #[test]
    fn an_answer_that_allows_leaves_none_of_the_browsers_own_headers_in_place() {
        let strip = StripList::default().with_headers(["Remote-User", "X-Vouch-"].map(str::to_owned));
        let renewed = given(StatusCode::OK, &[("set-cookie", "__Host-ws=new")]);
        let renewed = answer(ProxyKind::Nginx, renewed, &strip);
        assert_eq!(renewed.headers()[COOKIE], "");
        assert_eq!(renewed.headers()[AUTHORIZATION], "");
        assert_eq!(renewed.headers()[SET_COOKIE], "__Host-ws=new");
        let kept = given(StatusCode::OK, &[("cookie", "_xsrf=1")]);
        let kept = answer(ProxyKind::Nginx, kept, &strip);
        assert_eq!(kept.headers()[COOKIE], "_xsrf=1");
        let none = answer(ProxyKind::Envoy, given(StatusCode::OK, &[]), &strip);
        let removed = none.headers()[REMOVE].to_str().unwrap();
        assert!(removed.starts_with("cookie,authorization"), "{removed}");
        let some = answer(
            ProxyKind::Envoy,
            given(StatusCode::OK, &[("cookie", "_xsrf=1")]),
            &strip,
        );
        let removed = some.headers()[REMOVE].to_str().unwrap();
        assert!(removed.split(',').all(|name| name != "cookie"), "{removed}");
        assert_eq!(
            removed,
            "authorization,workspace-assertion,workspace-ticket,remote-user"
        );
    }

    #[test]
    fn nginx_gets_401_403_or_an_error_and_never_a_redirect() {
        for (status, message) in [
            (302, 401),
            (401, 401),
            (403, 403),
            (400, 403),
            (404, 403),
            (421, 403),
            (503, 503),
        ] {
            let lines = [
                ("location", "https://auth.ws.example/"),
                ("set-cookie", "__Host-ws-pre=1"),
            ];
            let given = given(StatusCode::from_u16(status).unwrap(), &lines);
            let answer = answer(ProxyKind::Nginx, given, &StripList::default());
            assert_eq!(answer.status().as_u16(), message, "{status}");
            assert!(!answer.headers().contains_key(LOCATION) && !answer.headers().contains_key(SET_COOKIE));
        }
        let given = given(StatusCode::FOUND, &[("location", "https://auth.ws.example/")]);
        let answer = answer(ProxyKind::Envoy, given, &StripList::default());
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert!(answer.headers().contains_key(LOCATION));
    }
}
