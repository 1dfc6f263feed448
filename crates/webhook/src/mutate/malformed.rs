//! Request -> readable messages about its schema violations (pure).
//!
//! CEL rules of the definition cannot report them. They do not run on an object with wrong types, and
//! never together with the template's bounds. The API server checks the schema between mutating and
//! validating webhooks. This file refuses nothing that the API server would store. A value that was
//! stored before its rule existed remains valid.

use std::sync::LazyLock;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use kube::CustomResourceExt as _;
use kube::api::DynamicObject;
use rules::Violation;
use rules::schema::{Faults, Schema};

use crate::review::{Findings, Kind, Request};

/// All malformed values.
pub(super) struct Malformed {
    spec: Faults,
    name: Option<Violation>,
}

impl Malformed {
    pub(super) fn of(request: &Request) -> Self {
        let stored = request.old.as_ref().map(|old| &old.data["spec"]);
        Self {
            spec: of(request.kind).faults(&request.object.data["spec"], stored),
            name: name(request),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.spec.is_empty() && self.name.is_none()
    }

    /// The object without malformed values, for the other rules; `None` if there may be further malformed values.
    pub(super) fn readable(&self, object: &DynamicObject) -> Option<DynamicObject> {
        if !self.spec.is_complete() {
            return None;
        }
        let mut readable = object.clone();
        self.spec.make_readable(&mut readable.data["spec"]);
        Some(readable)
    }

    /// Both lists, without findings in `rest` about the same values.
    pub(super) fn beside(self, mut rest: Findings) -> Findings {
        for list in [&mut rest.forbidden, &mut rest.invalid, &mut rest.out_of_bounds] {
            list.retain(|it| !self.spec.covers(it) && self.name.as_ref() != Some(it));
        }
        rest.invalid.extend(self.name);
        rest.invalid.extend(self.spec.violations().cloned());
        rest
    }
}

/// A name that a CEL rule refuses. It is empty where the API server generates it.
fn name(request: &Request) -> Option<Violation> {
    let name = Some(request.name.as_str()).filter(|name| !name.is_empty() && request.is_create())?;
    match request.kind {
        Kind::Workspace => rules::checks::name(name).into_iter().next(),
        Kind::Template | Kind::Manager | Kind::Profile | Kind::Share => rules::checks::object_name(name),
    }
}

fn of(kind: Kind) -> &'static Schema {
    static WORKSPACE: LazyLock<Schema> = LazyLock::new(|| Schema::of(&Workspace::crd()));
    static TEMPLATE: LazyLock<Schema> = LazyLock::new(|| Schema::of(&WorkspaceTemplate::crd()));
    static MANAGER: LazyLock<Schema> = LazyLock::new(|| Schema::of(&WorkspaceManager::crd()));
    static PROFILE: LazyLock<Schema> = LazyLock::new(|| Schema::of(&WorkspaceExecutionProfile::crd()));
    static SHARE: LazyLock<Schema> = LazyLock::new(|| Schema::of(&WorkspaceShare::crd()));
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

    fn messages(request: &Request) -> String {
        let found: Vec<_> = Malformed::of(request)
            .spec
            .violations()
            .map(ToString::to_string)
            .collect();
        found.join("; ")
    }

    #[test]
    fn malformed_fields_of_each_kind_are_described_in_sentences() {
        let message = messages(&create("alice", &sized("10 GB", "d")));
        assert!(
            message.starts_with(r#"spec.storage.size: "10 GB" is no amount: write "#),
            "{message}"
        );
        assert!(!message.contains('^'), "{message}");
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
            let message = messages(&create("alice", &json!({"metadata": {}, "spec": spec})).about(kind));
            assert!(message.contains(beginning), "{message}");
        }
    }

    #[test]
    fn a_malformed_name_is_refused_at_creation() {
        let message = |request: &Request| name(request).map(|it| it.to_string());
        let named = |name: &str| json!({"metadata": {"name": name}, "spec": {"displayName": "d"}});
        for (kind, text, expected) in [
            (
                Kind::Workspace,
                "1lab",
                r#"metadata.name: "1lab" is not a valid name: use at most 50 lower-case letters, digits and '-', starting with a letter and ending with a letter or digit"#,
            ),
            (
                Kind::Template,
                "My_Template",
                r#"metadata.name: "My_Template" is no name of an object: use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends"#,
            ),
        ] {
            let request = create("alice", &named(text)).about(kind);
            assert_eq!(message(&request).as_deref(), Some(expected));
            let again = update("alice", &named(text), &named(text)).about(kind);
            assert_eq!(message(&again), None, "what is stored stays");
        }
        for (kind, fine) in [(Kind::Workspace, "lab"), (Kind::Template, "1.a-b")] {
            assert_eq!(message(&create("alice", &named(fine)).about(kind)), None);
        }
    }

    #[test]
    fn what_was_stored_stays_and_what_is_new_is_refused() {
        let (good, bad) = (sized("1Gi", "d"), sized("10 GB", "d"));
        assert_eq!(messages(&create("alice", &good)), "");
        assert_eq!(messages(&update("alice", &bad, &sized("10 GB", "other"))), "");
        assert!(messages(&update("alice", &good, &bad)).contains("10 GB"));
        assert!(messages(&update("alice", &bad, &sized("11 GB", "d"))).contains("11 GB"));
        assert_eq!(messages(&update("alice", &bad, &good)), "");
    }

    #[test]
    fn of_many_stored_texts_one_may_be_mended_and_one_put_in_front() {
        let mounts = |paths: Vec<String>| {
            let volumes: Vec<_> = paths.iter().map(|path| json!({"mountPath": path})).collect();
            json!({"metadata": {}, "spec": {"volumes": volumes}})
        };
        let mut paths: Vec<_> = (0..10).map(|number| format!("data/{number}")).collect();
        let stored = mounts(paths.clone());
        paths[0] = "/data/0".to_owned();
        paths.insert(0, "/first".to_owned());
        assert_eq!(messages(&update("alice", &stored, &mounts(paths.clone()))), "");
        paths.push("late".to_owned());
        let message = messages(&update("alice", &stored, &mounts(paths)));
        assert!(
            message.starts_with(r#"spec.volumes[11].mountPath: "late" is no place in a container: "#)
                && !message.contains("data/"),
            "{message}"
        );
    }
}
