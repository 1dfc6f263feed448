//! Cookie header -> sign-ins started in this browser at a workspace (pure but for randomness).
//!
//! The pre-cookie ties a one-time code to the browser that requested it. Each redirect to the auth host adds a new random value.
//! So a value that another user planted in the browser before is never the one that a code names. The values of other tabs stay
//! in the cookie. In a folder the cookie also ties tickets (`Site::ticket_needs_browser`), and keeps its single value.

use http::HeaderMap;

use crate::pages::Failure;
use crate::site::Site;
use crate::tokens::cookies::{self, Malformed};
use crate::tokens::random::{equal, fingerprint, random_token};

/// Maximum number of sign-ins in progress in one browser at one workspace. A further one replaces the oldest.
const MAX: usize = 8;
/// Separates the values.
const BETWEEN: char = '.';

/// The values that the browser sent, in order.
fn values<'a>(headers: &'a HeaderMap, site: &Site) -> Result<Vec<&'a str>, Malformed> {
    let cookie = cookies::find(headers, site.pre())?.unwrap_or_default();
    Ok(cookie.split(BETWEEN).filter(|value| is_token(value)).collect())
}

/// Whether the browser has the value with this fingerprint.
///
/// # Errors
/// The cookie came twice.
pub(crate) fn is_of_browser(headers: &HeaderMap, site: &Site, browser: &str) -> Result<bool, Malformed> {
    let values = values(headers, site)?;
    Ok(values
        .into_iter()
        .any(|value| equal(&fingerprint(value), browser)))
}

/// Starts one more sign-in. Returns the fingerprint of its value, and the cookie's new content unless that does not change.
///
/// # Errors
/// The cookie came twice, or the operating system provides no random bytes.
pub(super) fn begin(headers: &HeaderMap, site: &Site) -> Result<(String, Option<String>), Failure> {
    let mut values = values(headers, site)?;
    if let (true, Some(value)) = (site.ticket_needs_browser(), values.first()) {
        return Ok((fingerprint(value), None));
    }
    let value = random_token()?;
    values.drain(..values.len().saturating_sub(MAX - 1));
    values.push(&value);
    let content = values.join(&BETWEEN.to_string());
    Ok((fingerprint(&value), Some(content)))
}

/// The cookie's content without the value with this fingerprint; empty when no value is left. `None`: it does not change.
///
/// # Errors
/// The cookie came twice.
pub(crate) fn end(headers: &HeaderMap, site: &Site, browser: &str) -> Result<Option<String>, Malformed> {
    if site.ticket_needs_browser() {
        return Ok(None);
    }
    let mut values = values(headers, site)?;
    values.retain(|value| !equal(&fingerprint(value), browser));
    Ok(Some(values.join(&BETWEEN.to_string())))
}

/// Whether a text has the form of the gateway's random values.
fn is_token(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
