//! query or form of `/programs` -> what a program asks for, or which field is wrong (pure).

use form_urlencoded::Serializer;

use crate::verify::request::one_of;

/// Length of a challenge: SHA-256 as base64url.
const CHALLENGE: usize = 43;
/// Longest name of a program.
const MAX_NAME: usize = 64;

/// What a program asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProgramRequest {
    /// Port on which the program listens on 127.0.0.1; `None`: the user copies the code.
    pub(super) port: Option<u16>,
    /// PKCE challenge (S256).
    pub(super) challenge: String,
    /// Returned to the program with the code. Empty without a port.
    pub(super) state: String,
    /// The name that the program gives itself.
    pub(super) name: String,
}

impl ProgramRequest {
    /// Reads the fields.
    ///
    /// # Errors
    /// A sentence that names the wrong field and its rule. It leaves out the value: anyone can make such a link, and the page must
    /// not say what they write.
    pub(super) fn read(pairs: form_urlencoded::Parse<'_>) -> Result<Self, &'static str> {
        let field = |name: &str| one_of(pairs, name).map_err(|_| "Each parameter must come once.");
        let port =
            field("port")?.map(|text| port(&text).ok_or("`port` must be a number from 1024 to 65535."));
        let port = port.transpose()?;
        let challenge = field("challenge")?.unwrap_or_default();
        if challenge.len() != CHALLENGE || !is_base64url(&challenge) {
            return Err("`challenge` must be a SHA-256 sum as 43 characters of base64url.");
        }
        let state = field("state")?.unwrap_or_default();
        let fits = (22..=128).contains(&state.len()) || port.is_none() && state.is_empty();
        if !fits || !is_base64url(&state) {
            return Err("`state` must be 22 to 128 characters of base64url.");
        }
        let name = field("name")?.unwrap_or_default();
        if name.trim().is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
            return Err(
                "`name` must be 1 to 64 ASCII letters, digits, spaces, dots, hyphens and underscores.",
            );
        }
        Ok(Self {
            port,
            challenge,
            state,
            name,
        })
    }

    /// The fields, for the page's form.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let port = self.port.map(|port| ("port", port.to_string()));
        let state = ("state", self.state.clone());
        port.into_iter()
            .chain([("challenge", self.challenge.clone())])
            .chain((!state.1.is_empty()).then_some(state))
            .chain([("name", self.name.clone())])
            .collect()
    }

    /// Path and query of the page.
    pub(super) fn path(&self) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.fields());
        format!("/programs?{}", query.finish())
    }

    /// Where the program waits; `None`: nowhere.
    pub(super) fn origin(&self) -> Option<String> {
        self.port.map(|port| format!("http://127.0.0.1:{port}"))
    }
}

/// A port as programs write it, without sign and zeros before it.
fn port(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port >= 1024 && port.to_string() == text).then_some(port)
}

fn is_base64url(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a name may hold it. The page quotes the name: what ends quotation marks, is not seen or turns the direction of the text around it
/// would make the page say something else.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'.' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> Result<ProgramRequest, &'static str> {
        ProgramRequest::read(form_urlencoded::parse(query.as_bytes()))
    }

    fn query(port: &str, challenge: &str, state: &str, name: &str) -> String {
        let mut query = Serializer::new(String::new());
        for (field, value) in [
            ("port", port),
            ("challenge", challenge),
            ("state", state),
            ("name", name),
        ] {
            if value != "-" {
                query.append_pair(field, value);
            }
        }
        query.finish()
    }

    #[test]
    fn a_wrong_field_is_named_and_its_value_is_not_repeated() {
        let (challenge, state) = (&*"c".repeat(43), &*"s".repeat(22));
        let good = query("1024", challenge, state, "kubectl on laptop");
        assert!(read(&good).is_ok());
        assert!(read(&query("-", challenge, "-", "kubectl")).is_ok(), "by hand");
        let long = "x".repeat(129);
        for (query, field) in [
            (query("80", challenge, state, "n"), "`port`"),
            (query("65536", challenge, state, "n"), "`port`"),
            (query("+2000", challenge, state, "n"), "`port`"),
            (query("02000", challenge, state, "n"), "`port`"),
            (query("1024@evil.example", challenge, state, "n"), "`port`"),
            (query("", challenge, state, "n"), "`port`"),
            (query("2000", "-", state, "n"), "`challenge`"),
            (query("2000", &challenge[1..], state, "n"), "`challenge`"),
            (query("2000", &"+".repeat(43), state, "n"), "`challenge`"),
            (query("2000", challenge, "-", "n"), "`state`"),
            (query("2000", challenge, &state[1..], "n"), "`state`"),
            (query("2000", challenge, &long, "n"), "`state`"),
            (query("2000", challenge, &"&".repeat(22), "n"), "`state`"),
            (query("2000", challenge, state, "-"), "`name`"),
            (query("2000", challenge, state, " "), "`name`"),
            (query("2000", challenge, state, "a\nb"), "`name`"),
            (query("2000", challenge, state, "a\u{202e}b"), "`name`"),
            (query("2000", challenge, state, "a\u{3164}b"), "`name`"),
            (
                query("2000", challenge, state, "a\u{201d} asks for nothing."),
                "`name`",
            ),
            (query("2000", challenge, state, "a\" b"), "`name`"),
            (query("2000", challenge, state, "a`b"), "`name`"),
            (query("2000", challenge, state, "<b>"), "`name`"),
            (query("2000", challenge, state, &"x".repeat(65)), "`name`"),
            (format!("{good}&port=2000"), "once"),
            (format!("{good}&challenge={challenge}"), "once"),
        ] {
            let wrong = read(&query).unwrap_err();
            assert!(wrong.contains(field), "{query}: {wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_leads_back_to_itself_and_to_no_other_host(
            port in proptest::option::of(1024_u16..),
            state in "[A-Za-z0-9_-]{22,128}",
            name in "[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}",
        ) {
            let port = port.map_or_else(|| "-".to_owned(), |port| port.to_string());
            let asked = read(&query(&port, &"c".repeat(43), &state, &name)).unwrap();
            let path = asked.path();
            prop_assert_eq!(read(path.split_once('?').unwrap().1), Ok(asked.clone()));
            prop_assert!(path.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'\\' | b'"')));
            if let Some(origin) = asked.origin() {
                prop_assert!(origin.strip_prefix("http://127.0.0.1:").unwrap().parse::<u16>().unwrap() >= 1024);
            }
        }

        #[test]
        fn no_query_panics(query in "\\PC{0,200}") {
            let _ = read(&query);
        }
    }
}
