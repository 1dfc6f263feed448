//! method, Origin and Sec-Fetch headers -> may a ticket count, and is it a page load? (pure)
//!
//! Only page loads are redirected.
//!
//! Workspaces are siblings under one registrable domain. So browsers call them same-site, and `SameSite` cookies travel between
//! them. Headers that the browser itself writes distinguish a page of workspace A from a page of workspace B.

use http::header::{HeaderMap, HeaderName, ORIGIN};

use super::Malformed;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// What the browser reports about the origin of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    site: Option<&'a str>,
    mode: Option<&'a str>,
    dest: Option<&'a str>,
    origin: Option<&'a str>,
    /// The browser prefetches: no user has opened the page, and any page can cause it.
    ahead: bool,
}

impl<'a> Source<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// One of them came more than once or is not text.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Self, Malformed> {
        Ok(Self {
            site: single_token(headers, &SITE)?,
            mode: single_token(headers, &MODE)?,
            dest: single_token(headers, &DEST)?,
            origin: single(headers, &ORIGIN)?,
            ahead: headers.contains_key(PURPOSE),
        })
    }

    /// Whether a user opens a page. Only such requests are ever redirected. `accepts_html`: the Accept header names text/html; this
    /// is used only for browsers without Sec-Fetch headers.
    pub fn is_page_load(&self, method: &str, accepts_html: bool) -> bool {
        if self.has_fetch_metadata() {
            is_read(method) && self.is_navigation()
        } else {
            method == "GET" && accepts_html
        }
    }

    /// Whether a user sends a form whose answer the browser shows as a page.
    pub fn is_form(&self, method: &str, accepts_html: bool) -> bool {
        let is_shown = if self.has_fetch_metadata() {
            self.is_navigation()
        } else {
            accepts_html
        };
        is_shown && !is_read(method)
    }

    /// Whether a cookie may be used for this request to `origin` (`https://host[:port]`, computed only when needed).
    pub fn may_use_cookie(&self, method: &str, origin: impl FnOnce() -> String) -> bool {
        let read = is_read(method);
        match self.site {
            Some("same-origin") => true,
            _ if self.ahead => false,
            _ if read && self.is_navigation() => true,
            Some("none") => read,
            _ if self.has_fetch_metadata() => false,
            _ => self.origin.map_or(read, |sender| sender == origin()),
        }
    }

    /// Whether the request states exactly this origin.
    pub fn is_from(&self, origin: &str) -> bool {
        self.origin == Some(origin)
    }

    /// Whether the request states no origin, or this one (computed only when needed).
    pub fn is_unnamed_or_from(&self, origin: impl FnOnce() -> String) -> bool {
        self.origin.is_none_or(|sender| sender == origin())
    }

    /// Whether the browser reports anything but a user opening a page (frames, fetches, images).
    pub fn is_embedded(&self) -> bool {
        self.has_fetch_metadata() && !self.is_navigation()
    }

    /// Whether the browser reports anything at all about the request. Programs do not.
    pub fn has_fetch_metadata(&self) -> bool {
        self.site.is_some() || self.mode.is_some() || self.dest.is_some() || self.ahead
    }

    fn is_navigation(&self) -> bool {
        self.mode == Some("navigate") && self.dest == Some("document") && !self.ahead
    }
}

fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// The value of a header that may come once and never contains a comma. A comma shows that a proxy joined several lines, as Envoy
/// does.
fn single_token<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let value = single(headers, name)?;
    if value.is_some_and(|value| value.contains(',')) {
        return Err(Malformed);
    }
    Ok(value)
}

