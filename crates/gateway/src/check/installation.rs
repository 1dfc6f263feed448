//! Command line -> hosts of the installation (pure).

use api::manager::RoutingMode;

use crate::index::Domain;

/// Hosts of the installation.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Installation {
    /// Domain of workspaces and of the sign-in host.
    #[arg(long)]
    pub(super) base_domain: String,

    /// Subdomain or Path.
    #[arg(long, value_parser = mode)]
    pub(super) routing_mode: RoutingMode,

    /// Port in every URL, and of the proxy's Service.
    #[arg(long, default_value_t = 443)]
    pub(super) port: u16,

    /// Whether there is a portal, at `portal.<base domain>`.
    #[arg(long)]
    pub(super) portal_enabled: bool,

    /// Namespaces in which the portal changes workspaces for users, as the gateway's.
    #[arg(long)]
    pub(super) portal_acts_in: Vec<String>,

    /// Whether the portal acts with users' ID tokens, as the gateway's.
    #[arg(long)]
    pub(super) portal_id_tokens: bool,

    /// Host of the bundled identity provider [default: there is none].
    #[arg(long)]
    pub(super) identity_host: Option<String>,
}

fn mode(text: &str) -> Result<RoutingMode, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl Installation {
    /// The domain, as requests are routed by it.
    pub(super) fn domain(&self) -> Domain {
        Domain::new(&self.base_domain, self.port)
            .in_mode(self.routing_mode)
            .with_portal(self.portal_enabled)
    }

    /// Hosts of workspaces: all below the domain, or the domain itself.
    pub(super) fn workspace_host(&self) -> String {
        match self.routing_mode {
            RoutingMode::Subdomain => format!("*.{}", self.base_domain),
            RoutingMode::Path => self.base_domain.clone(),
        }
    }

    /// Host of the portal, where the hosts of workspaces do not include it.
    pub(super) fn portal_host(&self) -> Option<String> {
        let portal = self.domain().portal()?;
        (self.routing_mode == RoutingMode::Path).then(|| portal.to_string())
    }

    /// Hosts that the proxy's certificate must cover. A wildcard does not cover the domain itself, from which the proxy redirects.
    pub(super) fn hosts(&self) -> Vec<String> {
        let other = match self.routing_mode {
            RoutingMode::Subdomain => self.base_domain.clone(),
            RoutingMode::Path => self.domain().auth_host(),
        };
        let mut hosts = vec![self.workspace_host(), other];
        hosts.extend(self.portal_host());
        hosts.extend(self.identity_host.clone());
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_each_routing_mode_are_those_of_the_certificate() {
        let mut installation = Installation {
            base_domain: "ws.example".into(),
            routing_mode: mode("Subdomain").unwrap(),
            port: 8443,
            portal_enabled: true,
            portal_acts_in: Vec::new(),
            portal_id_tokens: false,
            identity_host: Some("id.example".into()),
        };
        assert_eq!(installation.hosts(), ["*.ws.example", "ws.example", "id.example"]);
        installation.routing_mode = mode("Path").unwrap();
        let hosts = ["ws.example", "auth.ws.example", "portal.ws.example", "id.example"];
        assert_eq!(installation.hosts(), hosts);
        mode("path").unwrap_err();
    }
}
