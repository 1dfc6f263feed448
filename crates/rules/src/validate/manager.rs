//! WorkspaceManager -> its violations, independent of workspaces (pure).

use api::WorkspaceManager;
use api::manager::RoutingMode;

use super::size::spec_size;
use crate::checks::networks;
use crate::names::is_dns_1123_subdomain;
use crate::routes;
use crate::settings::Settings;
use crate::violation::Violation;

/// All violations of a manager.
pub fn manager(manager: &WorkspaceManager, settings: &Settings) -> Vec<Violation> {
    let spec = &manager.spec;
    let mut found: Vec<_> = spec_size(spec).into_iter().collect();
    let domain = &spec.routing.base_domain;
    let is_address = domain
        .rsplit('.')
        .next()
        .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    // A host adds a label of up to 63 characters.
    if !is_dns_1123_subdomain(domain) || !domain.contains('.') || domain.len() > 180 || is_address {
        let rule = "is no domain: write labels of lower-case letters, digits and '-', joined by dots, the last one with a letter in front, such \
                    as workspaces.example.org (an IP address has no hosts below it)";
        found.push(Violation::new("spec.routing.baseDomain", domain, rule));
    }
    if let Some(port) = spec.routing.port.filter(|port| !(1..=65535).contains(port)) {
        let rule = "is no port: choose one from 1 to 65535, or leave it out for 443";
        found.push(Violation::new("spec.routing.port", port.to_string(), rule));
    }
    if spec.routing.traefik.is_some() == spec.routing.custom.is_some() {
        let rule = "needs exactly one of traefik and custom";
        found.push(Violation::new("spec.routing", "", rule));
    }
    if spec.routing.mode == RoutingMode::Path && spec.routing.traefik.is_none() {
        let rule = "needs traefik: routes that are objects have a host per workspace; name traefik, or mode Subdomain";
        found.push(Violation::new("spec.routing.mode", "Path", rule));
    }
    let ways = &spec.authentication;
    let count = [
        ways.gateway.is_some(),
        ways.forward_auth.is_some(),
        ways.none.is_some(),
    ];
    if count.iter().filter(|is_set| **is_set).count() != 1 {
        let rule = "needs exactly one of gateway, forwardAuth and none";
        found.push(Violation::new("spec.authentication", "", rule));
    }
    if spec.routing.traefik.is_some() && ways.gateway.is_none() {
        let rule = "needs authentication.gateway: its routes come from the gateway";
        found.push(Violation::new("spec.routing.traefik", "", rule));
    }
    if let Some(service) = &ways.forward_auth
        && !["http://", "https://"]
            .iter()
            .any(|scheme| service.address.starts_with(scheme))
    {
        let rule = "is no URL: write http://… or https://…";
        found.push(Violation::new(
            "spec.authentication.forwardAuth.address",
            &service.address,
            rule,
        ));
    }
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

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(
            fields(
                json!({"baseDomain": "Local", "port": 0}),
                json!({"none": {}, "forwardAuth": {"address": "x"}})
            ),
            [
                "spec.routing.baseDomain",
                "spec.routing.port",
                "spec.routing",
                "spec.authentication",
                "spec.authentication.forwardAuth.address",
            ]
        );
        assert_eq!(
            fields(
                json!({"baseDomain": "10.0.0.1", "traefik": {}}),
                json!({"gateway": {}})
            ),
            ["spec.routing.baseDomain"]
        );
        assert_eq!(
            fields(json!({"baseDomain": "b.org", "traefik": {}}), json!({"none": {}})),
            ["spec.routing.traefik"]
        );
    }
}
