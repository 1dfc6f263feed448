//! routing of a manager, host and path of a request -> where the request leads (pure).

use std::sync::Arc;

use api::manager::{Routing, RoutingMode};
use api::names::PORTAL_AUDIENCE;

use crate::site::{self, Folder, Site};

/// The domain that the gateway serves, from the WorkspaceManager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    base: String,
    port: u16,
    mode: RoutingMode,
    has_portal: bool,
    portal_acts_in: Arc<[String]>,
}

/// What a request's authority and path lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `auth.<base>`.
    Auth,
    /// `portal.<base>`, if there is a portal: a site for every signed-in user.
    Portal(Site),
    /// The site of a workspace, which may not exist.
    Workspace(Site),
    /// The folder of a workspace without the `/` at the end of its name.
    Folder(Site),
    /// The shared host of all workspaces, outside every workspace's folder.
    Nowhere,
    /// The shared host of all workspaces, and a path that servers may read in more than one way.
    Unclear,
    /// Any other authority. This includes the bare base domain, unless workspaces have folders there.
    Outside,
}

impl Domain {
    /// `base`: domain name; `port`: the port that browsers use (443 is omitted from URLs).
    pub fn new(base: &str, port: u16) -> Self {
        Self {
            base: base.trim_end_matches('.').to_ascii_lowercase(),
            port,
            mode: RoutingMode::Subdomain,
            has_portal: false,
            portal_acts_in: Arc::default(),
        }
    }

    /// The domain in a manager's routing.
    pub fn from_routing(routing: &Routing) -> Self {
        Self::new(&routing.base_domain, routing.external_port()).in_mode(routing.mode)
    }

    /// The same domain in another mode.
    #[must_use]
    pub fn in_mode(self, mode: RoutingMode) -> Self {
        Self { mode, ..self }
    }

    /// The same domain with or without the portal's host.
    #[must_use]
    pub fn with_portal(self, has_portal: bool) -> Self {
        Self { has_portal, ..self }
    }

    /// The same domain. The portal changes workspaces of these namespaces for users; `*` stands for all.
    #[must_use]
    pub fn with_portal_acting_in(self, namespaces: Arc<[String]>) -> Self {
        Self {
            portal_acts_in: namespaces,
            ..self
        }
    }

    /// Whether workspaces have hosts or folders.
    pub fn mode(&self) -> RoutingMode {
        self.mode
    }

    /// The site of a workspace.
    pub fn site(&self, namespace: &str, name: &str, uid: &str) -> Site {
        match self.mode {
            RoutingMode::Subdomain => rules::names::host(namespace, name, uid, &self.base).into(),
            RoutingMode::Path => (self.base.clone() + &rules::names::folder(namespace, name)).into(),
        }
    }

    /// Whether a site made by [`Domain::site`] belongs to this domain.
    pub(crate) fn covers(&self, site: &Site) -> bool {
        let (host, is_folder) = (site.host(), !site.prefix().is_empty());
        match self.mode {
            RoutingMode::Subdomain => {
                !is_folder && host.split_once('.').is_some_and(|(_, base)| base == self.base)
            }
            RoutingMode::Path => is_folder && host == self.base,
        }
    }

    /// Base domain in lower case, without port.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Port that browsers use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `auth.<base>`, without port.
    pub fn auth_host(&self) -> String {
        format!("auth.{}", self.base)
    }

    /// `https://auth.<base>`, with the port unless it is 443.
    pub fn auth_origin(&self) -> String {
        self.origin(&self.auth_host())
    }

    /// `portal.<base>`, if there is a portal. No workspace can have this host: theirs end in a hyphen and a hash.
    pub fn portal(&self) -> Option<Site> {
        self.has_portal
            .then(|| format!("{PORTAL_AUDIENCE}.{}", self.base).into())
    }

    /// Whether a site is the portal's.
    pub fn is_portal(&self, site: &Site) -> bool {
        let below = site.as_str().strip_suffix(&self.base);
        self.has_portal && below.and_then(|label| label.strip_suffix('.')) == Some(PORTAL_AUDIENCE)
    }

    /// `https://portal.<base>`, with the port unless it is 443; `None` without a portal.
    pub fn portal_origin(&self) -> Option<String> {
        self.portal().map(|site| self.origin_of(&site))
    }

    /// Whether there is a portal that changes workspaces of this namespace for users.
    pub fn portal_acts_in(&self, namespace: &str) -> bool {
        let is_covered = |name: &String| name == "*" || name == namespace;
        self.has_portal && self.portal_acts_in.iter().any(is_covered)
    }

    /// `https://<host>` of a site, with the port unless it is 443.
    pub fn origin_of(&self, site: &Site) -> String {
        self.origin(site.host())
    }

    /// URL of a site without a final `/`: the prefix of the workspace's own paths.
    pub fn address(&self, site: &Site) -> String {
        self.origin_of(site) + site.prefix()
    }

    /// `https://<host>`, with the port unless it is 443. `host` comes without port.
    pub fn origin(&self, host: &str) -> String {
        match self.port {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        }
    }

    /// Whether a workspace may be at this site.
    pub fn has(&self, site: &Site) -> bool {
        let origin = self.origin_of(site);
        let folder = format!("{}/", site.prefix());
        self.destination(origin.trim_start_matches("https://"), &folder)
            == Destination::Workspace(site.clone())
    }

