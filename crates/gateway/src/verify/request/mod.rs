//! a request -> its host, query parameters and kind of answer (pure).
//!
//! `forwarded` reads the proxy's headers, `source_rule` checks which page sent the request, `pod_headers` makes the pod's headers.

pub(crate) mod forwarded;
pub(crate) mod pod_headers;
pub(crate) mod source_rule;

use http::Uri;
use http::header::{CONTENT_TYPE, HOST, HeaderMap};

pub(crate) use crate::tokens::cookies::Malformed;

/// The one host that a request names: `:authority` in HTTP/2, the Host header before.
pub(crate) fn authority<B>(request: &http::Request<B>) -> Option<&str> {
    authority_in(request.uri(), request.headers())
}

/// The same, of a request's parts.
pub(crate) fn authority_in<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => source_rule::single(headers, &HOST).ok().flatten(),
    }
}

/// The value of a query parameter; `None` if it is absent.
///
/// # Errors
/// It came more than once.
pub(crate) fn parameter(uri: &Uri, name: &str) -> Result<Option<String>, Malformed> {
    one_of(
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()),
        name,
    )
}

/// The value of the one pair called `name`.
///
/// # Errors
/// It came more than once.
pub(crate) fn one_of(pairs: form_urlencoded::Parse<'_>, name: &str) -> Result<Option<String>, Malformed> {
    let mut values = pairs
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned());
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Malformed),
    }
}

/// Whether the Content-Type is a form.
///
/// # Errors
/// The header came more than once or is not text.
pub(crate) fn is_form(headers: &HeaderMap) -> Result<bool, Malformed> {
    let content_type = source_rule::single(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    Ok(kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}
