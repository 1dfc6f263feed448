//! request with too many headers -> 431; for a page load it also removes cookies (pure).
//!
//! hyper has a limit, too (`max_header_list_size`), but answers with an empty 431. So it reads more than the limit here, as much as the
//! proxy forwards. A workspace's code and its siblings can fill a host with cookies until no page of it opens any more. Users do not find
//! the browser's setting that helps. So the answer to a page load removes cookies of this host or its parent, the largest first,
//! until half of the limit is free. The gateway's cookies stay. Those that never reach pods stay, too: they belong to other sign-in
//! services. No cookies of a domain above the gateway's are removed.
//!
//! Any client can send such a request, as long as the proxy allows. The cost of the answer does not grow with it.

use std::sync::Arc;

use api::manager::RoutingMode;
use axum::response::Response;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};

use crate::index::{Domain, Index};
use crate::pages::{self, Reader, Removed, render};
use crate::tokens::cookies::StripList;
use crate::tokens::{cookies, request_id};

/// Maximum number of cookies that one answer removes, and of lines for that, those for `/` first, because answers have limits, too.
/// The next page load continues.
const MAX: usize = 40;
const LINES: usize = 80;
/// Maximum bytes of these lines together.
const ROOM: usize = 64 * 1024;
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
    /// Cookies that never reach pods stay.
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
    let (names, is_enough) = superfluous(&headers, taken, &owners.strip);
    let removes = reader == Reader::Browser && !names.is_empty();
    let mut response = pages::headers_too_large(match (removes, is_enough) {
        (true, true) => Removed::Enough,
        (true, false) => Removed::Some,
        (false, _) => Removed::Nothing,
    });
    if removes {
        let host = host.and_then(|host| host.split(':').next()).unwrap_or_default();
        let parent = owners
            .index
            .load()
            .domain()
            .and_then(|domain| parent(domain, host));
        let mut room = ROOM;
        for line in removals(&names, parent.as_deref(), path).take(LINES) {
            let Some(left) = room.checked_sub(line.len()) else {
                break;
            };
            room = left;
            if let Ok(line) = HeaderValue::try_from(line) {
                response.headers_mut().append(SET_COOKIE, line);
            }
        }
    }
    request_id::scope(async { render(response, reader) }).await
}

/// Names of cookies that are not the gateway's, the largest first, until the rest fits in half of the limit. The flag tells whether
/// the rest fits in the limit.
fn superfluous<'a>(headers: &'a HeaderMap, taken: usize, strip: &StripList) -> (Vec<&'a str>, bool) {
    let mut rest = size(headers);
    let mut pairs: Vec<(&str, usize)> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .take(MAX_EXAMINED)
        .map(|pair| (pair.split('=').next().unwrap_or_default().trim(), pair.len() + 1))
        .filter(|(name, _)| is_a_name(name) && !cookies::is_ours(name) && !strip.names(name))
        .collect();
    pairs.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut names = Vec::new();
    for (name, size) in pairs {
        if rest <= taken / 2 || names.len() == MAX {
            break;
        }
        rest -= size.min(rest);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (names, rest <= taken)
}

/// Whether browsers accept a Set-Cookie line that removes a cookie of this name.
fn is_a_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_token)
}

/// The parent domain of this host whose cookies the gateway may remove: the base of workspaces' hosts. In mode Path the host is the
/// base itself, and the domain above it belongs to others.
fn parent(domain: &Domain, host: &str) -> Option<String> {
    let is_below = host
        .to_ascii_lowercase()
        .strip_suffix(domain.base())
        .is_some_and(|label| label.len() > 1 && label.ends_with('.'));
    (is_below && domain.mode() == RoutingMode::Subdomain).then(|| domain.base().to_owned())
}

/// The path and domain of a cookie are unknown, so all possible ones are tried. An iterator, to make only as many lines as needed.
fn removals<'a>(
    names: &'a [&'a str],
    parent: Option<&'a str>,
    path: &'a str,
) -> impl Iterator<Item = String> + 'a {
    paths(path).flat_map(move |path| {
        names.iter().flat_map(move |name| {
            let line = format!("{name}=; Path={path}; Max-Age=0; Secure");
            // A `__Host-` cookie has no domain.
            let parent = parent.filter(|_| !name.to_ascii_lowercase().starts_with("__host-"));
            let of_parent = parent.map(|parent| format!("{line}; Domain={parent}"));
            of_parent.into_iter().chain([line])
        })
    })
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
        removed_in(RoutingMode::Subdomain, headers).await
    }

    async fn removed_in(mode: RoutingMode, headers: HeaderMap) -> (StatusCode, Vec<String>) {
        let domain = Domain::new("ws.example", 8443).in_mode(mode);
        let owners = Owners {
            index: Arc::new(Index::with(Snapshot::new(Some(domain), None::<Target>))),
            strip: StripList::new(["SMSESSION".to_owned()]),
        };
        let response = refuse(Uri::from_static("/verify"), headers, 4_000, &owners).await;
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
        assert!(
            lines.iter().all(|line| line.contains("; Path=/; ")),
            "of all first what was set for all paths"
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
        assert_eq!(removals(&["n"], Some("ws.example"), &path).count(), 2 * PATHS);
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

    #[tokio::test]
    async fn others_cookies_stay_and_so_do_those_of_a_folder() {
        let big = "x".repeat(3_000);
        let cookie = format!("__Secure-ws={big}; __Host-ws-browser={big}; smsession2={big}; tossed={big}");
        let mut folder = headers(&cookie, true);
        folder.insert("x-forwarded-host", "ws.example:8443".parse().unwrap());
        folder.insert("x-forwarded-uri", "/workspaces/team/lab/tree".parse().unwrap());
        let (_, lines) = removed_in(RoutingMode::Path, folder.clone()).await;
        assert!(lines.contains(&"tossed=; Path=/workspaces/team/; Max-Age=0; Secure".to_owned()));
        assert!(
            lines.iter().all(|line| line.starts_with("tossed=;")),
            "{lines:#?}"
        );
        assert!(lines.iter().all(|line| !line.contains("Domain=")), "{lines:#?}");
        // The bare base is no workspace's host, and the domain above it is the company's.
        let (_, lines) = removed(folder).await;
        assert!(lines.iter().all(|line| !line.contains("Domain=")), "{lines:#?}");
    }

    #[test]
    fn a_cookie_that_needs_a_host_is_not_removed_from_a_domain() {
        let lines: Vec<_> = removals(&["__Host-other"], Some("ws.example"), "/").collect();
        assert_eq!(lines, ["__Host-other=; Path=/; Max-Age=0; Secure"]);
    }
}
