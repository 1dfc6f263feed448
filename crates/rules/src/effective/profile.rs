//! Execution profile -> its values for one workspace (pure).

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceExecutionProfileSpec};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::variables::{Scope, expand_text, expand_value};
use crate::names;
use crate::violation::Violation;

/// Path of the service accounts' annotations, for messages.
const ANNOTATIONS: &str = "executionProfile.spec.serviceAccount.perWorkspace.annotations";

/// The execution profile of a workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionProfile {
    /// Name of the profile.
    pub name: String,
    /// Spec of the profile, with the variables in the service accounts' annotations and the tokens' audiences replaced.
    pub spec: WorkspaceExecutionProfileSpec,
    /// Name of the pod's service account; `None`: the namespace's `default`.
    pub service_account: Option<String>,
}

/// The profile for `workspace`. It may use only variables that the workspace's author cannot influence.
/// Neither `spec.variables` nor the name of the workspace may choose an identity.
/// Only a permitted user may set the owner (docs/rights.md).
pub(crate) fn resolve(
    workspace: &Workspace,
    profile: &WorkspaceExecutionProfile,
) -> Result<ExecutionProfile, Vec<Violation>> {
    let mut spec = profile.spec.clone();
    let scope = Scope::for_workspace(workspace).identity();
    let own = spec
        .service_account
        .as_mut()
        .and_then(|account| account.per_workspace.as_mut());
    if let Some(own) = own {
        let expanded = expand_value(ANNOTATIONS, &json!(own.annotations), &scope)?;
        own.annotations = texts(&expanded);
    }
    let scope = Scope::for_workspace(workspace).audience();
    for (index, token) in spec.projected_tokens.iter_mut().enumerate() {
        token.audience = expand_text(&token.audience, &scope).map_err(|error| {
            let field = format!("executionProfile.spec.projectedTokens[{index}].audience");
            vec![Violation::new(field, &token.audience, error.to_string())]
        })?;
    }
    let service_account = spec.service_account.as_ref().and_then(|account| {
        let own = account.per_workspace.as_ref();
        own.map(|_| names::service_account(&workspace.name_any(), &workspace.uid().unwrap_or_default()))
            .or_else(|| account.name.clone())
    });
    Ok(ExecutionProfile {
        name: profile.name_any(),
        spec,
        service_account,
    })
}

fn texts(map: &Value) -> std::collections::BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        serde_json::from_value(json!({
            "metadata": {
                "name": "demo", "namespace": "team", "uid": "0123456789-abcd",
                "annotations": {api::names::CREATED_BY: "alice"},
            },
            "spec": {"displayName": "d", "variables": {"role": "admin"}},
        }))
        .unwrap()
    }

    fn profile(spec: Value) -> WorkspaceExecutionProfile {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_service_account_of_its_own_is_named_after_the_workspace_and_its_uid_and_annotated_with_them() {
        let annotations = json!({
            "example.com/role": "ns-{workspace.namespace}-{workspace.uid}", "example.com/who": "{owner.name}",
        });
        let profile = profile(json!({"serviceAccount": {"perWorkspace": {"annotations": annotations}}}));
        let profile = resolve(&workspace(), &profile).unwrap();
        assert_eq!(
            profile.service_account.as_deref(),
            Some("workspace-demo-01234567")
        );
        let annotations = profile
            .spec
            .service_account
            .unwrap()
            .per_workspace
            .unwrap()
            .annotations;
        assert_eq!(annotations["example.com/role"], "ns-team-0123456789-abcd");
        assert_eq!(annotations["example.com/who"], "alice");
    }

    #[test]
    fn audiences_contain_the_workspace_s_uid_and_namespace_and_nothing_that_a_user_chooses() {
        let with = |audience: &str| {
            let tokens = json!([{"audience": audience, "path": "/t/a"}]);
            let profile = resolve(&workspace(), &profile(json!({"projectedTokens": tokens})));
            profile.map(|profile| profile.spec.projected_tokens[0].audience.clone())
        };
        let audience = with("https://hub/{workspace.namespace}/{workspace.uid}/{role}").unwrap();
        assert_eq!(audience, "https://hub/team/0123456789-abcd/{role}");
        for name in ["workspace.name", "owner.name"] {
            let text = with(&format!("{{{name}}}")).unwrap_err()[0].to_string();
            assert!(text.contains("projectedTokens[0].audience"), "{text}");
            assert!(
                text.contains("known are workspace.namespace, workspace.uid;"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_workspace_s_own_variables_choose_no_identity() {
        let annotations = json!({"example.com/role": "{role}"});
        let profile = profile(json!({"serviceAccount": {"perWorkspace": {"annotations": annotations}}}));
        let profile = resolve(&workspace(), &profile).unwrap();
        let annotations = profile
            .spec
            .service_account
            .unwrap()
            .per_workspace
            .unwrap()
            .annotations;
        assert_eq!(annotations["example.com/role"], "{role}");
    }

    #[test]
    fn an_unknown_variable_is_named_with_its_field() {
        let annotations = json!({"example.com/role": "{workspace.nothing}"});
        let profile = profile(json!({"serviceAccount": {"perWorkspace": {"annotations": annotations}}}));
        let faults = resolve(&workspace(), &profile).unwrap_err();
        let text = faults[0].to_string();
        assert!(
            text.starts_with(ANNOTATIONS) && text.contains("{workspace.nothing}"),
            "{text}"
        );
    }

    #[test]
    fn a_name_that_the_author_chose_is_no_variable_here() {
        let settings = crate::Settings::parse("defaultImage: uv").unwrap();
        for name in ["workspace.name", "service.name"] {
            let annotations = json!({"example.com/role": format!("{{{name}}}")});
            let profile = profile(json!({"serviceAccount": {"perWorkspace": {"annotations": annotations}}}));
            let faults = resolve(&workspace(), &profile).unwrap_err();
            let text = faults[0].to_string();
            assert!(
                text.contains("known are owner.name, owner.slug, workspace.namespace, workspace.uid;"),
                "{text}"
            );
            assert_eq!(
                crate::validate::profile(&profile.spec, &settings).len(),
                1,
                "{name}"
            );
        }
    }

    #[test]
    fn an_owner_s_name_that_might_mean_something_in_an_annotation_is_refused() {
        let annotations = json!({"example.com/role": r#"{"who": "{owner.name}"}"#});
        let profile = profile(json!({"serviceAccount": {"perWorkspace": {"annotations": annotations}}}));
        let mut workspace = workspace();
        for (owner, passes) in [("oidc:alice@example.org", true), (r#"a", "role": "admin"#, false)] {
            let named = (api::names::CREATED_BY.to_owned(), owner.to_owned());
            workspace.metadata.annotations = Some([named].into());
            assert_eq!(resolve(&workspace, &profile).is_ok(), passes, "{owner}");
        }
    }

    #[test]
    fn a_named_service_account_is_taken_as_it_is_and_none_is_none() {
        let named = resolve(
            &workspace(),
            &profile(json!({"serviceAccount": {"name": "trainer"}})),
        )
        .unwrap();
        assert_eq!(named.service_account.as_deref(), Some("trainer"));
        let none = resolve(&workspace(), &profile(json!({}))).unwrap();
        assert_eq!(none.service_account, None);
    }
}
