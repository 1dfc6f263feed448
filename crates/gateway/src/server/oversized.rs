//! a request with more headers than are taken -> 431, which for a user also ends the cookies that made it so (pure).
//!
//! The transport reads more than is taken, as much as the proxy lets through: or it would answer by itself, with nothing. A workspace's
//! code and its siblings can fill a host with cookies until nothing of it opens any more, and nobody finds the setting of the
//! browser that helps. So the answer to a page load removes what was set for this host or its parent, the largest first, until half
//! of the room is free. Cookies of ours stay, and those that are kept from pods: they are others' sign-in. Nor is anything removed of
//! a domain above ours.
//!
//! Anybody can send such a request, and it may be as long as the proxy allows: what the answer costs does not grow with it.

use std::sync::Arc;

use api::manager::RoutingMode;
use axum::response::Response;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};

use crate::index::{Domain, Index};
use crate::pages::{self, Reader, Removed, render};
use crate::tokens::cookies::StripList;
use crate::tokens::{cookies, request_id};

/// Most cookies that one answer removes, and most lines for that, those for `/` first: answers have limits, too. The next page load goes
/// on where this one ended.
const MOST: usize = 40;
const LINES: usize = 80;
/// Bytes of these lines together.
const ROOM: usize = 64 * 1024;
/// Most paths that are tried for each, and the longest of them: browsers know none that is longer.
const PATHS: usize = 8;
const LONGEST_PATH: usize = 1024;
/// Most cookies that are looked at. Browsers keep fewer for one site; whoever sends more has made them up, and each costs time.
const MAX_EXAMINED: usize = 1_000;
/// The longest name: browsers keep no cookie with a longer one.
const LONGEST_NAME: usize = 4096;

/// What tells whose a cookie is.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    /// Knows the domain. While it does not, no parent's cookies are removed.
    pub index: Arc<Index>,
    /// Cookies that pods do not get stay.
    pub strip: StripList,
}

/// Bytes of all headers: names, values, and what HTTP/2 adds for each.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let of = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    headers.iter().map(of).sum()
}

/// The answer. `taken`: bytes of headers that would have been.
pub(super) async fn refuse(uri: Uri, headers: HeaderMap, taken: usize, owners: &Owners) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // The proxy's question names them so; a request that it hands over has them itself.
    let host = text("x-forwarded-host")
        .or_else(|| uri.authority().map(http::uri::Authority::as_str))
        .or_else(|| headers.get(HOST).and_then(|value| value.to_str().ok()));
    let path = text("x-forwarded-uri").unwrap_or_else(|| uri.path());
    let reader = Reader::of(&headers);
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

/// Names of cookies that are not ours, the largest first, until half of what is taken is enough for the rest; and whether it is.
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
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_token)
}

/// The domain above this host whose cookies are ours to remove: the base of hosts of workspaces. In mode Path the host is the base
/// itself, and what is above it is another user's.
fn parent(domain: &Domain, host: &str) -> Option<String> {
    let is_below = host
        .to_ascii_lowercase()
        .strip_suffix(domain.base())
        .is_some_and(|label| label.len() > 1 && label.ends_with('.'));
    (is_below && domain.mode() == RoutingMode::Subdomain).then(|| domain.base().to_owned())
}

/// Nobody tells for which path and domain a cookie was set: all that can be are tried. Made one by one, as they are taken.
fn removals<'a>(
    names: &'a [&'a str],
    parent: Option<&'a str>,
    path: &'a str,
) -> impl Iterator<Item = String> + 'a {
    paths(path).flat_map(move |path| {
        names.iter().flat_map(move |name| {
            let line = format!("{name}=; Path={path}; Max-Age=0; Secure");
            // A cookie called so has no domain.
            let parent = parent.filter(|_| !name.to_ascii_lowercase().starts_with("__host-"));
            let of_parent = parent.map(|parent| format!("{line}; Domain={parent}"));
            of_parent.into_iter().chain([line])
        })
    })
}

/// Paths of cookies that go with a request for this one, the shortest first.
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
    async fn a_user_is_rid_of_the_largest_cookies_and_of_none_of_ours() {
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
        // The bare base is no workspace's host, and what is above it is the company's.
        let (_, lines) = removed(folder).await;
        assert!(lines.iter().all(|line| !line.contains("Domain=")), "{lines:#?}");
    }

    #[test]
    fn a_cookie_that_needs_a_host_is_not_removed_from_a_domain() {
        let lines: Vec<_> = removals(&["__Host-other"], Some("ws.example"), "/").collect();
        assert_eq!(lines, ["__Host-other=; Path=/; Max-Age=0; Secure"]);
    }
}
