//! Who asks -> whether one of the cluster's or our own processes asks, which is not judged as a person (pure).
//!
//! What our own processes may change is bounded by the admission policies of the chart, which hold without this webhook, too.

use crate::changes::Changes;
use crate::review::Request;

/// Exact user names of processes that are no people.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The operator's service account.
    pub operator: String,
    /// The gateway's service account.
    pub gateway: String,
    /// Controllers of the cluster whose every write is admitted.
    pub controllers: Vec<String>,
}

impl Accounts {
    /// Whether the request is admitted without being judged: by who asks, or since a deleted object only loses
    /// finalizers.
    pub(crate) fn admits_unjudged(&self, request: &Request, changes: &Changes) -> bool {
        self.is_controller(request) || (request.is_deleting() && changes.only_remove_finalizers())
    }

    /// Whether one of the cluster's controllers asks, such as the garbage collector.
    pub(crate) fn is_controller(&self, request: &Request) -> bool {
        self.controllers.iter().any(|name| name == request.user_name())
    }

    /// Whether the operator or the gateway asks.
    pub(crate) fn is_ours(&self, request: &Request) -> bool {
        [&self.operator, &self.gateway]
            .into_iter()
            .any(|name| name == request.user_name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::review::tests::{GATEWAY, OPERATOR, accounts, update};

    #[test]
    fn people_and_similar_names_are_no_accounts() {
        let is_ours = |user: &str| accounts().is_ours(&update(user, &json!({}), &json!({})));
        assert!(is_ours(OPERATOR) && is_ours(GATEWAY));
        for user in ["alice", &format!("{OPERATOR}x"), ""] {
            assert!(!is_ours(user), "{user}");
        }
    }
}
