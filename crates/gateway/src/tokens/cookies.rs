//! Cookie headers -> the gateway's cookie, or what may reach a pod; Set-Cookie lines (pure).

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

pub use crate::site::{FOLDER_PRE, FOLDER_TICKET, PRE, TICKET};

/// Session cookie of the auth host.
pub const SESSION: &str = "__Host-session";
/// Prefix of the names of cookies for logins in progress; a number follows.
pub const LOGIN: &str = "__Host-login-";
/// Maximum number of these cookies in one browser. A new login replaces the oldest.
pub const MAX_LOGINS: usize = 5;
/// Maximum length of one cookie's value: browsers store 4,096 bytes with name and attributes.
const MAX_VALUE: usize = 4_000;
/// Between the number of pieces of a value and the first of them. No sealed text contains it.
const OF: char = '.';

/// Cookies whose names begin with one of these, in any case, never reach a pod.
const OURS: [&str; 4] = ["__Host-ws", "__Host-session", "__Host-login", FOLDER_TICKET];

/// Name of the login cookie with this number.
pub fn login(cookie_slot: usize) -> String {
    format!("{LOGIN}{cookie_slot}")
}

/// The text in pieces that each fit into one cookie, mostly one. The first of several begins with their number.
pub fn pieces(text: &str) -> Vec<String> {
    if text.len() <= MAX_VALUE {
        return vec![text.to_owned()];
    }
    let count = (text.len() + 2).div_ceil(MAX_VALUE);
    let text = format!("{count}{OF}{text}");
    let pieces = text.as_bytes().chunks(MAX_VALUE);
    pieces
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
        .collect()
}

/// Number of pieces of a value, as its first piece tells it, and the rest of that piece.
pub fn first_piece(value: &str) -> Option<(usize, &str)> {
    match value.split_once(OF) {
        None => Some((1, value)),
        Some((count, rest)) => Some((count.parse().ok().filter(|count| *count <= MAX_LOGINS)?, rest)),
    }
}

/// Whether a cookie has a name of the gateway's. A longer name with such a prefix may be anyone's.
pub(crate) fn is_ours(name: &str) -> bool {
    matches!(name, SESSION | TICKET | PRE | FOLDER_TICKET | FOLDER_PRE) || name.starts_with(LOGIN)
}

/// A header, cookie or parameter came more than once, or cannot be read. None of its values is used: some may be forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header, cookie or parameter came more than once, or cannot be read")]
pub struct Malformed;

/// The value of the cookie with exactly this name, in all Cookie headers.
///
/// # Errors
/// There is more than one.
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Malformed> {
    let mut found = None;
    for pair in pairs(headers) {
        let Some(value) = pair
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.trim_ascii_start().strip_prefix(b"="))
        else {
            continue;
        };
        if found.is_some() {
            return Err(Malformed);
        }
        found = Some(std::str::from_utf8(value.trim_ascii_start()).unwrap_or_default());
    }
    Ok(found)
}

/// Whether a cookie has a name like the gateway's, readable or not.
pub(crate) fn has_ours(headers: &HeaderMap) -> bool {
    pairs(headers).any(begins_like_ours)
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
}

/// What is removed before a request reaches a pod: the gateway's cookies, and the cookies and headers in the settings.
#[derive(Debug, Clone, Default)]
pub struct StripList {
    prefixes: Vec<String>,
    /// In lower case.
    headers: Vec<String>,
}

impl StripList {
    /// `extra`: prefixes of cookie names, compared without regard to case (the company's single sign-on).
    pub fn new(extra: impl IntoIterator<Item = String>) -> Self {
        let prefixes = extra
            .into_iter()
            .map(|prefix| prefix.trim().to_owned())
            .filter(|prefix| !prefix.is_empty())
            .collect();
        Self {
            prefixes,
            headers: Vec::new(),
        }
    }

    /// The same with these headers, in which other services name the signed-in user. A name that ends in `-` is a prefix.
    #[must_use]
    pub fn with_headers(self, names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter().map(|name| name.trim().to_ascii_lowercase());
        Self {
            headers: names.filter(|name| !name.is_empty()).collect(),
            ..self
        }
    }

