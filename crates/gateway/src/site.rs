//! host or folder of a workspace, host of the portal -> paths and names of its cookies (pure).
//!
//! Every classification of a request by workspace calls `index::Domain::destination` and continues with a [`Site`].

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Ticket of a workspace host.
pub const TICKET: &str = "__Host-ws";
/// Random value that ties the redirects of a workspace host to one browser.
pub const PRE: &str = "__Host-ws-pre";
/// [`TICKET`] of a workspace in a folder of the shared host.
pub const FOLDER_TICKET: &str = "__Secure-ws";
/// [`PRE`] where workspaces are in folders: one cookie of the host for all of them. Only the host itself can set it. Another host
/// under the same domain can set the cookies of folders' tickets. So these are valid only together with the browser cookie that
/// they name.
pub const FOLDER_PRE: &str = "__Host-ws-browser";

/// The address of one workspace for browsers: a host of its own, or a folder of the shared host.
///
/// Its text, `<host>` or `<host>/workspaces/<namespace>/<name>`, is part of tickets and codes. The host is in lower case and
/// without port; the folder ends without `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Site(String);

impl Site {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host name in lower case, without port.
    pub fn host(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(host, _)| host)
    }

    /// The folder's path without the final `/`; empty on a host of its own.
    pub fn prefix(&self) -> &str {
        &self.0[self.host().len()..]
    }

    /// The part of a path (with or without query) that the workspace sees as its own; begins with `/`. A path outside of the folder
    /// gives `/`.
    pub fn within<'a>(&self, uri: &'a str) -> &'a str {
        uri.strip_prefix(self.prefix())
            .filter(|rest| rest.starts_with('/') || self.prefix().is_empty())
            .unwrap_or("/")
    }

    /// `Path` of its ticket cookie. It ends in `/`, so that browsers do not send tickets of folder `ws1` to `ws10`.
    pub fn cookie_path(&self) -> Cow<'static, str> {
        match self.prefix() {
            "" => "/".into(),
            prefix => format!("{prefix}/").into(),
        }
    }

    /// Name of the cookie with its ticket.
    pub fn ticket(&self) -> &'static str {
        self.cookie(TICKET, FOLDER_TICKET)
    }

    /// Name of the cookie that ties its redirects to one browser.
    pub fn pre(&self) -> &'static str {
        self.cookie(PRE, FOLDER_PRE)
    }

    /// Whether other hosts under the same domain can also set the cookie of its ticket. Such a ticket is valid only in the browser
    /// that it was issued for.
    pub fn ticket_needs_browser(&self) -> bool {
        !self.prefix().is_empty()
    }

    /// `__Host-` cookies need `Path=/`. In folders the path separates the tickets of workspaces. The names are the same in all
    /// folders, because Traefik forwards only cookies whose names its configuration lists.
    fn cookie(&self, of_host: &'static str, of_folder: &'static str) -> &'static str {
        if self.prefix().is_empty() {
            of_host
        } else {
            of_folder
        }
    }
}

/// Classification of a request on a host where each workspace has a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Folder {
    /// In this folder.
    In(Site),
    /// The folder without the `/` at the end of its name.
    At(Site),
    /// In no workspace's folder.
    Outside,
    /// Servers may read the path in different ways.
    Unclear,
}

/// `uri`: path with or without query, as received. It is not decoded: names of namespaces and workspaces need no escapes. So a path
/// that can be read in two ways before a folder's name has ended is unclear, and so is a path that leads out of its folder again.
pub(crate) fn folder(host: &str, uri: &str) -> Folder {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let Some(path) = path.strip_prefix('/') else {
        return Folder::Unclear;
    };
    let mut parts = path.splitn(4, '/');
    let mut names = [""; 3];
    for (place, name) in names.iter_mut().enumerate() {
        let Some(part) = parts.next() else {
            return Folder::Outside;
        };
        let last = path.len() == part.as_ptr().addr() - path.as_ptr().addr() + part.len();
        if is_unclear(part) || part.is_empty() && !last {
            return Folder::Unclear;
        }
        let known = match place {
            0 => part == "workspaces",
            _ => is_name(part),
        };
        if !known {
            return Folder::Outside;
        }
        *name = part;
    }
    let site = Site(format!("{host}/{}", names.join("/")));
    match parts.next() {
        None => Folder::At(site),
        Some(rest) if leads_out(rest) => Folder::Unclear,
        Some(_) => Folder::In(site),
    }
}

fn is_unclear(part: &str) -> bool {
    matches!(part, "." | "..")
        || part
            .bytes()
            .any(|byte| matches!(byte, b'%' | b'\\' | b';') || !byte.is_ascii_graphic())
}

