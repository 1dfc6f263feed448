//! Valid workspace -> its own service account, if its execution profile requests one (pure).

use api::names;
use k8s_openapi::api::core::v1::ServiceAccount;
use rules::ValidWorkspace;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Component label of the service account.
const COMPONENT: &str = "identity";

pub(super) fn plan(workspace: &ValidWorkspace) -> Option<ServiceAccount> {
    let profile = workspace.profile.as_ref()?;
    let own = profile.spec.service_account.as_ref()?.per_workspace.as_ref()?;
    let identity = super::identity(workspace);
    let mut metadata = super::meta(&identity, COMPONENT);
    metadata.name = Some(identity.account_name());
    let marks = metadata.annotations.get_or_insert_default();
    for (key, value) in &own.annotations {
        marks.entry(key.clone()).or_insert_with(|| value.clone());
    }
    // An annotation that the profile no longer names has to be removed. Its absence alone would not be detected as a difference.
    let hash = Sha256::digest(json!(own.annotations).to_string());
    marks.insert(names::ANNOTATIONS_HASH.to_owned(), format!("{hash:.16x}"));
    Some(ServiceAccount {
        metadata,
        // The pod spec decides whether the pod has a token.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}

#[cfg(test)]
mod tests {
    use api::execution_profile::WorkspaceExecutionProfileSpec;
    use rules::ExecutionProfile;
    use serde_json::Value;

    use super::*;
    use crate::testing;

    fn planned(spec: Value) -> Option<ServiceAccount> {
        let spec: WorkspaceExecutionProfileSpec = serde_json::from_value(spec).unwrap();
        let mut workspace = testing::valid();
        let service_account = Some("as-the-rules-name-it".to_owned());
        workspace.profile = Some(ExecutionProfile {
            name: "p".to_owned(),
            spec,
            service_account,
        });
        plan(&workspace)
    }

    #[test]
    fn only_a_profile_that_asks_for_one_gets_one() {
        assert_eq!(plan(&testing::valid()), None);
        assert_eq!(planned(json!({})), None);
        assert_eq!(planned(json!({"serviceAccount": {"name": "trainer"}})), None);
        let account = planned(json!({"serviceAccount": {"perWorkspace": {}}})).unwrap();
        assert_eq!(account.metadata.name.as_deref(), Some("workspace-demo-uid-of-d"));
        assert_eq!(account.automount_service_account_token, Some(false));
    }

    #[test]
    fn annotations_of_the_profile_replace_none_of_ours_and_are_hashed() {
        let with = |annotations: Value| {
            let spec = json!({"serviceAccount": {"perWorkspace": {"annotations": annotations}}});
            planned(spec).unwrap().metadata.annotations.unwrap()
        };
        let some = with(json!({"example.com/role": "r", names::WORKSPACE_UID: "forged"}));
        assert_eq!(some["example.com/role"], "r");
        assert_eq!(some[names::WORKSPACE_UID], "uid-of-demo");
        let none = with(json!({}));
        assert_ne!(some[names::ANNOTATIONS_HASH], none[names::ANNOTATIONS_HASH]);
    }
}
