//! request with too many headers -> 431; for a page load it also removes cookies (pure).
//!
//! hyper has a limit, too (`max_header_list_size`), but answers with an empty 431. So it reads more than the limit here, as much as the
//! proxy forwards. A workspace's code and its siblings can fill a host with cookies until no page of it opens any more. Users do not find
//! the browser's setting that helps. So the answer to a page load removes cookies of this host and of the base domain, the largest first,
//! until half of the limit is free. The gateway's cookies stay. Those that never reach pods go last: they may belong to other sign-in
//! services. No cookies of a domain above the gateway's are removed.
//!
//! Any client can send such a request, as long as the proxy allows. The cost of the answer does not grow with it.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::response::Response;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};

use crate::index::{Domain, Index};
use crate::pages::{self, Reader, render};
use crate::tokens::cookies::StripList;
use crate::tokens::{cookies, request_id};

/// Maximum number of lines of one answer that remove cookies, because answers have limits, too: the 180 cookies that browsers keep for a
/// site, of two domains. The next page load continues.
const LINES: usize = 400;
/// Maximum bytes of these lines together. The longest name has room with the longest paths, so each answer removes a cookie.
const ROOM: usize = 96 * 1024;
/// Maximum number of paths that are tried for each cookie, and their maximum length: browsers store no longer ones.
const PATHS: usize = 8;
const LONGEST_PATH: usize = 1024;
/// Maximum number of cookies that are examined, since each costs time. Browsers store fewer for one site; a client that sends more
/// has invented them.
const MAX_EXAMINED: usize = 1_000;
/// Maximum length of a name: browsers store no cookie with a longer one.
const LONGEST_NAME: usize = 4096;

/// The cookies that must not be removed.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    /// Provides the domain. Before it is known, no cookies of a parent domain are removed.
    pub index: Arc<Index>,
    /// Cookies that never reach pods go last.
    pub strip: StripList,
}

/// Bytes of all headers: names, values, and what HTTP/2 adds for each.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let of = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    headers.iter().map(of).sum()
}

/// The answer. `taken`: maximum bytes of headers.
pub(super) async fn refuse(uri: Uri, headers: HeaderMap, taken: usize, owners: &Owners) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // The header of the proxy's auth request. A forwarded request has the host itself.
    let host = text("x-forwarded-host")
        .or_else(|| uri.authority().map(http::uri::Authority::as_str))
        .or_else(|| headers.get(HOST).and_then(|value| value.to_str().ok()));
    let path = text("x-forwarded-uri").unwrap_or_else(|| uri.path());
    let reader = Reader::from_headers(&headers);
    let lines = if reader == Reader::Browser {
        let host = host.and_then(|host| host.split(':').next()).unwrap_or_default();
        let index = owners.index.load();
        let base = index.domain().and_then(|domain| base_of(domain, host));
        removals(&headers, taken, &owners.strip, base, path)
    } else {
        Vec::new()
    };
    let mut response = pages::headers_too_large(!lines.is_empty());
    for line in lines {
        response.headers_mut().append(SET_COOKIE, line);
    }
    request_id::scope(async { render(response, reader) }).await
}

/// Lines that remove cookies, the largest first, until the rest fits in half of the limit. A cookie gets all of its lines in one answer:
/// where it lies is unknown, and each page load should leave fewer.
fn removals(
    headers: &HeaderMap,
    taken: usize,
    strip: &StripList,
    base: Option<&str>,
    path: &str,
) -> Vec<HeaderValue> {
    let (mut rest, mut room) = (size(headers), ROOM);
    let (mut names, mut lines) = (Vec::new(), Vec::new());
    for (name, size) in foreign(headers, strip) {
        if rest <= taken / 2 {
            break;
        }
        if !names.contains(&name) {
            let of_name = removal(name, base, path);
            let bytes: usize = of_name.iter().map(HeaderValue::len).sum();
            if bytes > room || lines.len() + of_name.len() > LINES {
                break;
            }
            room -= bytes;
            lines.extend(of_name);
            names.push(name);
        }
        rest -= size.min(rest);
    }
    lines
}

/// Names and sizes of cookies that are not the gateway's, in the order of their removal.
fn foreign<'a>(headers: &'a HeaderMap, strip: &StripList) -> Vec<(&'a [u8], usize)> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs: Vec<(&[u8], usize)> = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .take(MAX_EXAMINED)
        .map(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=');
            // A cookie without a name is sent as its value alone.
            (pair[..end.unwrap_or_default()].trim_ascii(), pair.len() + 1)
        })
        .filter(|(name, _)| name.len() <= LONGEST_NAME)
        .filter(|(name, _)| !std::str::from_utf8(name).is_ok_and(cookies::is_ours))
        .collect();
    pairs.sort_by_key(|(name, size)| (strip.has(name), Reverse(*size)));
    pairs
}

