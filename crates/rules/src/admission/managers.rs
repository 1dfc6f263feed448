//! Manager name (optional) and all managers -> the manager that routes a workspace (pure).

use api::WorkspaceManager;
use kube::ResourceExt as _;

use super::rejection::MissingReference;
use crate::settings::Settings;

/// The manager called `named`, else the one default manager.
pub fn choose<'a>(
    named: Option<&str>,
    managers: impl IntoIterator<Item = &'a WorkspaceManager>,
) -> Result<&'a WorkspaceManager, MissingReference> {
    let mut managers = managers.into_iter();
    if let Some(name) = named {
        return managers
            .find(|manager| manager.metadata.name.as_deref() == Some(name))
            .ok_or_else(|| MissingReference::ManagerNotFound {
                name: name.to_owned(),
            });
    }
    let defaults: Vec<_> = managers.filter(|manager| is_default(manager)).collect();
    match defaults.as_slice() {
        [] => Err(MissingReference::NoDefaultManager),
        [only] => Ok(only),
        several => {
            let mut all: Vec<_> = several.iter().map(|manager| manager.name_any()).collect();
            all.sort();
            Err(MissingReference::ManagerAmbiguous { names: all })
        }
    }
}

/// Whether this manager is used for workspaces that name no manager.
pub fn is_default(manager: &WorkspaceManager) -> bool {
    manager
        .annotations()
        .get(api::names::IS_DEFAULT)
        .is_some_and(|value| value == "true")
}

/// Why the workspaces of a manager cannot be reached, if so: they need the gateway, but it serves another manager.
pub fn not_served(manager: &WorkspaceManager, settings: &Settings) -> Option<String> {
    manager.spec.authentication.gateway.as_ref()?;
    let serves = match &settings.gateway_manager {
        Some(name) if manager.metadata.name.as_deref() == Some(name) => return None,
        Some(name) if name.is_empty() => {
            return Some(format!(
                "No gateway serves WorkspaceManager {:?}: this installation has no gateway. Have this one use routing.custom with \
                 authentication.forwardAuth or none.",
                manager.name_any()
            ));
        }
        Some(name) => format!("WorkspaceManager {name:?}"),
        None if is_default(manager) => return None,
        None => "the default WorkspaceManager".to_owned(),
    };
    Some(format!(
        "No gateway serves WorkspaceManager {:?}: the gateway of this installation serves {serves}. Name that one in spec.managerRef, or have \
         this one use routing.custom with authentication.forwardAuth.",
        manager.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_serves_the_manager_that_settings_name_or_the_default_one_and_no_other() {
        let settings = |text: &str| Settings::parse(&format!("{{defaultImage: i{text}}}")).unwrap();
        let (named, unnamed) = (settings(", gatewayManager: b"), settings(""));
        let (default, other) = (manager("a", "true"), manager("b", "false"));
        assert_eq!(not_served(&other, &named), None);
        let why = not_served(&default, &named).unwrap();
        assert!(
            why.starts_with(r#"No gateway serves WorkspaceManager "a""#)
                && why.contains(r#"serves WorkspaceManager "b""#),
            "{why}"
        );
        assert_eq!(not_served(&default, &unnamed), None);
        let without_gateway = settings(", gatewayManager: ''");
        let why = not_served(&default, &without_gateway).unwrap();
        assert!(why.contains("this installation has no gateway"), "{why}");
        assert!(not_served(&other, &unnamed).is_some());
        let mut other_manager = other;
        other_manager.spec.authentication.gateway = None;
        assert_eq!(
            not_served(&other_manager, &unnamed),
            None,
            "another service lets people in"
        );
    }

    fn manager(name: &str, default: &str) -> WorkspaceManager {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "annotations": {api::names::IS_DEFAULT: default}},
            "spec": {"routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}}},
        }))
        .unwrap()
    }

    #[test]
    fn a_named_manager_is_taken_whatever_the_default() {
        let all = [manager("a", "true"), manager("b", "false")];
        assert_eq!(choose(Some("b"), &all).unwrap().name_any(), "b");
        assert_eq!(
            choose(Some("c"), &all).unwrap_err(),
            MissingReference::ManagerNotFound { name: "c".into() }
        );
    }

    #[test]
    fn without_a_name_exactly_one_default_is_needed() {
        let one = [manager("a", "false"), manager("b", "true")];
        assert_eq!(choose(None, &one).unwrap().name_any(), "b");
        let none = [manager("a", "yes")];
        assert_eq!(
            choose(None, &none).unwrap_err(),
            MissingReference::NoDefaultManager
        );
        let two = [manager("b", "true"), manager("a", "true")];
        assert_eq!(
            choose(None, &two).unwrap_err(),
            MissingReference::ManagerAmbiguous {
                names: vec!["a".into(), "b".into()]
            }
        );
    }
}