    /// Classifies a request by its authority (`host` or `host:port`, as in a Host header) and its path with or without query, not
    /// decoded. Another port than the domain's is outside.
    pub fn destination(&self, authority: &str, uri: &str) -> Destination {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port_of(port)),
            None => (authority, Some(443)),
        };
        if port != Some(self.port) {
            return Destination::Outside;
        }
        let host = host.to_ascii_lowercase();
        if self.mode == RoutingMode::Path && host == self.base {
            return match site::folder(&host, uri) {
                Folder::In(site) => Destination::Workspace(site),
                Folder::At(site) => Destination::Folder(site),
                Folder::Outside => Destination::Nowhere,
                Folder::Unclear => Destination::Unclear,
            };
        }
        let Some(label) = host
            .strip_suffix(&self.base)
            .and_then(|rest| rest.strip_suffix('.'))
        else {
            return Destination::Outside;
        };
        match label {
            "auth" => Destination::Auth,
            PORTAL_AUDIENCE if self.has_portal => Destination::Portal(host.into()),
            "" => Destination::Outside,
            // Browsers interpret other characters specially: `#` ends a host, `%2e` is a dot.
            label if !site::is_name(label) || self.mode == RoutingMode::Path => Destination::Outside,
            _ => Destination::Workspace(host.into()),
        }
    }
}

/// A port in its usual form: without sign and leading zeros.
fn port_of(text: &str) -> Option<u16> {
    let plain = text.starts_with(|first| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_exactly_one_label_under_the_base_domain() {
        let domain = Domain::new("Workspaces.Example.", 8443);
        assert_eq!(
            domain.destination("auth.workspaces.example:8443", "/"),
            Destination::Auth
        );
        assert_eq!(
            domain.destination("WS1.workspaces.example:8443", "/"),
            Destination::Workspace("ws1.workspaces.example".into())
        );
        for outside in [
            "workspaces.example:8443",
            "a.b.workspaces.example:8443",
            "ws1workspaces.example:8443",
            "ws1.workspaces.example",
            "ws1.workspaces.example:443",
            "ws1.workspaces.example:08443",
            "ws1.workspaces.example:+8443",
            "ws1.workspaces.example.:8443",
            ".workspaces.example:8443",
            "ws1.workspaces.example.evil.example:8443",
            "evil%2eexample#.workspaces.example:8443",
            "evil%2eexample?.workspaces.example:8443",
            "evil%2eexample\\.workspaces.example:8443",
            "evil%2eexample/.workspaces.example:8443",
            "user@ws1.workspaces.example:8443",
            "ws_1.workspaces.example:8443",
            "",
            ":8443",
        ] {
            assert_eq!(
                domain.destination(outside, "/"),
                Destination::Outside,
                "{outside}"
            );
        }
    }

    #[test]
    fn default_port_is_left_out_of_origins_and_authorities() {
        let domain = Domain::new("ws.example", 443);
        assert_eq!(domain.auth_origin(), "https://auth.ws.example");
        assert_eq!(domain.destination("auth.ws.example", "/"), Destination::Auth);
        assert_eq!(domain.destination("auth.ws.example:443", "/"), Destination::Auth);
        assert_eq!(
            Domain::new("ws.example", 8443).auth_origin(),
            "https://auth.ws.example:8443"
        );
    }

    #[test]
    fn the_portal_has_a_host_of_its_own_in_every_mode_and_only_while_it_is_on() {
        for mode in [RoutingMode::Subdomain, RoutingMode::Path] {
            let without = Domain::new("ws.example", 8443).in_mode(mode);
            let domain = without.clone().with_portal(true);
            let site: Site = "portal.ws.example".into();
            for (authority, uri) in [
                ("portal.ws.example:8443", "/w/team/lab"),
                ("PORTAL.ws.example:8443", "/workspaces/team/../lab/"),
            ] {
                assert_eq!(
                    domain.destination(authority, uri),
                    Destination::Portal(site.clone())
                );
            }
            assert_eq!(domain.portal(), Some(site.clone()));
            assert_eq!(domain.portal_origin().unwrap(), "https://portal.ws.example:8443");
            assert!(
                domain.is_portal(&site) && !domain.has(&site),
                "no workspace is there"
            );
            for other in [
                "ws.example",
                "portal",
                "xportal.ws.example",
                "portal.ws.example/x",
                "a.portal.ws.example",
            ] {
                assert!(!domain.is_portal(&other.into()), "{other}");
            }
            for other in [
                "portal.ws.example",
                "portal.ws.example:443",
                "a.portal.ws.example:8443",
            ] {
                assert_eq!(domain.destination(other, "/"), Destination::Outside, "{other}");
            }
            assert!(!without.is_portal(&site) && without.portal().is_none());
            assert!(!matches!(
                without.destination("portal.ws.example:8443", "/"),
                Destination::Portal(_)
            ));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_workspace_has_the_host_of_the_portal(
            namespace in "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?",
            name in "(portal|auth|[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?)",
            uid in "[0-9a-f-]{0,36}",
        ) {
            for mode in [RoutingMode::Subdomain, RoutingMode::Path] {
                let domain = Domain::new("ws.example", 443).in_mode(mode).with_portal(true);
                let site = domain.site(&namespace, &name, &uid);
                proptest::prop_assert!(domain.has(&site) && !domain.is_portal(&site), "{site}");
            }
        }
    }
}
