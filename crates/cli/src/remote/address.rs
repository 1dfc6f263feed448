//! Text of a user or of an object -> the address of an installation or a workspace (pure).

use std::fmt;

use http::Uri;
use rules::names::{SSH_SUFFIX, is_dns_1123_subdomain};
use serde::{Deserialize, Serialize};

use crate::args::bare_name;

/// What every error about an address ends with.
const EXPECTED: &str = "must be an address such as https://workspaces.example.org";
/// What a name says too little about.
const NO_NAME: &str = "not a name: give the installation's address, or copy that of a workspace from the browser in which it is open; \
     with a kubeconfig, or after a sign-in, leave it out";
/// What a text with dots must be that names no scheme.
const NO_HOST: &str =
    "must be <name>.<namespace>.workspace, a workspace's URL, or a host: labels of letters, digits and '-'";
/// Port of HTTPS.
const HTTPS: u16 = 443;
/// First label of the host on which the gateway signs in.
const AUTH: &str = "auth.";
/// First part of a workspace's path where all workspaces share a host.
const FOLDERS: &str = "workspaces";

/// A host and its port, for HTTPS. In files it is an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Place {
    /// The place where an installation with this base domain signs in.
    pub(crate) fn auth_of(base: &str, port: u16) -> Self {
        Self {
            host: format!("{AUTH}{base}"),
            port,
        }
    }

    /// Where this place's installation may sign in, the likeliest first: a base domain, then a host of one of its workspaces.
    pub(crate) fn auth_candidates(&self) -> Vec<Self> {
        if self.host.starts_with(AUTH) {
            return vec![self.clone()];
        }
        let parent = self.host.split_once('.').map(|(_, parent)| parent);
        let bases = std::iter::once(self.host.as_str()).chain(parent.filter(|parent| parent.contains('.')));
        bases.map(|base| Self::auth_of(base, self.port)).collect()
    }

    /// Of the place that signs in: the installation's base domain, with its port.
    pub(crate) fn base(&self) -> Self {
        let host = self.host.strip_prefix(AUTH).unwrap_or(&self.host);
        Self {
            host: host.to_owned(),
            port: self.port,
        }
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(address: String) -> Result<Self, String> {
        Address::parse(&address).map(|address| address.place)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        format!("https://{place}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            HTTPS => f.write_str(&self.host),
            port => write!(f, "{}:{port}", self.host),
        }
    }
}

/// An HTTPS address without query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) place: Place,
    /// Begins with `/`.
    pub(crate) path: String,
}

impl Address {
    /// Reads an address; `https://` may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |rule: &str| format!("{text:?} {rule}");
        let whole = match text.split_once("://") {
            None => format!("https://{text}"),
            Some(("https", _)) => text.to_owned(),
            Some(_) => return Err(wrong("must begin with https://")),
        };
        let uri: Uri = whole.parse().map_err(|_| wrong(EXPECTED))?;
        let authority = uri.authority().ok_or_else(|| wrong(EXPECTED))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not hold a user: the gateway's page asks who you are"));
        }
        let host = authority.host().to_ascii_lowercase();
        if !is_dns_1123_subdomain(&host) {
            return Err(wrong(EXPECTED));
        }
        // As a user types the name of a workspace.
        let is_name = !text.contains("://") && !authority.as_str().contains([':', '.']);
        if is_name && host != "localhost" {
            return Err(format!("{text:?} {EXPECTED}, {NO_NAME}"));
        }
        if host.ends_with(SSH_SUFFIX) {
            return Err(format!(
                "{text:?} is a name for ssh: give the installation's address"
            ));
        }
        let port = match &authority.as_str()[host.len()..] {
            "" => Some(HTTPS),
            rest => rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        };
        let port = port.filter(|port| *port > 0);
        let port = port.ok_or_else(|| wrong("must have a port from 1 to 65535, or none"))?;
        Ok(Self {
            place: Place { host, port },
            path: uri.path().to_owned(),
        })
    }

    /// The workspace that has this address, in an installation that signs in at `auth`; `None`: it has none.
    pub(crate) fn workspace(&self, auth: &Place) -> Option<WorkspaceAddress> {
        let base = auth.base();
        let (host, port) = (&self.place.host, self.place.port);
        if port != base.port {
            return None;
        }
        let path = if *host == base.host {
            let mut parts = self.path.split('/').skip(1);
            let (folders, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
            let is_named = rules::checks::name(name).is_empty()
                && rules::checks::namespace("namespace", namespace).is_none();
            if folders != FOLDERS || !is_named {
                return None;
            }
            format!("/{FOLDERS}/{namespace}/{name}")
        } else {
            let label = host.strip_suffix(&base.host)?.strip_suffix('.')?;
            if label.is_empty() || label.contains('.') || matches!(label, "auth" | "portal") {
                return None;
            }
            String::new()
        };
        Some(WorkspaceAddress {
            place: self.place.clone(),
            path,
        })
    }
}

