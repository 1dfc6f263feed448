//! Name or nothing, and all managers -> the one that routes a workspace (pure).

use api::WorkspaceManager;
use kube::ResourceExt as _;

use crate::rejection::NotYet;

/// The manager that `named` names, else the one default manager.
pub fn choose<'a>(
    named: Option<&str>,
    managers: impl IntoIterator<Item = &'a WorkspaceManager>,
) -> Result<&'a WorkspaceManager, NotYet> {
    let mut managers = managers.into_iter();
    if let Some(name) = named {
        return managers
            .find(|manager| manager.metadata.name.as_deref() == Some(name))
            .ok_or_else(|| NotYet::ManagerNotFound {
                name: name.to_owned(),
            });
    }
    let defaults: Vec<_> = managers.filter(|manager| is_default(manager)).collect();
    match defaults.as_slice() {
        [] => Err(NotYet::NoDefaultManager),
        [only] => Ok(only),
        several => {
            let mut all: Vec<_> = several.iter().map(|manager| manager.name_any()).collect();
            all.sort();
            Err(NotYet::ManagerAmbiguous { names: all })
        }
    }
}

/// Whether workspaces that name no manager get this one.
pub fn is_default(manager: &WorkspaceManager) -> bool {
    manager
        .annotations()
        .get(api::names::IS_DEFAULT)
        .is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            NotYet::ManagerNotFound { name: "c".into() }
        );
    }

    #[test]
    fn without_a_name_exactly_one_default_is_needed() {
        let one = [manager("a", "false"), manager("b", "true")];
        assert_eq!(choose(None, &one).unwrap().name_any(), "b");
        let none = [manager("a", "yes")];
        assert_eq!(choose(None, &none).unwrap_err(), NotYet::NoDefaultManager);
        let two = [manager("b", "true"), manager("a", "true")];
        assert_eq!(
            choose(None, &two).unwrap_err(),
            NotYet::ManagerAmbiguous {
                names: vec!["a".into(), "b".into()]
            }
        );
    }
}