    /// Whether a browser's header of this name never reaches a pod.
    pub(crate) fn removes_header(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        self.headers
            .iter()
            .any(|one| name == one || one.ends_with('-') && name.starts_with(one))
    }

    /// Names of these headers, without the prefixes.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .map(String::as_str)
            .filter(|name| !name.ends_with('-'))
    }

    fn removes(&self, pair: &[u8]) -> bool {
        begins_like_ours(pair) || self.has(pair)
    }

    /// Whether the settings name this cookie.
    pub(crate) fn has(&self, pair: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| begins(pair, prefix))
    }

    /// The one Cookie header that a pod may see; `None` when nothing is left.
    pub fn keep(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut lines = headers.get_all(COOKIE).iter();
        let first = lines.next()?;
        if lines.next().is_none() && !pairs(headers).any(|pair| pair.is_empty() || self.removes(pair)) {
            return Some(first.clone());
        }
        let most = headers.get_all(COOKIE).iter().map(|line| line.len() + 2).sum();
        let mut kept = Vec::with_capacity(most);
        for pair in pairs(headers).filter(|pair| !pair.is_empty() && !self.removes(pair)) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
        HeaderValue::from_maybe_shared(Bytes::from(kept))
            .ok()
            .filter(|value| !value.is_empty())
    }
}

/// Whether a Set-Cookie line sets a cookie with a name of the gateway's.
pub fn sets_ours(line: &HeaderValue) -> bool {
    begins_like_ours(line.as_bytes().trim_ascii_start())
}

fn begins_like_ours(pair: &[u8]) -> bool {
    OURS.into_iter().any(|prefix| begins(pair, prefix))
}

