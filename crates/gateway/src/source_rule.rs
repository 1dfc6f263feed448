//! method, Origin and Sec-Fetch headers -> may a ticket count for this request? (pure)
//!
//! Workspaces are siblings under one registrable domain, so browsers call them same-site and `SameSite` cookies travel
//! between them. What tells a page in workspace A from a page in workspace B is written by the browser itself.

use http::header::{HeaderMap, HeaderName, ORIGIN};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What the browser says about where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    site: Option<&'a str>,
    mode: Option<&'a str>,
    dest: Option<&'a str>,
    origin: Option<&'a str>,
}

/// A security header came twice or is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a security header came more than once or is not text")]
pub struct Malformed;

impl<'a> Source<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// One of them came more than once or is not text.
    pub fn of(headers: &'a HeaderMap) -> Result<Self, Malformed> {
        Ok(Self {
            site: single(headers, &SITE)?,
            mode: single(headers, &MODE)?,
            dest: single(headers, &DEST)?,
            origin: single(headers, &ORIGIN)?,
        })
    }

    /// Whether a person opens a page: the only kind of request that is ever redirected.
    /// `accepts_html`: the Accept header names text/html; it counts only for browsers without Sec-Fetch headers.
    pub fn is_page_load(&self, method: &str, accepts_html: bool) -> bool {
        if self.has_fetch_metadata() {
            is_read(method) && self.is_navigation()
        } else {
            method == "GET" && accepts_html
        }
    }

    /// Whether a cookie may count for this request to `origin` (`https://host[:port]`).
    pub fn may_use_cookie(&self, method: &str, origin: &str) -> bool {
        let read = is_read(method);
        match self.site {
            Some("same-origin") => true,
            _ if read && self.is_navigation() => true,
            Some("none") => read,
            _ if self.has_fetch_metadata() => false,
            _ => self.origin.map_or(read, |sender| sender == origin),
        }
    }

    /// Whether the request names exactly this origin as its sender.
    pub fn is_from(&self, origin: &str) -> bool {
        self.origin == Some(origin)
    }

    /// Whether the browser says that this is anything but a person opening a page (frames, fetches, images).
    pub fn is_embedded(&self) -> bool {
        self.has_fetch_metadata() && !self.is_navigation()
    }

    fn is_navigation(&self) -> bool {
        self.mode == Some("navigate") && self.dest == Some("document")
    }

    fn has_fetch_metadata(&self) -> bool {
        self.site.is_some() || self.mode.is_some() || self.dest.is_some()
    }
}

fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// The value of a header that may come once.
///
/// # Errors
/// It came more than once or is not text.
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
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

    fn passes(method: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = source(headers);
        Source::of(&headers).unwrap().may_use_cookie(method, OWN)
    }

    #[test]
    fn table_of_the_source_rule() {
        let site = |value| ("sec-fetch-site", value);
        let mode = |value| ("sec-fetch-mode", value);
        let dest = |value| ("sec-fetch-dest", value);
        let origin = |value| ("origin", value);
        let document = [mode("navigate"), dest("document")];
        let with = |first, rest: [(&'static str, &'static str); 2]| vec![first, rest[0], rest[1]];
        let table: Vec<(&str, Vec<(&'static str, &'static str)>, bool)> = vec![
            // (a) the page itself
            ("GET", vec![site("same-origin")], true),
            (
                "POST",
                vec![site("same-origin"), mode("cors"), dest("empty"), origin(OWN)],
                true,
            ),
            (
                "DELETE",
                vec![site("same-origin"), mode("cors"), dest("empty")],
                true,
            ),
            (
                "GET",
                vec![site("same-origin"), mode("navigate"), dest("iframe")],
                true,
            ),
            // (b) somebody follows a link
            ("GET", with(site("cross-site"), document), true),
            ("GET", with(site("same-site"), document), true),
            ("HEAD", with(site("same-site"), document), true),
            ("POST", with(site("same-site"), document), false),
            ("POST", with(site("cross-site"), document), false),
            (
                "GET",
                vec![site("same-site"), mode("navigate"), dest("iframe")],
                false,
            ),
            (
                "GET",
                vec![site("cross-site"), mode("navigate"), dest("embed")],
                false,
            ),
            // (c) typed address, bookmark, tool of the browser
            ("GET", vec![site("none")], true),
            ("HEAD", vec![site("none"), mode("no-cors"), dest("empty")], true),
            ("POST", with(site("none"), document), false),
            // same-site counts as cross-site
            (
                "GET",
                vec![
                    site("same-site"),
                    mode("no-cors"),
                    dest("script"),
                    origin(SIBLING),
                ],
                false,
            ),
            (
                "GET",
                vec![site("same-site"), mode("cors"), dest("empty"), origin(SIBLING)],
                false,
            ),
            (
                "GET",
                vec![site("same-site"), mode("websocket"), dest("websocket")],
                false,
            ),
            (
                "POST",
                vec![site("same-site"), mode("no-cors"), dest("empty"), origin(SIBLING)],
                false,
            ),
            (
                "OPTIONS",
                vec![site("same-site"), mode("cors"), dest("empty"), origin(SIBLING)],
                false,
            ),
            (
                "GET",
                vec![site("cross-site"), mode("no-cors"), dest("image")],
                false,
            ),
            // an equal Origin does not outweigh what Sec-Fetch-Site says
            (
                "POST",
                vec![site("same-site"), mode("cors"), dest("empty"), origin(OWN)],
                false,
            ),
            ("GET", vec![mode("cors"), origin(OWN)], false),
            ("GET", vec![dest("script")], false),
            ("GET", vec![site("Same-Origin")], false),
            ("GET", vec![site("")], false),
            // (d) clients without Sec-Fetch headers
            ("GET", vec![], true),
            ("HEAD", vec![], true),
            ("POST", vec![], false),
            ("OPTIONS", vec![], false),
            ("GET", vec![origin(OWN)], true),
            ("POST", vec![origin(OWN)], true),
            ("GET", vec![origin(SIBLING)], false),
            ("POST", vec![origin(SIBLING)], false),
            ("POST", vec![origin("null")], false),
            ("GET", vec![origin("https://w.ws.example")], false),
            ("GET", vec![origin("https://w.ws.example:8443/")], false),
            ("GET", vec![origin("http://w.ws.example:8443")], false),
            ("get", vec![], false),
        ];
        for (method, headers, expected) in table {
            assert_eq!(passes(method, &headers), expected, "{method} {headers:?}");
        }
    }

    #[test]
    fn page_loads_are_navigations_or_html_requests_of_old_browsers() {
        let is_page_load = |method: &str, html: bool, headers: &[(&'static str, &'static str)]| {
            let headers = source(headers);
            Source::of(&headers).unwrap().is_page_load(method, html)
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
            assert!(Source::of(&headers).is_ok());
            headers.append(name, HeaderValue::from_static("same-origin"));
            assert_eq!(Source::of(&headers), Err(Malformed), "{name}");
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
            if Source::of(&headers).unwrap().may_use_cookie(&method, OWN) {
                prop_assert!(is_read(&method) && mode == "navigate" && dest == "document");
            }
        }
    }
}
