//! WorkspaceManager -> its violations, independent of workspaces (pure).

use api::WorkspaceManager;

use super::size::spec_size;
use crate::checks::networks;
use crate::routes;
use crate::settings::Settings;
use crate::violation::Violation;

/// Violations of a manager that its definition does not know.
pub fn manager(manager: &WorkspaceManager, settings: &Settings) -> Vec<Violation> {
    let spec = &manager.spec;
    let mut found: Vec<_> = spec_size(spec).into_iter().collect();
    let network_policy = spec.network_policy.iter();
    for (index, network) in network_policy
        .flat_map(|network_policy| &network_policy.not_public)
        .enumerate()
    {
        if let Some(rule) = networks::fault(network) {
            let field = format!("spec.networkPolicy.notPublic[{index}]");
            found.push(Violation::new(field, network, rule));
        }
    }
    found.extend(routes::check(manager, settings));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(routing: Value, authentication: Value) -> Vec<String> {
        let object = json!({"metadata": {"name": "m"}, "spec": {"routing": routing, "authentication": authentication}});
        let object: WorkspaceManager = serde_json::from_value(object).unwrap();
        let settings = Settings::parse("defaultImage: i").unwrap();
        manager(&object, &settings)
            .into_iter()
            .map(|it| it.field)
            .collect()
    }

    #[test]
    fn the_usual_manager_is_right() {
        let routing = json!({"baseDomain": "workspaces.localhost", "port": 8443, "traefik": {}});
        assert_eq!(fields(routing, json!({"gateway": {}})), [""; 0]);
    }

    #[test]
    fn a_manifest_that_is_too_deep_is_named() {
        for (levels, expected) in [(31, 0), (32, 1), (90, 1)] {
            let manifest =
                json!({"apiVersion": "v1", "kind": "Service", "spec": testkit::objects::nested(levels)});
            let routing = json!({"baseDomain": "b.org", "custom": {"resources": [manifest]}});
            let found = fields(routing, json!({"gateway": {}}));
            let deep = found
                .iter()
                .filter(|field| *field == "spec.routing.custom.resources[0]");
            assert_eq!(deep.count(), expected, "{levels}: {found:?}");
        }
    }

    #[test]
    fn a_network_that_is_none_is_named() {
        let object = json!({"metadata": {"name": "m"}, "spec": {
            "routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}},
            "networkPolicy": {"notPublic": ["11.0.0.0/8", "11.0.0.1/8"]},
        }});
        let object: WorkspaceManager = serde_json::from_value(object).unwrap();
        let settings = Settings::parse("defaultImage: i").unwrap();
        let found = manager(&object, &settings);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                r#"spec.networkPolicy.notPublic[1]: "11.0.0.1/8" has bits behind its prefix: write the first address of the network"#
            ]
        );
    }
}