fn begins(text: &[u8], prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Adds a cookie that browsers send only to this host, only over HTTPS, and that scripts cannot read. `max_age`: seconds; `None`:
/// until the browser closes.
pub fn set(headers: &mut HeaderMap, name: &str, value: &str, max_age: Option<i64>) {
    set_at(headers, "/", name, value, max_age);
}

/// As [`set`], for requests below `path` only, which ends in `/`.
pub fn set_at(headers: &mut HeaderMap, path: &str, name: &str, value: &str, max_age: Option<i64>) {
    let age = max_age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let line = format!("{name}={value}; Path={path}{age}; Secure; HttpOnly; SameSite=Lax");
    if let Ok(line) = HeaderValue::from_str(&line) {
        headers.append(SET_COOKIE, line);
    }
}

/// Removes a cookie of the gateway's from the browser.
pub fn clear(headers: &mut HeaderMap, name: &str) {
    set(headers, name, "", Some(0));
}

/// Removes the cookies of all logins in progress. Another user of the browser may have begun them.
pub fn clear_logins(headers: &mut HeaderMap) {
    for slot in 0..MAX_LOGINS {
        clear(headers, &login(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap()))
            .collect()
    }

    fn kept(lines: &[&str]) -> Option<String> {
        let strip = StripList::new(["SMSESSION".to_owned(), " ".to_owned()]);
        strip
            .keep(&request(lines))
            .map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn finds_the_one_cookie_with_exactly_the_name() {
        let found = |lines: &[&str]| find(&request(lines), TICKET).map(|value| value.map(str::to_owned));
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&["a=1; __Host-ws=t; b=2"]), Ok(Some("t".into())));
        assert_eq!(found(&["a=1", "__Host-ws=t"]), Ok(Some("t".into())));
        assert_eq!(found(&["__Host-ws-pre=p; __Host-wsx=q; __host-ws=r"]), Ok(None));
        assert_eq!(found(&["__Host-ws"]), Ok(None));
        assert_eq!(found(&["__Host-ws="]), Ok(Some(String::new())));
    }

    #[test]
    fn a_text_in_pieces_is_whole_again_and_each_fits_into_a_cookie() {
        for (length, count) in [
            (0, 1),
            (MAX_VALUE, 1),
            (MAX_VALUE + 1, 2),
            (2 * MAX_VALUE - 2, 2),
            (2 * MAX_VALUE - 1, 3),
        ] {
            let text = "x".repeat(length);
            let pieces = pieces(&text);
            assert!(pieces.iter().all(|piece| piece.len() <= MAX_VALUE));
            assert_eq!(pieces.len(), count, "{length}");
            let (told, first) = first_piece(&pieces[0]).unwrap();
            assert_eq!((told, format!("{first}{}", pieces[1..].concat())), (count, text));
        }
        for forged in [".", "x.y", "-1.y", "6.y", "99999999999999999999.y"] {
            assert_eq!(first_piece(forged), None, "{forged}");
        }
    }

    #[test]
    fn two_cookies_of_the_name_are_refused_even_when_equal_or_in_two_headers() {
        for lines in [
            &["__Host-ws=t; __Host-ws=t"][..],
            &["__Host-ws=t", "__Host-ws=u"],
            &["__Host-ws=t;__Host-ws ="],
        ] {
            assert_eq!(find(&request(lines), TICKET), Err(Malformed), "{lines:?}");
        }
    }

    #[test]
    fn strips_ours_and_the_administrators_in_any_case() {
        let table = [
            (&["a=1; b=2"][..], Some("a=1; b=2")),
            (&["a=1", "b=2"], Some("a=1; b=2")),
            (&["__Host-ws=t"], None),
            (&["a=1; __Host-ws=t; b=2"], Some("a=1; b=2")),
            (&["__HOST-WS=t;a=1"], Some("a=1")),
            (&["__host-ws-pre=t;a=1"], Some("a=1")),
            (&["__Host-wsanything=t;a=1"], Some("a=1")),
            (&["__Host-session=t;a=1"], Some("a=1")),
            (&["__Host-login-3=t;a=1"], Some("a=1")),
            (&["__Secure-ws-abc=t;a=1"], Some("a=1")),
            (&["__secure-WS=t;a=1"], Some("a=1")),
            (&["__Secure-w=t;a=1"], Some("__Secure-w=t;a=1")),
            (&["smsessionID=t;a=1"], Some("a=1")),
            (&["xSMSESSION=t"], Some("xSMSESSION=t")),
            (&["  __Host-ws = t ; a=1"], Some("a=1")),
            (&["__Host-ws"], None),
            (&["__Host-ws; a=1"], Some("a=1")),
            (&["; ;"], None),
            (&["a=\"x; __Host-ws=t\""], Some("a=\"x")),
            (
                &["_xsrf=2|a|b; username-x=\"2|1:0\""],
                Some("_xsrf=2|a|b; username-x=\"2|1:0\""),
            ),
            (&["name=é"], Some("name=é")),
            (&[""], None),
            (&[], None),
        ];
        for (lines, expected) in table {
            assert_eq!(kept(lines).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn cookies_are_secure_http_only_lax_and_of_the_host() {
        let mut headers = HeaderMap::new();
        set(&mut headers, TICKET, "v", Some(900));
        clear(&mut headers, PRE);
        let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(
            lines,
            [
                "__Host-ws=v; Path=/; Max-Age=900; Secure; HttpOnly; SameSite=Lax",
                "__Host-ws-pre=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"
            ]
        );
    }

    proptest! {
        #[test]
        fn no_kept_cookie_begins_with_a_stripped_name(lines in prop::collection::vec("[ -~]{0,60}", 0..4), case in "(__Host-ws|__HOST-SESSION|__host-Login-1|__Secure-WS-x|smSession)[ -~]{0,20}", at in 0_usize..4) {
            let mut lines = lines;
            let position = at.min(lines.len());
            lines.insert(position, format!("x=1;{case}"));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            for pair in kept(&lines).unwrap_or_default().split(';') {
                let name = pair.trim().to_ascii_lowercase();
                for stripped in ["__host-ws", "__host-session", "__host-login", "__secure-ws", "smsession"] {
                    prop_assert!(!name.starts_with(stripped), "{name}");
                }
            }
        }
    }
}
