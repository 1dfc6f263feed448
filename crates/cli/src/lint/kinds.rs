//! apiVersion and kind -> one of ours, a misspelt one of ours, or another product's (pure).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use rules::{Violation, spelling};
use serde_json::Value;

/// What an object is by its kind.
pub(super) enum Kind<'a> {
    /// One of ours.
    Known(&'a CustomResourceDefinition),
    /// It was meant to be one of ours, but the API server knows no such kind.
    Wrong(Violation),
    /// Another product's.
    Other,
}

/// The kind of an object.
pub(super) fn kind_of<'a>(object: &Value, crds: &'a [CustomResourceDefinition]) -> Kind<'a> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let Some((group, version)) = api_version.split_once('/') else {
        return Kind::Other;
    };
    let of_group = crds.iter().filter(|crd| crd.spec.group == group);
    let Some(meant) = of_group.min_by_key(|crd| apart(&crd.spec.names.kind, kind)) else {
        return near(group, kind, api_version, crds);
    };
    let violation = if meant.spec.names.kind != kind {
        let rule = format!("must be a kind of {group}: write {}", meant.spec.names.kind);
        Violation::new("kind", kind, rule)
    } else if serves(meant, version) {
        return Kind::Known(meant);
    } else {
        wrong_version(api_version, meant)
    };
    Kind::Wrong(violation)
}

/// An object of a group that is written almost as ours.
fn near<'a>(group: &str, kind: &str, api_version: &str, crds: &'a [CustomResourceDefinition]) -> Kind<'a> {
    let is_near = |crd: &&CustomResourceDefinition| {
        apart(&crd.spec.group, group) <= spelling::MOST && apart(&crd.spec.names.kind, kind) <= spelling::MOST
    };
    let near = crds.iter().filter(is_near);
    match near.min_by_key(|crd| apart(&crd.spec.names.kind, kind)) {
        Some(meant) => Kind::Wrong(wrong_version(api_version, meant)),
        None => Kind::Other,
    }
}

fn wrong_version(api_version: &str, meant: &CustomResourceDefinition) -> Violation {
    let served = meant.spec.versions.iter().filter(|version| version.served);
    let served: Vec<_> = served
        .map(|version| format!("{}/{}", meant.spec.group, version.name))
        .collect();
    let rule = format!(
        "must be an API version of {}: write {}",
        meant.spec.names.kind,
        served.join(" or ")
    );
    Violation::new("apiVersion", api_version, rule)
}

fn serves(crd: &CustomResourceDefinition, version: &str) -> bool {
    crd.spec.versions.iter().any(|it| it.served && it.name == version)
}

/// Typing errors between two names; letters of another case are none.
fn apart(one: &str, other: &str) -> usize {
    spelling::errors(&one.to_lowercase(), &other.to_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The message about the kind, or whether it is known.
    fn known(api_version: &str, kind: &str) -> Result<bool, String> {
        let object = json!({"apiVersion": api_version, "kind": kind});
        match kind_of(&object, &api::crds()) {
            Kind::Known(_) => Ok(true),
            Kind::Other => Ok(false),
            Kind::Wrong(violation) => Err(format!("{}: {}", violation.field, violation.detail())),
        }
    }

    #[test]
    fn a_kind_or_version_that_our_group_does_not_have_is_wrong_with_the_nearest_named() {
        let group = "workspaces.jupyter.org/v1alpha1";
        assert_eq!(known(group, "Workspace"), Ok(true));
        for (kind, meant) in [
            ("Workspac", "Workspace"),
            ("workspace", "Workspace"),
            ("WorkspaceTempalte", "WorkspaceTemplate"),
            ("Workspaceshare", "WorkspaceShare"),
        ] {
            let message = known(group, kind).unwrap_err();
            assert_eq!(
                message,
                format!("kind: {kind:?} must be a kind of workspaces.jupyter.org: write {meant}")
            );
        }
        let message = known("workspaces.jupyter.org/v1", "Workspace").unwrap_err();
        assert_eq!(
            message,
            format!(
                "apiVersion: \"workspaces.jupyter.org/v1\" must be an API version of Workspace: write {group}"
            )
        );
    }

    #[test]
    fn a_group_that_is_almost_ours_is_wrong_and_any_other_is_another_products() {
        let message = known("workspace.jupyter.org/v1alpha1", "Workspace").unwrap_err();
        assert!(
            message.ends_with("write workspaces.jupyter.org/v1alpha1"),
            "{message}"
        );
        assert_eq!(
            known("workspace.jupyter.org/v1alpha1", "WorkspaceAccessStrategy"),
            Ok(false)
        );
        assert_eq!(known("example.org/v1", "Workspace"), Ok(false));
        assert_eq!(known("v1", "Pod"), Ok(false));
        assert_eq!(known("apps/v1", "Deployment"), Ok(false));
    }
}
