//! Request -> texts that the schema is about to refuse by a bare pattern, in words (pure).
//!
//! The API server checks the schema between the mutating webhooks and the validating ones, so this is part of the former. It refuses
//! nothing that the schema would not: what was stored before a pattern came stays, as there.

use std::sync::LazyLock;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use kube::CustomResourceExt as _;
use rules::Violations;
use rules::patterns::Patterns;

use crate::kind::Kind;
use crate::review::{Refusal, Request};

/// All such texts at once; `None` where there are none.
pub(crate) fn refusal(request: &Request) -> Option<Refusal> {
    let stored = request.old.as_ref().map(|old| &old.data["spec"]);
    let found = of(request.kind).broken(&request.object.data["spec"], stored);
    Violations::of(found).map(Refusal::Invalid)
}

fn of(kind: Kind) -> &'static Patterns {
    static WORKSPACE: LazyLock<Patterns> = LazyLock::new(|| Patterns::of(&Workspace::crd()));
    static TEMPLATE: LazyLock<Patterns> = LazyLock::new(|| Patterns::of(&WorkspaceTemplate::crd()));
    static MANAGER: LazyLock<Patterns> = LazyLock::new(|| Patterns::of(&WorkspaceManager::crd()));
    static PROFILE: LazyLock<Patterns> = LazyLock::new(|| Patterns::of(&WorkspaceExecutionProfile::crd()));
    static SHARE: LazyLock<Patterns> = LazyLock::new(|| Patterns::of(&WorkspaceShare::crd()));
    match kind {
        Kind::Workspace => &WORKSPACE,
        Kind::Template => &TEMPLATE,
        Kind::Manager => &MANAGER,
        Kind::Profile => &PROFILE,
        Kind::Share => &SHARE,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{create, update};

    fn sized(size: &str, name: &str) -> Value {
        json!({"metadata": {}, "spec": {"displayName": name, "storage": {"size": size}}})
    }

    fn told(request: &Request) -> String {
        match refusal(request) {
            Some(Refusal::Invalid(found)) => found.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_is_told_of_its_own_fields_in_words() {
        let said = told(&create("alice", &sized("10 GB", "d")));
        assert!(
            said.starts_with(r#"spec.storage.size: "10 GB" is no amount: write "#),
            "{said}"
        );
        assert!(!said.contains('^'), "{said}");
        for (kind, spec, beginning) in [
            (
                Kind::Template,
                json!({"resourceBounds": {"cpu": {"max": "4 cpus"}}}),
                r#"spec.resourceBounds.cpu.max: "4 cpus" is no amount: "#,
            ),
            (
                Kind::Manager,
                json!({"routing": {"baseDomain": "Example"}}),
                r#"spec.routing.baseDomain: "Example" is no domain: "#,
            ),
            (
                Kind::Profile,
                json!({"projectedTokens": [{"path": "/token"}]}),
                r#"spec.projectedTokens[0].path: "/token" is no place for a token: "#,
            ),
            (
                Kind::Share,
                json!({"workspaceRef": "My_Lab"}),
                r#"spec.workspaceRef: "My_Lab" is no name of an object: "#,
            ),
        ] {
            let said = told(&create("alice", &json!({"metadata": {}, "spec": spec})).about(kind));
            assert!(said.starts_with(beginning), "{said}");
        }
    }

    #[test]
    fn what_was_stored_stays_and_what_is_new_is_refused() {
        let (good, bad) = (sized("1Gi", "d"), sized("10 GB", "d"));
        assert_eq!(refusal(&create("alice", &good)), None);
        assert_eq!(refusal(&update("alice", &bad, &sized("10 GB", "other"))), None);
        assert!(told(&update("alice", &good, &bad)).contains("10 GB"));
        assert!(told(&update("alice", &bad, &sized("11 GB", "d"))).contains("11 GB"));
        assert_eq!(refusal(&update("alice", &bad, &good)), None);
    }

    #[test]
    fn of_many_stored_texts_one_may_be_mended_and_one_put_in_front() {
        let mounts = |paths: Vec<String>| {
            let volumes: Vec<_> = paths.iter().map(|path| json!({"mountPath": path})).collect();
            json!({"metadata": {}, "spec": {"volumes": volumes}})
        };
        let mut paths: Vec<_> = (0..200).map(|number| format!("data/{number}")).collect();
        let stored = mounts(paths.clone());
        paths[0] = "/data/0".to_owned();
        paths.insert(0, "/first".to_owned());
        assert_eq!(refusal(&update("alice", &stored, &mounts(paths.clone()))), None);
        paths.push("late".to_owned());
        let said = told(&update("alice", &stored, &mounts(paths)));
        assert!(
            said.starts_with(r#"spec.volumes[201].mountPath: "late" is no place in a container: "#)
                && !said.contains("data/"),
            "{said}"
        );
    }
}
