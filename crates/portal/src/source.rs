//! Method and headers -> may this request change something? (pure)
//!
//! The gateway checks the same before (`verify/request/source_rule.rs`). Workspaces are hosts of the same site, so cookies alone do not
//! distinguish a page of the portal from a page in a workspace.

use http::header::{HeaderName, ORIGIN};
use http::{HeaderMap, Method};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request comes from a page of `origin` (`https://portal.<base>`), or changes nothing.
pub(crate) fn is_allowed(method: &Method, headers: &HeaderMap, origin: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return true;
    }
    only(headers, &ORIGIN) == Some(origin.as_bytes())
        && headers
            .get_all(SITE)
            .iter()
            .all(|site| site.as_bytes() == b"same-origin")
}

/// The value of a header that comes exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const OWN: &str = "https://portal.ws.example";

    fn allowed(method: &Method, headers: &[(HeaderName, &'static str)]) -> bool {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(name, HeaderValue::from_static(value));
        }
        is_allowed(method, &all, OWN)
    }

    #[test]
    fn a_change_comes_from_a_page_of_the_portal() {
        assert!(allowed(&Method::POST, &[(ORIGIN, OWN)]));
        assert!(allowed(&Method::POST, &[(ORIGIN, OWN), (SITE, "same-origin")]));
        assert!(allowed(&Method::GET, &[]));
    }

    #[test]
    fn a_change_from_elsewhere_or_from_nowhere_is_refused() {
        for headers in [
            &[][..],
            &[(ORIGIN, "https://lab.ws.example")],
            &[(ORIGIN, "https://portal.ws.example:8443")],
            &[(ORIGIN, "null")],
            &[(ORIGIN, OWN), (ORIGIN, OWN)],
            &[(ORIGIN, OWN), (SITE, "same-site")],
            &[(ORIGIN, OWN), (SITE, "cross-site")],
            &[(ORIGIN, OWN), (SITE, "none")],
            &[(ORIGIN, OWN), (SITE, "same-origin"), (SITE, "cross-site")],
        ] {
            assert!(!allowed(&Method::POST, headers), "{headers:?}");
            assert!(!allowed(&Method::DELETE, headers), "{headers:?}");
        }
    }
}