/// Where a workspace is: a host of its own, or a folder of the shared one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkspaceAddress {
    pub(crate) place: Place,
    /// The folder without `/` at its end; empty on a host of its own.
    pub(crate) path: String,
}

impl WorkspaceAddress {
    /// Host, port if it is not 443, and folder: what the gateway takes for a workspace.
    pub(crate) fn site(&self) -> String {
        format!("{}{}", self.place, self.path)
    }
}

impl fmt::Display for WorkspaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}/", self.place, self.path)
    }
}

/// What users, and ssh, call a workspace by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Called {
    /// Its name in the namespace of the command.
    Name(String),
    /// `<name>.<namespace>.workspace`.
    Named {
        name: String,
        namespace: String,
    },
    /// Another host: one of an installation, it seems.
    Host(String),
    Url(Address),
}

impl Called {
    /// Reads what a command is given.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Address::parse(text).map(Self::Url);
        }
        let wrong = |rule: String| format!("{text:?} {rule}");
        if let Some((_, host)) = text.split_once('@') {
            return Err(wrong(format!(
                "must not hold a user: give --user, and {host:?} alone"
            )));
        }
        if let Some((host, port)) = text.split_once(':')
            && !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(wrong(format!(
                "must not hold a port: workspaces have none for ssh; give {host:?} alone"
            )));
        }
        if let Some((name, namespace)) = split_ssh_host(text) {
            let (name, namespace) = (name.to_owned(), namespace.to_owned());
            return Ok(Self::Named { name, namespace });
        }
        if text.contains('.') && !text.contains('/') {
            // It becomes a part of ssh's ProxyCommand, which a shell reads.
            let host = text.to_ascii_lowercase();
            if !is_dns_1123_subdomain(&host) {
                return Err(wrong(NO_HOST.to_owned()));
            }
            return Ok(Self::Host(host));
        }
        let name = bare_name(text);
        match rules::checks::name(name).first() {
            Some(violation) => Err(wrong(violation.message.clone())),
            None => Ok(Self::Name(name.to_owned())),
        }
    }
}

/// Name and namespace in `<name>.<namespace>.workspace`; `None`: it is another name.
fn split_ssh_host(host: &str) -> Option<(&str, &str)> {
    let (name, namespace) = host.strip_suffix(SSH_SUFFIX)?.split_once('.')?;
    let is_named =
        rules::checks::name(name).is_empty() && rules::checks::namespace("namespace", namespace).is_none();
    is_named.then_some((name, namespace))
}

#[cfg(test)]
mod tests {
    use rules::names::ssh_host;

    use super::*;

    fn place(text: &str) -> Place {
        Address::parse(text).unwrap().place
    }

