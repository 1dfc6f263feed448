//! X-Forwarded-{Method,Proto,Host,Uri} as the proxy writes them -> the browser's request (pure).

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName};

use crate::tokens::MAX_TARGET;
use crate::verify::request::Malformed;
use crate::verify::request::source_rule::single;

const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The request that a browser made, as the proxy reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded<'a> {
    /// Method, as sent.
    pub method: &'a str,
    /// Authority, as sent: host and perhaps a port.
    pub authority: &'a str,
    /// Path and query, as sent, not decoded.
    pub uri: &'a str,
}

impl<'a> Forwarded<'a> {
    /// Reads the four headers.
    ///
    /// # Errors
    /// One is missing, empty, repeated or not text, or the browser's connection was not encrypted.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Self, Malformed> {
        let text = |name: HeaderName| {
            single(headers, &name)?
                .filter(|value| !value.is_empty())
                .ok_or(Malformed)
        };
        if !matches!(text(PROTO)?, "https" | "wss") {
            return Err(Malformed);
        }
        Ok(Self {
            method: text(METHOD)?,
            authority: text(HOST)?,
            uri: text(URI)?,
        })
    }
}

/// Whether a path (with or without query) lies under `/_workspace/` after decoding and resolving it as a lenient server might.
pub(crate) fn is_reserved(uri: &str) -> bool {
    // Common requests need no decoding: without one of these characters nothing decodes to `_workspace`.
    if !uri.contains(['%', '\\']) && !uri.contains("/_") {
        return false;
    }
    leads_to(uri, &["_workspace"])
}

/// Whether a path (with or without query) is where a workspace's door serves ssh, in the same lenient reading.
pub(crate) fn is_ssh(uri: &str) -> bool {
    if !uri.contains(['%', '\\']) && !uri.contains("/jupyter-k8s") {
        return false;
    }
    leads_to(uri, &["jupyter-k8s", "ssh"])
}

/// Whether a path begins with these segments after decoding and resolving it as a lenient server might.
fn leads_to(uri: &str, first: &[&str]) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let mut decoded = path.to_owned();
    // Twice: some servers decode once more than they should.
    for _ in 0..2 {
        decoded =
            String::from_utf8_lossy(&percent_encoding::percent_decode_str(&decoded).collect::<Vec<u8>>())
                .replace('\\', "/");
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let same = |(segment, wanted): (&&str, &&str)| segment.eq_ignore_ascii_case(wanted);
    segments.len() >= first.len() && segments.iter().zip(first).all(same)
}

/// Whether a path lies in no folder. A service worker with such a script controls every path of its host, also the gateway's.
pub(crate) fn is_at_the_top(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    !path.trim_start_matches('/').contains('/')
}

