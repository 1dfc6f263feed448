//! where a workspace is -> its host, its folder there, and what its cookies are called (pure).
//!
//! Everything that asks "which workspace does this request mean?" asks [`super::Domain::place`] and goes on with a [`Site`].

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::request::cookies;

/// Where browsers find one workspace: on a host of its own, or in a folder of the one host of all.
///
/// Its text, `<host>` or `<host>/workspaces/<namespace>/<name>`, is what tickets and codes are bound to. The host is in lower
/// case and without port; the folder ends without `/`.
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

    /// The folder's path without `/` at its end; empty on a host of its own.
    pub fn prefix(&self) -> &str {
        &self.0[self.host().len()..]
    }

    /// The part of a path (with or without query) that the workspace sees as its own; begins with `/`. What is outside of the
    /// folder is its root.
    pub fn within<'a>(&self, uri: &'a str) -> &'a str {
        uri.strip_prefix(self.prefix())
            .filter(|rest| rest.starts_with('/') || self.prefix().is_empty())
            .unwrap_or("/")
    }

    /// `Path` of its cookies. It ends in `/`, so that the folder `ws1` does not hold those of `ws10`.
    pub fn cookie_path(&self) -> Cow<'static, str> {
        match self.prefix() {
            "" => "/".into(),
            prefix => format!("{prefix}/").into(),
        }
    }

    /// Name of the cookie that holds its ticket.
    pub fn ticket(&self) -> &'static str {
        self.cookie(cookies::TICKET, cookies::FOLDER_TICKET)
    }

    /// Name of the cookie that ties its redirects to one browser.
    pub fn pre(&self) -> &'static str {
        self.cookie(cookies::PRE, cookies::FOLDER_PRE)
    }

    /// `__Host-` cookies need `Path=/`; in a folder the path tells those of one workspace from those of another. The names are
    /// the same in all folders, because Traefik hands on only cookies whose names its configuration lists.
    fn cookie(&self, of_host: &'static str, of_folder: &'static str) -> &'static str {
        if self.prefix().is_empty() {
            of_host
        } else {
            of_folder
        }
    }
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
    use super::*;

    #[test]
    fn a_host_of_its_own_is_all_the_workspaces() {
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
        assert_eq!((site.ticket(), site.pre()), ("__Secure-ws", "__Secure-ws-pre"));
        assert_eq!(site.within("/workspaces/team/ws1/lab?x=1"), "/lab?x=1");
        for outside in ["/workspaces/team/ws10/lab", "/workspaces/team/ws1", "/", ""] {
            assert_eq!(site.within(outside), "/", "{outside}");
        }
    }
}
