//! Who asks and what they change -> whether one of the cluster's or our own processes oversteps (pure).

use api::names::STARTED_BY;
use rules::Violation;

use crate::changes::Changes;
use crate::review::Request;

const DESIRED_STATUS: &str = "spec.desiredStatus";

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
        self.controllers.iter().any(|name| name == request.user_name())
            || (request.is_deleting() && changes.only_remove_finalizers())
    }

    /// Whether the operator or the gateway asks.
    pub(crate) fn is_ours(&self, request: &Request) -> bool {
        [&self.operator, &self.gateway]
            .into_iter()
            .any(|name| name == request.user_name())
    }

    /// What one of our own processes changes beyond its task; empty for everybody else.
    pub(crate) fn oversteps(&self, request: &Request, changes: &Changes) -> Option<Violation> {
        let user = request.user_name();
        let started_by = format!("metadata.annotations[{STARTED_BY}]");
        let (task, allowed): (_, &[&str]) = if user == self.operator {
            (
                "the operator changes only finalizers and spec.desiredStatus",
                &["metadata.finalizers", DESIRED_STATUS],
            )
        } else if user == self.gateway {
            (
                "the gateway only starts stopped workspaces",
                &[started_by.as_str(), DESIRED_STATUS],
            )
        } else {
            return None;
        };
        if request.is_create() {
            return Some(Violation::new(
                "metadata.name",
                &request.name,
                format!("must not be created: {task}"),
            ));
        }
        let stops = user == self.gateway
            && changes.spec.contains("desiredStatus")
            && request.object.data["spec"]["desiredStatus"] != "Running";
        let beyond = changes
            .paths()
            .into_iter()
            .filter(|path| !allowed.contains(&path.as_str()) || (stops && path == DESIRED_STATUS));
        let fields = beyond.collect::<Vec<_>>().join(", ");
        (!fields.is_empty()).then(|| Violation::new(fields, "", format!("must stay as it is: {task}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{GATEWAY, OPERATOR, accounts, update};

    fn verdict(user: &str, old: &Value, new: &Value) -> Option<String> {
        let request = update(user, old, new);
        let changes = Changes::of(&request);
        accounts()
            .oversteps(&request, &changes)
            .map(|violation| violation.to_string())
    }

    fn with_status(status: &str) -> Value {
        json!({"spec": {"desiredStatus": status}})
    }

    #[test]
    fn the_operator_stops_starts_and_holds_finalizers() {
        assert_eq!(
            verdict(OPERATOR, &with_status("Running"), &with_status("Stopped")),
            None
        );
        assert_eq!(
            verdict(OPERATOR, &with_status("Stopped"), &with_status("Running")),
            None
        );
        assert_eq!(
            verdict(OPERATOR, &json!({}), &json!({"metadata": {"finalizers": ["a"]}})),
            None
        );
    }

    #[test]
    fn the_operator_changes_nothing_else() {
        for new in [
            json!({"spec": {"image": "x"}}),
            json!({"metadata": {"annotations": {api::names::CREATED_BY: "me"}}}),
            json!({"metadata": {"labels": {"a": "b"}}}),
        ] {
            assert!(verdict(OPERATOR, &json!({}), &new).is_some(), "{new}");
        }
    }

    #[test]
    fn the_gateway_starts_for_somebody_and_does_nothing_else() {
        let started = json!({
            "metadata": {"annotations": {STARTED_BY: "alice"}}, "spec": {"desiredStatus": "Running"}
        });
        assert_eq!(verdict(GATEWAY, &with_status("Stopped"), &started), None);
        assert_eq!(
            verdict(GATEWAY, &with_status("Running"), &with_status("Stopped")).as_deref(),
            Some("spec.desiredStatus: must stay as it is: the gateway only starts stopped workspaces")
        );
        for new in [
            json!({"spec": {"desiredStatus": "Running", "image": "x"}}),
            json!({"metadata": {"finalizers": ["a"]}}),
            json!({"metadata": {"annotations": {api::names::CREATED_BY: "me"}}}),
        ] {
            assert!(verdict(GATEWAY, &json!({}), &new).is_some(), "{new}");
        }
    }

    #[test]
    fn people_and_similar_names_are_no_accounts() {
        for user in ["alice", &format!("{OPERATOR}x"), ""] {
            assert_eq!(verdict(user, &json!({}), &json!({"spec": {"image": "x"}})), None);
        }
    }
}
