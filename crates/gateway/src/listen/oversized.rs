//! a request with more headers than are taken -> 431, which for a person also ends the cookies that made it so (pure).
//!
//! The transport reads more than is taken, as much as the proxy lets through: or it would answer by itself, with nothing. A workspace's
//! code and its siblings can fill a host with cookies until nothing of it opens any more, and nobody finds the setting of the
//! browser that helps. So the answer to a page load removes what was set for this host or its parent, the largest first, until half
//! of the room is free. Cookies of ours stay: they are small, and nobody else can set them.

use axum::response::Response;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};

use crate::pages::{self, Reader, dress};
use crate::request::{cookies, id};

/// Most cookies that one answer removes, and most lines for that, those for `/` first: answers have limits, too. The next page load goes
/// on where this one ended.
const MOST: usize = 40;
const LINES: usize = 80;

/// Bytes of all headers: names, values, and what HTTP/2 adds for each.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let of = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    headers.iter().map(of).sum()
}

/// The answer. `taken`: bytes of headers that would have been.
pub(super) async fn refuse(uri: Uri, headers: HeaderMap, taken: usize) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // The proxy's question names them so; a request that it hands over has them itself.
    let host = text("x-forwarded-host")
        .or_else(|| uri.authority().map(http::uri::Authority::as_str))
        .or_else(|| headers.get(HOST).and_then(|value| value.to_str().ok()));
    let path = text("x-forwarded-uri").unwrap_or_else(|| uri.path());
    let reader = Reader::of(&headers);
    let (names, is_enough) = superfluous(&headers, taken);
    let removes = reader == Reader::Person && !names.is_empty();
    let mut response = pages::headers_too_large(removes && is_enough);
    if removes {
        let host = host.and_then(|host| host.split(':').next()).unwrap_or_default();
        for line in removals(&names, host, path) {
            if let Ok(line) = HeaderValue::try_from(line) {
                response.headers_mut().append(SET_COOKIE, line);
            }
        }
    }
    id::scope(async { dress(response, reader) }).await
}

/// Names of cookies that are not ours, the largest first, until half of what is taken is enough for the rest; and whether it is.
fn superfluous(headers: &HeaderMap, taken: usize) -> (Vec<&str>, bool) {
    let mut rest = size(headers);
    let mut pairs: Vec<(&str, usize)> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .map(|pair| (pair.split('=').next().unwrap_or_default().trim(), pair.len() + 1))
        .filter(|(name, _)| is_a_name(name) && !cookies::is_of_host(name))
        .collect();
    pairs.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut names = Vec::new();
    for (name, size) in pairs {
        if rest <= taken / 2 || names.len() == MOST {
            break;
        }
        rest -= size.min(rest);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (names, rest <= taken)
}

/// What browsers let a cookie be called that they can be told to remove.
fn is_a_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Nobody tells for which path and domain a cookie was set: all that can be are tried.
fn removals(names: &[&str], host: &str, path: &str) -> Vec<String> {
    let parent = host.split_once('.').map(|(_, parent)| parent);
    let parent = parent.filter(|parent| parent.contains('.') || parent.ends_with("localhost"));
    let mut lines = Vec::new();
    for path in paths(path) {
        for name in names {
            let line = format!("{name}=; Path={path}; Max-Age=0; Secure");
            // A cookie called so has no domain.
            if let Some(parent) = parent.filter(|_| !name.to_ascii_lowercase().starts_with("__host-")) {
                lines.push(format!("{line}; Domain={parent}"));
            }
            lines.push(line);
        }
    }
    lines.truncate(LINES);
    lines
}

/// Paths of cookies that go with a request for this one.
fn paths(path: &str) -> Vec<&str> {
    let path = path.split(['?', '#', ';']).next().unwrap_or_default();
    let mut found = vec!["/"];
    for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
        found.push(&path[..at]);
        found.push(&path[..=at]);
    }
    if path.len() > 1 && !path.ends_with('/') {
        found.push(path);
    }
    found
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn headers(cookie: &str, person: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().unwrap());
        headers.insert("x-forwarded-host", "lab-abc.ws.example:8443".parse().unwrap());
        headers.insert("x-forwarded-uri", "/lab/tree?x=1".parse().unwrap());
        let dest = if person { "document" } else { "empty" };
        headers.insert("sec-fetch-dest", dest.parse().unwrap());
        headers
    }

    async fn removed(headers: HeaderMap) -> (StatusCode, Vec<String>) {
        let response = refuse(Uri::from_static("/verify"), headers, 4_000).await;
        let lines = response.headers().get_all(SET_COOKIE).iter();
        let lines = lines.map(|line| line.to_str().unwrap().to_owned()).collect();
        (response.status(), lines)
    }

    #[tokio::test]
    async fn a_person_is_rid_of_the_largest_cookies_and_of_none_of_ours() {
        let big = "x".repeat(3_000);
        let cookie = format!("small=1; __Host-ws={big}; tossed={big}; _xsrf=y; bad\"name={big}");
        let (status, lines) = removed(headers(&cookie, true)).await;
        assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        for line in [
            "tossed=; Path=/; Max-Age=0; Secure",
            "tossed=; Path=/; Max-Age=0; Secure; Domain=ws.example",
            "tossed=; Path=/lab; Max-Age=0; Secure",
            "tossed=; Path=/lab/; Max-Age=0; Secure; Domain=ws.example",
            "tossed=; Path=/lab/tree; Max-Age=0; Secure",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} in {lines:#?}");
        }
        assert!(
            lines
                .iter()
                .all(|line| !line.starts_with("__Host-ws") && !line.contains("bad"))
        );
    }

    #[tokio::test]
    async fn a_script_is_only_told() {
        let (status, lines) = removed(headers(&format!("a={}", "x".repeat(5_000)), false)).await;
        assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert_eq!(lines, <Vec<String>>::new());
    }

    #[tokio::test]
    async fn the_answer_stays_small_whatever_comes() {
        let many: Vec<String> = (0..2_000)
            .map(|number| format!("n{number}=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
            .collect();
        let mut headers = headers(&many.join("; "), true);
        headers.insert(
            "x-forwarded-uri",
            format!("/{}", "a/".repeat(500)).parse().unwrap(),
        );
        let (_, lines) = removed(headers).await;
        assert_eq!(lines.len(), LINES);
        assert!(
            lines.iter().all(|line| line.contains("; Path=/; ")),
            "of all first what was set for all paths"
        );
    }

    #[test]
    fn a_cookie_that_needs_a_host_is_not_removed_from_a_domain() {
        let lines = removals(&["__Host-other"], "lab.ws.example", "/");
        assert_eq!(lines, ["__Host-other=; Path=/; Max-Age=0; Secure"]);
    }
}
