//! The manager of this installation -> its addresses (pure).

use api::WorkspaceManager;

/// The addresses of this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    base_domain: String,
    port: u16,
}

impl Served {
    /// The addresses that the manager states.
    pub(crate) fn from_manager(manager: &WorkspaceManager) -> Self {
        let routing = &manager.spec.routing;
        Self {
            base_domain: routing.base_domain.to_ascii_lowercase(),
            port: routing.external_port(),
        }
    }

    /// Origin of the portal's pages, such as `https://portal.example.org`.
    pub(crate) fn origin(&self) -> String {
        self.origin_of("portal")
    }

    /// Origin of the sign-in host.
    pub(crate) fn auth_origin(&self) -> String {
        self.origin_of("auth")
    }

    fn origin_of(&self, host: &str) -> String {
        match self.port {
            443 => format!("https://{host}.{}", self.base_domain),
            port => format!("https://{host}.{}:{port}", self.base_domain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_port_is_left_out_of_origins() {
        let mut manager = testkit::objects::manager("main");
        manager.spec.routing.base_domain = "Ws.Example".to_owned();
        manager.spec.routing.port = None;
        assert_eq!(
            Served::from_manager(&manager).origin(),
            "https://portal.ws.example"
        );
        manager.spec.routing.port = Some(8443);
        assert_eq!(
            Served::from_manager(&manager).auth_origin(),
            "https://auth.ws.example:8443"
        );
    }
}
