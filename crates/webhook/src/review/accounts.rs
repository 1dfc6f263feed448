//! User name -> whether it is a controller of the cluster or one of our own processes (pure).
//!
//! The chart's admission policies bound what our own processes change.

use super::{Changes, Request};

/// Exact user names of processes.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The operator's service account.
    pub operator: String,
    /// The gateway's service account. `None`: the release has no gateway.
    pub gateway: Option<String>,
    /// Controllers of the cluster, such as the garbage collector. They delete objects, and change finalizers and owner references.
    pub controllers: Vec<String>,
}

impl Accounts {
    /// Whether the request is admitted without validation: a controller deletes the object or changes nothing that users write, or the
    /// request only removes finalizers of a deleted object. Others may act under a controller's name, so it allows no more than it needs.
    pub(crate) fn admits_without_validation(&self, request: &Request, changes: &Changes) -> bool {
        let cleans_up = request.is_delete() || (!request.is_create() && !changes.content());
        (self.is_controller(request) && cleans_up)
            || (request.is_deleting() && changes.only_remove_finalizers())
    }

    /// Whether the user is a controller of the cluster, such as the garbage collector.
    pub(crate) fn is_controller(&self, request: &Request) -> bool {
        self.controllers.iter().any(|name| name == request.user_name())
    }

    /// Whether the user is the operator or the gateway.
    pub(crate) fn is_ours(&self, request: &Request) -> bool {
        let mut own = self.gateway.iter().chain([&self.operator]);
        own.any(|name| name == request.user_name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::review::Changes;
    use crate::review::tests::{COLLECTOR, GATEWAY, OPERATOR, accounts, create, update};

    #[test]
    fn a_controller_is_exempt_only_where_it_changes_nothing_that_users_write() {
        let of =
            |metadata: serde_json::Value, port: i32| json!({"metadata": metadata, "spec": {"port": port}});
        let stored = of(json!({"finalizers": ["f"], "labels": {"a": "b"}}), 1);
        let is_exempt = |user: &str, new: &serde_json::Value| {
            let request = update(user, &stored, new);
            accounts().admits_without_validation(&request, &Changes::from_request(&request))
        };
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]);
        let cleaned = of(json!({"labels": {"a": "b"}, "ownerReferences": owner}), 1);
        assert!(is_exempt(COLLECTOR, &cleaned));
        assert!(!is_exempt("alice", &cleaned));
        for new in [
            of(json!({"finalizers": ["f"], "labels": {"a": "b"}}), 2),
            of(json!({"finalizers": ["f"], "labels": {"a": "c"}}), 1),
            of(json!({"finalizers": ["f"]}), 1),
            of(
                json!({"finalizers": ["f"], "labels": {"a": "b"}, "annotations": {"a": "b"}}),
                1,
            ),
        ] {
            assert!(!is_exempt(COLLECTOR, &new), "{new}");
        }
        let request = create(COLLECTOR, &stored);
        assert!(!accounts().admits_without_validation(&request, &Changes::from_request(&request)));
    }

    #[test]
    fn users_with_similar_names_are_no_accounts() {
        let is_ours = |user: &str| accounts().is_ours(&update(user, &json!({}), &json!({})));
        assert!(is_ours(OPERATOR) && is_ours(GATEWAY));
        for user in ["alice", &format!("{OPERATOR}x"), ""] {
            assert!(!is_ours(user), "{user}");
        }
    }
}