    #[test]
    fn an_address_has_https_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("https://ws.example.org", "ws.example.org"),
            ("WS.example.org/lab?x", "ws.example.org"),
            ("https://ws.example.org:8443/", "ws.example.org:8443"),
            ("https://ws.example.org:443/", "ws.example.org"),
            ("https://127.0.0.1:9/", "127.0.0.1:9"),
            // A name may be a host, where the text is more than the name.
            ("localhost", "localhost"),
            ("intranet:8443", "intranet:8443"),
            ("https://intranet", "intranet"),
        ] {
            assert_eq!(place(text).to_string(), expected, "{text}");
        }
        for (text, rule) in [
            ("http://ws.example.org", "must begin with https://"),
            ("ftp://ws.example.org", "must begin with https://"),
            ("https://bob@ws.example.org", "must not hold a user"),
            ("bob:secret@ws.example.org", "must not hold a user"),
            ("https://ws.example.org:0", "port"),
            ("https://ws.example.org:99999", "must"),
            ("https://ws.example.org:", "port"),
            ("https://", EXPECTED),
            ("", EXPECTED),
            ("https://a..b", EXPECTED),
            ("https://a b", EXPECTED),
            ("https://$(id).example", EXPECTED),
            ("https://[::1]/", EXPECTED),
            ("alice-lab", "not a name: give the installation's address"),
            ("alice-lab/", "not a name"),
            ("alice-lab.team-demo.workspace", "is a name for ssh"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(rule), "{text}: {error}");
        }
    }

    #[test]
    fn an_installation_signs_in_beside_its_workspaces() {
        let of = |text: &str| -> Vec<String> {
            let candidates = place(text).auth_candidates().into_iter();
            candidates.map(|place| place.to_string()).collect()
        };
        assert_eq!(of("https://auth.ws.example/"), ["auth.ws.example"]);
        assert_eq!(of("https://ws.example:8443"), ["auth.ws.example:8443"]);
        assert_eq!(
            of("https://lab-abc.ws.example/lab"),
            ["auth.lab-abc.ws.example", "auth.ws.example"]
        );
        assert_eq!(
            of("https://portal.ws.example/"),
            ["auth.portal.ws.example", "auth.ws.example"]
        );
    }

    #[test]
    fn a_workspace_is_a_host_or_a_folder_of_its_installation() {
        let auth = Place::auth_of("ws.example", 8443);
        let of = |text: &str| {
            Address::parse(text)
                .unwrap()
                .workspace(&auth)
                .map(|found| found.to_string())
        };
        for (text, expected) in [
            (
                "https://lab-abc.ws.example:8443/lab/tree/x",
                "https://lab-abc.ws.example:8443/",
            ),
            (
                "https://ws.example:8443/workspaces/team/lab/lab",
                "https://ws.example:8443/workspaces/team/lab/",
            ),
            (
                "https://ws.example:8443/workspaces/team/lab",
                "https://ws.example:8443/workspaces/team/lab/",
            ),
        ] {
            assert_eq!(of(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "https://lab-abc.ws.example/",
            "https://lab-abc.other.example:8443/",
            "https://auth.ws.example:8443/",
            "https://portal.ws.example:8443/",
            "https://a.b.ws.example:8443/",
            "https://evilws.example:8443/",
            "https://ws.example:8443/",
            "https://ws.example:8443/workspaces/team",
            "https://ws.example:8443/workspaces/team/../x/",
            "https://ws.example:8443/other/team/lab",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_workspace_is_called_by_name_host_or_url_without_user_and_port() {
        let named = |name: &str, namespace: &str| Called::Named {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        };
        for (text, expected) in [
            ("lab", Called::Name("lab".to_owned())),
            ("ws/lab", Called::Name("lab".to_owned())),
            (
                "workspace.workspaces.jupyter.org/lab",
                Called::Name("lab".to_owned()),
            ),
            ("lab.team-a.workspace", named("lab", "team-a")),
            (&ssh_host("team-a", "lab"), named("lab", "team-a")),
            (
                "https://lab.example",
                Called::Url(Address::parse("lab.example").unwrap()),
            ),
        ] {
            assert_eq!(Called::parse(text).as_ref(), Ok(&expected), "{text}");
        }
        for host in [
            "lab.workspace",
            "lab.team-a",
            "lab.team.x.workspace",
            "Lab.team.workspace",
            "lab.team.workspace.example.org",
        ] {
            let expected = Called::Host(host.to_ascii_lowercase());
            assert_eq!(Called::parse(host), Ok(expected), "{host}");
        }
        for (text, rule) in [
            ("bob@lab", "must not hold a user"),
            ("lab:22", "must not hold a port"),
            ("bob@lab:22", "must not hold a user"),
            ("bob@lab.team.workspace", "must not hold a user"),
            ("lab.team.workspace:22", "must not hold a port"),
            ("http://lab.example", "must begin with https://"),
            ("-oProxyCommand=x", "must"),
            ("", "must"),
            (".team.workspace", NO_HOST),
            ("lab..workspace", NO_HOST),
            ("$(id).team.workspace", NO_HOST),
            ("x';id;'.ws.example", NO_HOST),
            ("-oproxycommand=id.ws.example", NO_HOST),
            ("a b.ws.example", NO_HOST),
        ] {
            let error = Called::parse(text).unwrap_err();
            assert!(error.contains(rule), "{text}: {error}");
        }
    }
}