/// The base domain, if this host is the base or below it: all of these hosts are the gateway's.
fn base_of<'a>(domain: &'a Domain, host: &str) -> Option<&'a str> {
    let host = host.to_ascii_lowercase();
    let above = host.strip_suffix(domain.base());
    above
        .is_some_and(|label| label.is_empty() || label.ends_with('.'))
        .then(|| domain.base())
}

/// Lines that remove the cookies of one name. Their paths and domains are unknown, so all possible ones are tried.
fn removal(name: &[u8], base: Option<&str>, path: &str) -> Vec<HeaderValue> {
    // A `__Host-` cookie has no domain. A value without a name needs one.
    let base = base.filter(|_| !name.to_ascii_lowercase().starts_with(b"__host-"));
    let value = if name.is_empty() { "=-" } else { "=" };
    let mut lines = Vec::new();
    for path in paths(path) {
        let line = format!("{value}; Path={path}; Max-Age=0; Secure");
        let of_base = base.map(|base| format!("{line}; Domain={base}"));
        for rest in [Some(line), of_base].into_iter().flatten() {
            lines.extend(HeaderValue::try_from([name, rest.as_bytes()].concat()));
        }
    }
    lines
}

/// Paths of cookies that browsers send with a request for this path, the shortest first.
fn paths(path: &str) -> impl Iterator<Item = &str> {
    let path = path.split(['?', '#', ';']).next().unwrap_or_default();
    let above = path.match_indices('/').filter(|(at, _)| *at > 0);
    let above = above.flat_map(|(at, _)| [&path[..at], &path[..=at]]);
    let whole = Some(path).filter(|path| path.len() > 1 && !path.ends_with('/'));
    std::iter::once("/")
        .chain(above)
        .chain(whole)
        .take_while(|path| path.len() <= LONGEST_PATH)
        .take(PATHS)
}

#[cfg(test)]
mod tests {
    use api::manager::RoutingMode;
    use http::StatusCode;

    use super::*;
    use crate::index::{Snapshot, Target};