/// The value of a header that may come once.
///
/// # Errors
/// It came more than once or is not text.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map_err(|_| Malformed));
    if values.next().is_some() {
        return Err(Malformed);
    }
    first.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const OWN: &str = "https://w.ws.example:8443";
    const SIBLING: &str = "https://x.ws.example:8443";

    fn source(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    /// `row`: method, Sec-Fetch-Site, Sec-Fetch-Mode, Sec-Fetch-Dest, Origin; `-` for an absent header.
    fn passes(row: &str) -> bool {
        let fields: Vec<&str> = row.split(' ').collect();
        let mut headers = HeaderMap::new();
        for (name, value) in [SITE, MODE, DEST, ORIGIN].into_iter().zip(&fields[1..]) {
            let value = match *value {
                "-" => continue,
                "own" => OWN,
                "sibling" => SIBLING,
                other => other,
            };
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        Source::from_headers(&headers)
            .unwrap()
            .may_use_cookie(fields[0], || OWN.to_owned())
    }

    #[test]
    fn a_form_is_what_the_browser_shows_the_answer_of() {
        let form = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let is_form = |lines: &[_], method: &str, html: bool| {
            let headers = source(lines);
            Source::from_headers(&headers).unwrap().is_form(method, html)
        };
        assert!(is_form(&form, "POST", false));
        assert!(is_form(&[], "POST", true));
        assert!(!is_form(&form, "GET", true));
        assert!(!is_form(&[], "POST", false));
        assert!(!is_form(
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            "POST",
            true
        ));
        assert!(!is_form(
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            "POST",
            true
        ));
    }

    #[test]
    fn the_page_itself_and_users_who_open_pages_pass() {
        for row in [
            // (a) the page itself
            "GET same-origin - - -",
            "POST same-origin cors empty own",
            "DELETE same-origin cors empty -",
            "GET same-origin navigate iframe -",
            // (b) a user follows a link
            "GET cross-site navigate document -",
            "GET same-site navigate document -",
            "HEAD same-site navigate document -",
            // (c) typed address, bookmark, browser tool
            "GET none - - -",
            "HEAD none no-cors empty -",
            // (d) clients without Sec-Fetch headers
            "GET - - - -",
            "HEAD - - - -",
            "GET - - - own",
            "POST - - - own",
        ] {
            assert!(passes(row), "{row}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_same_site_counts_as_cross_site() {
        for row in [
            "POST same-site navigate document -",
            "POST cross-site navigate document -",
            "GET same-site navigate iframe -",
            "GET cross-site navigate embed -",
            "POST none navigate document -",
            "GET same-site no-cors script sibling",
            "GET same-site cors empty sibling",
            "GET same-site websocket websocket -",
            "POST same-site no-cors empty sibling",
            "OPTIONS same-site cors empty sibling",
            "GET cross-site no-cors image -",
            // An equal Origin does not override Sec-Fetch-Site.
            "POST same-site cors empty own",
            "GET - cors - own",
            "GET - - script -",
            "GET Same-Origin - - -",
            "POST - - - -",
            "OPTIONS - - - -",
            "GET - - - sibling",
            "POST - - - sibling",
            "POST - - - null",
            "GET - - - https://w.ws.example",
            "GET - - - https://w.ws.example:8443/",
            "GET - - - http://w.ws.example:8443",
            "get - - - -",
        ] {
            assert!(!passes(row), "{row}");
        }
    }

    #[test]
    fn prefetches_are_allowed_only_from_the_same_workspace() {
        let navigation = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        for purpose in ["prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip"] {
            for (site, counts) in [
                ("none", false),
                ("same-site", false),
                ("cross-site", false),
                ("same-origin", true),
            ] {
                let own = [("sec-purpose", purpose), ("sec-fetch-site", site)];
                let headers = source(&[&navigation[..], &own].concat());
                let source = Source::from_headers(&headers).unwrap();
                assert_eq!(
                    source.may_use_cookie("GET", || OWN.to_owned()),
                    counts,
                    "{purpose} {site}"
                );
                assert!(!source.is_page_load("GET", true), "no user is sent to sign in");
                assert!(source.is_embedded(), "the pages of the sign-in host do nothing");
            }
            let headers = source(&[("sec-purpose", purpose)]);
            let bare = Source::from_headers(&headers).unwrap();
            assert!(!bare.may_use_cookie("GET", || OWN.to_owned()) && !bare.is_page_load("GET", true));
        }
    }

    #[test]
    fn page_loads_are_navigations_or_html_requests_of_old_browsers() {
        let is_page_load = |method: &str, html: bool, headers: &[(&'static str, &'static str)]| {
            let headers = source(headers);
            Source::from_headers(&headers).unwrap().is_page_load(method, html)
        };
        let navigation = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(is_page_load("GET", false, &navigation));
        assert!(!is_page_load("POST", true, &navigation));
        assert!(is_page_load("GET", true, &[]));
        assert!(!is_page_load("GET", false, &[]));
        assert!(!is_page_load("POST", true, &[]));
        assert!(!is_page_load("GET", true, &[("sec-fetch-mode", "cors")]));
        assert!(!is_page_load(
            "GET",
            true,
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]
        ));
    }

    #[test]
    fn repeated_security_headers_are_malformed() {
        for name in ["origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"] {
            let mut headers = HeaderMap::new();
            headers.append(name, HeaderValue::from_static("same-origin"));
            assert!(Source::from_headers(&headers).is_ok());
            headers.append(name, HeaderValue::from_static("same-origin"));
            assert_eq!(Source::from_headers(&headers), Err(Malformed), "{name}");
        }
    }

    #[test]
    fn repeated_fetch_metadata_is_malformed_when_a_proxy_has_joined_it_too() {
        for joined in [
            "same-site, same-origin",
            "same-origin,same-origin",
            "cors, cors",
            ",",
        ] {
            for name in [SITE, MODE, DEST] {
                let mut headers = HeaderMap::new();
                // Each header would be enough without the other.
                headers.insert(SITE, HeaderValue::from_static("same-origin"));
                headers.insert(&name, HeaderValue::from_static(joined));
                assert_eq!(Source::from_headers(&headers), Err(Malformed), "{name}: {joined}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_from_a_sibling_passes_but_opening_a_page(
            method in "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|[A-Z]{1,8}",
            mode in "navigate|cors|no-cors|same-origin|websocket|[a-z]{0,9}",
            dest in "document|iframe|frame|empty|script|image|object|[a-z]{0,9}",
            own_origin in any::<bool>(),
        ) {
            let mut headers = HeaderMap::new();
            headers.append(SITE, HeaderValue::from_static("same-site"));
            headers.append(MODE, HeaderValue::from_str(&mode).unwrap());
            headers.append(DEST, HeaderValue::from_str(&dest).unwrap());
            headers.append(ORIGIN, HeaderValue::from_static(if own_origin { OWN } else { SIBLING }));
            if Source::from_headers(&headers).unwrap().may_use_cookie(&method, || OWN.to_owned()) {
                prop_assert!(is_read(&method) && mode == "navigate" && dest == "document");
            }
        }
    }
}