/// Whether a namespace, a workspace or the first part of its host can have this name.
pub(crate) fn is_name(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a lenient server might resolve a path within a folder to one outside of it.
fn leads_out(path: &str) -> bool {
    let mut decoded = path.to_owned();
    // Twice: some servers decode once more than they should.
    for _ in 0..2 {
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(&decoded).collect();
        decoded = String::from_utf8_lossy(&bytes).replace('\\', "/");
    }
    let mut depth = 0_usize;
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

impl From<String> for Site {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Site {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_belongs_to_one_workspace() {
        let site = Site::from("lab-abc.ws.example");
        assert_eq!((site.host(), site.prefix()), ("lab-abc.ws.example", ""));
        assert_eq!((site.ticket(), site.pre()), ("__Host-ws", "__Host-ws-pre"));
        assert_eq!(site.cookie_path(), "/");
        assert_eq!(site.within("/lab?x=1"), "/lab?x=1");
        assert_eq!(site.within(""), "");
    }

    #[test]
    fn a_folder_has_cookies_of_its_own_whose_path_ends_at_a_segment() {
        let site = Site::from("ws.example/workspaces/team/ws1");
        assert_eq!(
            (site.host(), site.prefix()),
            ("ws.example", "/workspaces/team/ws1")
        );
        assert_eq!(site.cookie_path(), "/workspaces/team/ws1/");
        assert_eq!((site.ticket(), site.pre()), ("__Secure-ws", "__Host-ws-browser"));
        assert!(site.ticket_needs_browser() && !Site::from("lab.ws.example").ticket_needs_browser());
        assert_eq!(site.within("/workspaces/team/ws1/lab?x=1"), "/lab?x=1");
        for outside in ["/workspaces/team/ws10/lab", "/workspaces/team/ws1", "/", ""] {
            assert_eq!(site.within(outside), "/", "{outside}");
        }
    }

    fn at(path: &str) -> Folder {
        folder("ws.example", path)
    }

    #[test]
    fn a_path_belongs_to_the_folder_of_its_whole_first_segments() {
        for (path, name) in [
            ("/workspaces/team/ws1/", "ws1"),
            ("/workspaces/team/ws10/", "ws10"),
            ("/workspaces/team/ws1/lab?x=/../..", "ws1"),
            ("/workspaces/team/ws1//x", "ws1"),
            ("/workspaces/team/ws1/tree/C%23%2050%25.ipynb", "ws1"),
            ("/workspaces/team/ws1/a%2Fb/../c", "ws1"),
            ("/workspaces/team/ws1/a;b/%00", "ws1"),
            ("/workspaces/team/ws1/..x/x..", "ws1"),
        ] {
            let site = format!("ws.example/workspaces/team/{name}").into();
            assert_eq!(at(path), Folder::In(site), "{path}");
        }
        assert_eq!(
            at("/workspaces/team/ws1?x"),
            Folder::At("ws.example/workspaces/team/ws1".into())
        );
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for path in [
            "",
            "workspaces/team/ws1/",
            "//workspaces/team/ws1/",
            "/./workspaces/team/ws1/",
            "/../workspaces/team/ws1/",
            "/workspaces//team/ws1/",
            "/workspaces/team//ws1/",
            "/workspaces/team/../ws1/",
            "/workspaces/team/ws2/../ws1/",
            "/workspaces/team/ws2/..",
            "/workspaces/team/ws2/%2e%2e/ws1/",
            "/workspaces/team/ws2/%2E./ws1/",
            "/workspaces/team/ws2/%252e%252e/ws1/",
            "/workspaces/team/ws2/..%2fws1/",
            "/workspaces/team/ws2/..\\ws1/",
            "/workspaces/team/ws2/..%5Cws1/",
            "/workspaces/team/ws2/..;x/ws1/",
            "/workspaces/team/ws2/x/../../ws1/",
            "/workspaces/team%2Fws1/",
            "/workspaces/team/ws1%2F",
            "/workspaces/team/ws1;x/",
            "/workspaces;x/team/ws1/",
            "/workspaces/team/ws1\\/",
            "/workspaces\\team\\ws1/",
            "/workspaces/team/ws1%00/",
            "/workspaces/team/ws1\0/",
            "/workspaces/team/w%731/",
            "/%77orkspaces/team/ws1/",
            "/workspaces/team/ws1 /",
            "/workspaces/team/wś1/",
        ] {
            assert_eq!(at(path), Folder::Unclear, "{path}");
        }
    }

    #[test]
    fn other_hosts_are_not_workspace_hosts() {
        for path in [
            "/",
            "/?x",
            "/favicon.ico",
            "/workspaces",
            "/workspaces/",
            "/workspaces/team",
            "/workspaces/team/",
            "/workspaces/team/Ws1/",
            "/Workspaces/team/ws1/",
            "/workspaces2/team/ws1/",
            "/lab/workspaces/team/ws1/",
            "/workspaces/te*am/ws1/",
        ] {
            assert_eq!(at(path), Folder::Outside, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_path_leads_only_where_a_lenient_server_finds_it(
            path in "/{1,2}(workspaces|%77orkspaces|[.%2ef;\\\\]{0,6})/(team|[a-z.%2ef]{0,5})/(ws1|ws10|ws1%2f|[.;%2ef]{0,5})(/[a-z./%2ef5c;\\\\]{0,20})?"
        ) {
            if let Folder::In(site) = at(&path) {
                let mut found = openidconnect::url::Url::parse("https://ws.example").unwrap();
                // A browser's reading, once as received and once decoded.
                for reading in [path.clone(), percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned()] {
                    found.set_path(&reading);
                    prop_assert!(format!("{}/", found.path()).starts_with(&*site.cookie_path()), "{path} {reading} {}", found.path());
                }
            }
        }
    }
}