/// Path and query that a login may lead back to: as sent when it is plain, else `/`; `None` when it is longer than [`MAX_TARGET`].
/// `\` in the query (in a path browsers read it as `/`) and `"` are encoded, so that sealing adds no escapes.
///
/// The result always begins with `/` and is only ever appended to `https://<workspace host>`. So no value leads to another host.
pub(crate) fn target(uri: &str) -> Option<Cow<'_, str>> {
    let path = uri.split('?').next().unwrap_or_default();
    let plain = uri.starts_with('/')
        && uri
            .bytes()
            .all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#')
        && !path.contains('\\')
        && !is_reserved(uri);
    let target: Cow<'_, str> = if !plain {
        "/".into()
    } else if uri.contains(['\\', '"']) {
        uri.replace('\\', "%5C").replace('"', "%22").into()
    } else {
        uri.into()
    };
    (target.len() <= MAX_TARGET).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const COMPLETE: [(&str, &str); 4] = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "w.ws.example:8443"),
        ("x-forwarded-uri", "/lab?a=%2F"),
    ];

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn each_header_is_needed_exactly_once() {
        let complete = headers(&COMPLETE);
        let read = Forwarded::from_headers(&complete).unwrap();
        assert_eq!((read.method, read.uri), ("GET", "/lab?a=%2F"));
        assert_eq!(read.authority, "w.ws.example:8443");
        for (name, value) in COMPLETE {
            let mut without = complete.clone();
            without.remove(name);
            assert_eq!(
                Forwarded::from_headers(&without),
                Err(Malformed),
                "without {name}"
            );
            let mut twice = complete.clone();
            twice.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
            assert_eq!(Forwarded::from_headers(&twice), Err(Malformed), "twice {name}");
            let mut empty = complete.clone();
            empty.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(""));
            assert_eq!(Forwarded::from_headers(&empty), Err(Malformed), "empty {name}");
        }
    }

    #[test]
    fn unencrypted_connections_are_refused() {
        for (proto, accepted) in [("https", true), ("wss", true), ("http", false), ("ws", false)] {
            let mut lines = headers(&COMPLETE);
            lines.insert(PROTO, HeaderValue::from_static(proto));
            assert_eq!(Forwarded::from_headers(&lines).is_ok(), accepted, "{proto}");
        }
    }

    #[test]
    fn our_own_paths_are_recognised_in_every_spelling() {
        for reserved in [
            "/_workspace",
            "/_workspace/callback?code=x",
            "//_workspace/callback",
            "/./_workspace/",
            "/lab/../_workspace/",
            "/%5Fworkspace/callback",
            "/%5fworkspace/callback",
            "/%255Fworkspace/callback",
            "/_work%73pace/",
            "/%2e/_workspace/",
            "/lab/%2e%2e/_workspace/",
            "/%2F_workspace/",
            "\\_workspace\\callback",
            "/_WORKSPACE/x",
        ] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in [
            "/",
            "/lab",
            "/lab/_workspace/x",
            "/_workspaces",
            "/x?next=/_workspace/",
            "/a%20b",
        ] {
            assert!(!is_reserved(free), "{free}");
        }
    }

    #[test]
    fn ssh_is_recognized_in_every_spelling() {
        for ssh in [
            "/jupyter-k8s/ssh",
            "/jupyter-k8s/ssh?x=1",
            "/jupyter-k8s/ssh/",
            "/jupyter-k8s/ssh/x",
            "//jupyter-k8s//ssh",
            "/x/../jupyter-k8s/./ssh",
            "/jupyter-k8s/SSH",
            "/%6aupyter-k8s/ssh",
            "/jupyter-k8s%2fssh",
            "/jupyter-k8s%252fssh",
            "/jupyter-k8s\\ssh",
        ] {
            assert!(is_ssh(ssh), "{ssh}");
        }
        for other in [
            "/",
            "/jupyter-k8s/activity",
            "/jupyter-k8s/sshd",
            "/lab/jupyter-k8s/ssh",
            "/x?next=/jupyter-k8s/ssh",
            "/jupyter-k8s",
        ] {
            assert!(!is_ssh(other), "{other}");
        }
    }

    #[test]
    fn a_script_in_a_folder_is_not_at_the_top_whatever_its_query_says() {
        for top in ["/sw.js", "/sw.js?a=/b", "//sw.js", "/", "/a%2Fsw.js"] {
            assert!(is_at_the_top(top), "{top}");
        }
        for folder in ["/static/sw.js", "/static/", "/a/b/sw.js?x"] {
            assert!(!is_at_the_top(folder), "{folder}");
        }
    }

    #[test]
    fn odd_targets_lead_to_the_root() {
        for odd in [
            "",
            "lab",
            "https://evil.example",
            "*",
            "/a b",
            "/a\tb",
            "/\\evil.example",
            "/é",
            "/x#y",
            "/_workspace/callback",
        ] {
            assert_eq!(target(odd).unwrap(), "/", "{odd}");
        }
        for plain in [
            "/lab/tree/C%23%2050%25.ipynb?x=1&y",
            "/a'<b>?{|}^`",
            "//x?/_workspace/",
        ] {
            assert_eq!(target(plain).unwrap(), plain);
        }
        let encoded = r"/%22/?path=a%5Cb&name=%22c%22";
        assert_eq!(target(r#"/"/?path=a\b&name="c""#).unwrap(), encoded);
    }

    #[test]
    fn targets_up_to_8_kib_are_kept_and_longer_ones_are_none() {
        for length in [1, 1023, 1024, 1025, 4096, 8191, MAX_TARGET] {
            let long = format!("/{}", "a".repeat(length - 1));
            assert_eq!(target(&long).as_deref(), Some(long.as_str()), "{length}");
        }
        let longer = "a".repeat(MAX_TARGET);
        assert_eq!(target(&format!("/{longer}")), None);
        // What counts is the length with all escapes.
        assert_eq!(target(&format!("/?\\{}", &longer[..MAX_TARGET - 4])), None);
        assert_eq!(target(&format!("/#{longer}")).as_deref(), Some("/"), "not plain");
    }

    proptest! {
        #[test]
        fn no_target_leaves_its_host(uri in prop_oneof![
            "\\PC{0,60}",
            "/{0,3}[\\\\/@:?#.%a-z0-9]{0,40}",
            "(//|/\\\\|/\t/|/%2f|/%5c|https:|@|/\\.\\.)evil\\.example[ -~]{0,20}",
            "/[?\\\\/@:]{1,6}evil\\.example[ -~]{0,20}",
        ]) {
            let target = target(&uri).unwrap();
            prop_assert!(!target.contains(['\\', '"']));
            let location = format!("https://w.ws.example:8443{target}");
            let url = openidconnect::url::Url::parse(&location).unwrap();
            prop_assert_eq!(url.host_str(), Some("w.ws.example"));
            prop_assert_eq!((url.scheme(), url.port()), ("https", Some(8443)));
            prop_assert_eq!((url.username(), url.password()), ("", None));
        }
    }
}
