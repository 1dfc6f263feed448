//! headers of a browser -> headers that a pod may see (pure).
//!
//! Only this file decides it. `/verify` returns the result to the proxy, which replaces its own copies with it. The relay sends it
//! itself.

use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::tokens::cookies::{self, StripList};

/// Attests the user to the workspace's application.
pub(crate) const ASSERTION: HeaderName = HeaderName::from_static(api::names::ASSERTION_HEADER);
/// Ticket of a program.
pub(crate) const TICKET: HeaderName = HeaderName::from_static(api::names::TICKET_HEADER);

/// Headers of which the proxy must replace every copy. `/verify` returns what the pod may see instead; a header that it omits is
/// deleted.
pub(crate) const REPLACED: [HeaderName; 4] = [COOKIE, AUTHORIZATION, ASSERTION, TICKET];

/// Puts the replacements of [`REPLACED`] into `answer`: cookies without the gateway's, no Authorization, no ticket, the
/// assertion.
/// Only the portal may get an `Authorization`, which `verify/portal.rs` adds.
pub(crate) fn replace(
    answer: &mut HeaderMap,
    request: &HeaderMap,
    strip: &StripList,
    assertion: HeaderValue,
) {
    if let Some(cookie) = strip.keep(request) {
        answer.insert(COOKIE, cookie);
    }
    answer.insert(ASSERTION, assertion);
}

/// All headers of a websocket handshake, as the pod may see them.
///
/// Removed: what [`REPLACED`] replaces, headers that `strip` names, hop-by-hop headers, and those that `Connection` names. Also
/// everything that names a client or a proxy, and aliases (names with `_` or `.` that some servers read as `-`).
/// What the proxy writes into other requests is written anew from `host` (with port as browsers send it) and from the address of
/// `client`. The caller adds the handshake's own `Connection` and `Upgrade`.
pub(crate) fn for_relay(
    request: &HeaderMap,
    strip: &StripList,
    (host, client): (&HeaderValue, Option<IpAddr>),
    assertion: HeaderValue,
) -> HeaderMap {
    let named_by_connection: Vec<HeaderName> = request
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let mut headers = HeaderMap::with_capacity(request.keys_len() + 6);
    for (name, value) in request {
        let drop = REPLACED.contains(name)
            || is_hop_by_hop(name)
            || is_forwarding(name)
            || strip.removes_header(name)
            || name.as_str().contains(['_', '.'])
            || (named_by_connection.contains(name) && !is_handshake(name));
        if !drop {
            headers.append(name, value.clone());
        }
    }
    replace(&mut headers, request, strip, assertion);
    headers.insert(HOST, host.clone());
    headers.insert("x-forwarded-host", host.clone());
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    headers.insert("x-forwarded-port", port(host));
    if let Some(client) = client.and_then(|client| HeaderValue::try_from(client.to_string()).ok()) {
        headers.insert("x-forwarded-for", client.clone());
        headers.insert("x-real-ip", client);
    }
    headers
}

/// The port that the browser connects to.
fn port(host: &HeaderValue) -> HeaderValue {
    let port = host.as_bytes().iter().position(|byte| *byte == b':');
    let port = port.and_then(|colon| HeaderValue::from_bytes(&host.as_bytes()[colon + 1..]).ok());
    port.unwrap_or(HeaderValue::from_static("443"))
}

/// Answer headers that change the browser's state for the whole origin beyond this answer. The proxy overrides them as well.
const OF_THE_ORIGIN: [&str; 6] = [
    "strict-transport-security",
    "nel",
    "report-to",
    "alt-svc",
    "clear-site-data",
    "service-worker-allowed",
];

/// Removes from a pod's answer what only the gateway may set on a workspace's host. These are cookies with the gateway's names,
/// [`OF_THE_ORIGIN`], and hop-by-hop headers other than the handshake's.
pub(crate) fn from_pod(answer: &mut HeaderMap) {
    let kept: Vec<HeaderValue> = answer
        .get_all(SET_COOKIE)
        .iter()
        .filter(|line| !cookies::sets_ours(line))
        .cloned()
        .collect();
    answer.remove(SET_COOKIE);
    for line in kept {
        answer.append(SET_COOKIE, line);
    }
    for name in [TE, TRAILER, TRANSFER_ENCODING, PROXY_AUTHENTICATE] {
        answer.remove(name);
    }
    for name in OF_THE_ORIGIN {
        answer.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        CONNECTION,
        UPGRADE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
    ]
    .contains(name)
        || matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "http2-settings"
        )
}

fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded")
        || matches!(
            name,
            "forwarded" | "x-real-ip" | "x-original-url" | "x-rewrite-url"
        )
}

/// Headers that a websocket handshake needs, whatever `Connection` names.
fn is_handshake(name: &HeaderName) -> bool {
    name.as_str().starts_with("sec-websocket-") || name == "origin"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_handshake_reaches_the_pod_without_our_secrets_or_the_clients_claims() {
        let request = headers(&[
            ("host", "evil.example"),
            ("cookie", "__Host-ws=t; _xsrf=1"),
            ("cookie", "__HOST-SESSION=s"),
            ("authorization", "Bearer b"),
            ("workspace-ticket", "t"),
            ("workspace-assertion", "forged"),
            ("Workspace-Assertion", "forged, too"),
            ("workspace_assertion", "forged"),
            ("proxy-authorization", "Basic x"),
            ("connection", "Upgrade, X-Secret, Sec-WebSocket-Key, Cookie"),
            ("upgrade", "websocket"),
            ("x-secret", "1"),
            ("x_forwarded_host", "evil.example"),
            ("x.forwarded.host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-port", "22"),
            ("x-forwarded-user", "root"),
            ("x-real-ip", "10.0.0.1"),
            ("x-auth-request-user", "root"),
            ("Remote-User", "root"),
            ("x-pomerium-claim-email", "root@ws.example"),
            ("forwarded", "for=10.0.0.1"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "v1.kernel.websocket.jupyter.org"),
            ("origin", "https://w.ws.example:8443"),
            ("user-agent", "browser"),
        ]);
        let host = HeaderValue::from_static("w.ws.example:8443");
        let ours = HeaderValue::from_static("ours");
        let named = ["X-Auth-Request-User", "Remote-User", "X-Pomerium-"].map(str::to_owned);
        let strip = StripList::default().with_headers(named);
        let client = "203.0.113.7".parse().ok();
        let pod = for_relay(&request, &strip, (&host, client), ours.clone());
        let expected = headers(&[
            ("host", "w.ws.example:8443"),
            ("cookie", "_xsrf=1"),
            ("workspace-assertion", "ours"),
            ("x-forwarded-host", "w.ws.example:8443"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-real-ip", "203.0.113.7"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "v1.kernel.websocket.jupyter.org"),
            ("origin", "https://w.ws.example:8443"),
            ("user-agent", "browser"),
        ]);
        assert_eq!(pod, expected);

        let host = HeaderValue::from_static("w.ws.example");
        let pod = for_relay(&request, &strip, (&host, None), ours);
        assert_eq!(pod["x-forwarded-port"], "443");
        for name in ["x-forwarded-for", "x-real-ip"] {
            assert!(
                !pod.contains_key(name),
                "what the client wrote counts for nothing: {name}"
            );
        }
    }

    #[test]
    fn a_pod_sets_neither_our_cookies_nor_what_holds_for_the_whole_origin() {
        let mut answer = headers(&[
            ("strict-transport-security", "max-age=0"),
            ("nel", "{}"),
            ("report-to", "{}"),
            ("alt-svc", "h3=\":443\""),
            ("clear-site-data", "\"*\""),
            ("set-cookie", "__Host-ws=forged; Path=/; Secure"),
            ("set-cookie", " __host-session =forged"),
            ("set-cookie", "_xsrf=1; Path=/"),
            ("set-cookie", "x=1; __Host-ws=2"),
            ("sec-websocket-accept", "a"),
        ]);
        from_pod(&mut answer);
        let left: Vec<_> = answer.get_all("set-cookie").iter().collect();
        assert_eq!(left, ["_xsrf=1; Path=/", "x=1; __Host-ws=2"]);
        assert_eq!(answer["sec-websocket-accept"], "a");
        assert!(
            OF_THE_ORIGIN.iter().all(|name| !answer.contains_key(*name)),
            "{answer:?}"
        );
    }
}
