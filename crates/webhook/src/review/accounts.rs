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
    /// Controllers of the cluster. All of their writes are admitted.
    pub controllers: Vec<String>,
}

impl Accounts {
    /// Whether the request is admitted without validation: a controller sent it, or it only removes finalizers of a deleted object.
    pub(crate) fn admits_without_validation(&self, request: &Request, changes: &Changes) -> bool {
        self.is_controller(request) || (request.is_deleting() && changes.only_remove_finalizers())
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

    use crate::review::tests::{GATEWAY, OPERATOR, accounts, update};

    #[test]
    fn users_with_similar_names_are_no_accounts() {
        let is_ours = |user: &str| accounts().is_ours(&update(user, &json!({}), &json!({})));
        assert!(is_ours(OPERATOR) && is_ours(GATEWAY));
        for user in ["alice", &format!("{OPERATOR}x"), ""] {
            assert!(!is_ours(user), "{user}");
        }
    }
}