    fn headers(cookie: &str, user: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().unwrap());
        headers.insert("x-forwarded-host", "lab-abc.ws.example:8443".parse().unwrap());
        headers.insert("x-forwarded-uri", "/lab/tree?x=1".parse().unwrap());
        let dest = if user { "document" } else { "empty" };
        headers.insert("sec-fetch-dest", dest.parse().unwrap());
        headers
    }

    async fn removed(headers: HeaderMap) -> (StatusCode, Vec<String>) {
        removed_in(RoutingMode::Subdomain, 4_000, headers).await
    }

    async fn removed_in(mode: RoutingMode, taken: usize, headers: HeaderMap) -> (StatusCode, Vec<String>) {
        let domain = Domain::new("ws.example", 8443).in_mode(mode);
        let owners = Owners {
            index: Arc::new(Index::with(Snapshot::new(Some(domain), None::<Target>))),
            strip: StripList::new(["SMSESSION".to_owned()]),
        };
        let response = refuse(Uri::from_static("/verify"), headers, taken, &owners).await;
        let lines = response.headers().get_all(SET_COOKIE).iter();
        let lines = lines.map(|line| line.to_str().unwrap().to_owned()).collect();
        (response.status(), lines)
    }

    #[tokio::test]
    async fn the_largest_foreign_cookies_of_a_user_are_removed() {
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
            "bad\"name=; Path=/; Max-Age=0; Secure; Domain=ws.example",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} in {lines:#?}");
        }
        assert!(lines.iter().all(|line| !line.starts_with("__Host-ws")));
    }

    #[tokio::test]
    async fn a_script_gets_431_without_cookie_removal() {
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
        let names = lines.iter().filter(|line| line.contains("; Path=/; "));
        assert_eq!(
            names.count(),
            LINES / PATHS,
            "each cookie on all paths, in both domains"
        );
    }

    #[tokio::test]
    async fn the_longest_path_and_name_cost_no_more_than_others() {
        let many: Vec<String> = (0..2_000)
            .map(|number| format!("n{number}={}", "x".repeat(90)))
            .collect();
        let mut long = headers(&many.join("; "), true);
        let path = "/a".repeat(100_000);
        long.insert("x-forwarded-uri", path.parse().unwrap());
        let (_, lines) = removed(long).await;
        assert_eq!(lines.len(), LINES);
        assert_eq!(paths(&path).count(), PATHS);
        assert_eq!(removal(b"n", Some("ws.example"), &path).len(), 2 * PATHS);
        let segment = format!("/{}/b", "a".repeat(200_000));
        assert_eq!(
            paths(&segment).collect::<Vec<_>>(),
            ["/"],
            "none that no browser knows"
        );

        let long = format!("{}=x; {}=x", "a".repeat(200_000), "b".repeat(4_000));
        let (_, lines) = removed(headers(&long, true)).await;
        assert!(lines.iter().all(|line| line.starts_with('b')));
        assert!(lines.iter().map(String::len).sum::<usize>() <= ROOM);
    }

    #[tokio::test]
    async fn more_cookies_than_browsers_keep_are_not_looked_at() {
        let big = "x".repeat(3_000);
        let within = format!("{}seen={big}; unseen={big}", "a; ".repeat(MAX_EXAMINED - 1));
        let (_, lines) = removed(headers(&within, true)).await;
        assert!(lines.iter().any(|line| line.starts_with("seen=;")), "{lines:#?}");
        assert!(
            lines.iter().all(|line| !line.starts_with("unseen=;")),
            "{lines:#?}"
        );
    }

    /// Page loads until the rest fits, of a browser with these cookies: name, whether of the base domain, path.
    async fn loads(mut jar: Vec<(String, bool, &str)>, value: &str) -> usize {
        let taken = crate::server::Limits::default().headers as usize;
        for load in 0.. {
            let pairs = jar.iter().map(|(name, ..)| match name.as_str() {
                "" => value.to_owned(),
                name => format!("{name}={value}"),
            });
            let headers = headers(&pairs.collect::<Vec<_>>().join("; "), true);
            if size(&headers) <= taken {
                return load;
            }
            let (_, lines) = removed_in(RoutingMode::Subdomain, taken, headers).await;
            let before = jar.len();
            jar.retain(|(name, is_of_base, path)| {
                let sets = if name.is_empty() { "=-" } else { "=" };
                let domain = if *is_of_base { "; Domain=ws.example" } else { "" };
                !lines.contains(&format!("{name}{sets}; Path={path}; Max-Age=0; Secure{domain}"))
            });
            assert!(jar.len() < before, "no cookie less: {lines:#?}");
        }
        unreachable!()
    }

    #[tokio::test]
    async fn as_many_cookies_as_a_browser_keeps_are_gone_after_a_few_page_loads() {
        let jar = |name: &str, is_of_base, path| {
            let named = (0..180).map(|number| (format!("{name}{number}"), is_of_base, path));
            named.collect::<Vec<_>>()
        };
        let big = "x".repeat(4_000);
        assert_eq!(loads(jar("tossed", true, "/"), &big).await, 4);
        assert_eq!(loads(jar("tossed", false, "/lab/"), &big).await, 4);
        // Names that no server would choose, and names that another sign-in service has.
        assert_eq!(loads(jar("\"odd name\"", true, "/lab/tree"), &big).await, 4);
        assert_eq!(loads(jar("SMSESSION", true, "/"), &big).await, 4);
        let nameless = ["/", "/lab", "/lab/", "/lab/tree"].map(|path| (String::new(), true, path));
        assert_eq!(loads(nameless.to_vec(), &"x".repeat(20_000)).await, 1);
        // Names as long as a cookie may be.
        let longest = "n".repeat(4_000);
        assert!(loads(jar(&longest, true, "/lab/tree"), "").await < 90);
    }

    #[tokio::test]
    async fn the_gateway_s_cookies_stay_and_those_that_never_reach_pods_go_last() {
        let big = "x".repeat(3_000);
        let cookie = format!("__Secure-ws={big}; __Host-ws-browser={big}; smsession2={big}; tossed={big}");
        let mut folder = headers(&cookie, true);
        folder.insert("x-forwarded-host", "ws.example:8443".parse().unwrap());
        folder.insert("x-forwarded-uri", "/workspaces/team/lab/tree".parse().unwrap());
        // The base is the gateway's, too. The domain above it is the company's.
        for mode in [RoutingMode::Path, RoutingMode::Subdomain] {
            let (_, lines) = removed_in(mode, 20_000, folder.clone()).await;
            let line = "tossed=; Path=/workspaces/team/; Max-Age=0; Secure";
            assert!(lines.contains(&line.to_owned()));
            assert!(lines.contains(&format!("{line}; Domain=ws.example")));
            assert!(
                lines.iter().all(|line| line.starts_with("tossed=;")),
                "{lines:#?}"
            );
        }
        let (_, lines) = removed(folder.clone()).await;
        let last = lines.last().unwrap();
        assert!(last.starts_with("smsession2=;"), "{lines:#?}");
        folder.insert("x-forwarded-host", "other-ws.example".parse().unwrap());
        let (_, lines) = removed(folder).await;
        assert!(lines.iter().all(|line| !line.contains("Domain=")), "{lines:#?}");
    }

    #[test]
    fn a_cookie_that_needs_a_host_is_not_removed_from_a_domain() {
        let lines = removal(b"__Host-other", Some("ws.example"), "/");
        assert_eq!(lines, ["__Host-other=; Path=/; Max-Age=0; Secure"]);
    }
}
