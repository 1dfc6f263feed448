//! Who asks and what they change -> whether one of the cluster's or our own processes oversteps (pure).

use api::names::{STARTED_BY, STOPPED_BECAUSE};
use rules::Violation;

use crate::changes::{Changes, MANAGED_FIELDS};
use crate::kind::Kind;
use crate::review::Request;

const DESIRED_STATUS: &str = "spec.desiredStatus";
const FINALIZERS: &str = "metadata.finalizers";
const OWNER_REFERENCES: &str = "metadata.ownerReferences";

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

/// What one of our processes does to objects of a kind.
struct Task {
    says: &'static str,
    changes: Vec<String>,
    deletes: bool,
}

impl Task {
    fn new(says: &'static str, changes: &[&str]) -> Self {
        Self {
            says,
            changes: changes.iter().map(|&path| path.to_owned()).collect(),
            deletes: false,
        }
    }
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

    fn task(&self, request: &Request) -> Option<Task> {
        let user = request.user_name();
        let stopped_because = format!("metadata.annotations[{STOPPED_BECAUSE}]");
        if user == self.operator {
            return Some(match request.kind {
                Kind::Workspace => Task::new(
                    "the operator changes only finalizers, spec.desiredStatus and why it stopped it",
                    &[FINALIZERS, DESIRED_STATUS, &stopped_because],
                ),
                Kind::Template | Kind::Manager | Kind::Profile => {
                    Task::new("the operator changes only finalizers", &[FINALIZERS])
                }
                Kind::Share => Task {
                    deletes: true,
                    ..Task::new(
                        "the operator changes only finalizers and owner references, and deletes what has expired",
                        &[FINALIZERS, OWNER_REFERENCES],
                    )
                },
            });
        }
        let started_by = format!("metadata.annotations[{STARTED_BY}]");
        (user == self.gateway).then(|| match request.kind {
            Kind::Workspace => Task::new(
                "the gateway only starts stopped workspaces",
                &[&started_by, DESIRED_STATUS],
            ),
            _ => Task::new("the gateway changes workspaces alone", &[]),
        })
    }

    /// What one of our own processes changes beyond its task; empty for everybody else.
    pub(crate) fn oversteps(&self, request: &Request, changes: &Changes) -> Option<Violation> {
        let task = self.task(request)?;
        let whole = |verb: &str| {
            let rule = format!("must not be {verb}: {}", task.says);
            Some(Violation::new("metadata.name", &request.name, rule))
        };
        if request.is_create() {
            return whole("created");
        }
        if request.is_delete() {
            return if task.deletes { None } else { whole("deleted") };
        }
        let stops = request.user_name() == self.gateway
            && changes.spec.contains("desiredStatus")
            && request.object.data["spec"]["desiredStatus"] != "Running";
        let beyond = changes
            .paths()
            .into_iter()
            // Our processes gain nothing by having a say in fields: they write what they write.
            .filter(|path| path != MANAGED_FIELDS)
            .filter(|path| !task.changes.contains(path) || (stops && path == DESIRED_STATUS));
        let fields = beyond.collect::<Vec<_>>().join(", ");
        (!fields.is_empty()).then(|| Violation::new(fields, "", format!("must stay as it is: {}", task.says)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{GATEWAY, OPERATOR, accounts, delete, update};

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
        let by_rule = json!({
            "metadata": {"annotations": {STOPPED_BECAUSE: "Idle"}}, "spec": {"desiredStatus": "Stopped"}
        });
        assert_eq!(verdict(OPERATOR, &with_status("Running"), &by_rule), None);
        assert!(verdict(GATEWAY, &with_status("Stopped"), &by_rule).is_some());
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
    fn the_operator_holds_finalizers_of_every_kind_and_owner_references_of_shares() {
        let (bare, held) = (json!({}), json!({"metadata": {"finalizers": ["a"]}}));
        let owned = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u"}]}});
        let oversteps = |kind: Kind, new: &Value| {
            let request = update(OPERATOR, &bare, new).about(kind);
            let changes = Changes::of(&request);
            accounts().oversteps(&request, &changes).is_some()
        };
        for kind in [Kind::Template, Kind::Manager, Kind::Profile, Kind::Share] {
            assert!(!oversteps(kind, &held), "{kind:?}");
            assert!(
                oversteps(kind, &json!({"spec": {"desiredStatus": "Stopped"}})),
                "{kind:?}"
            );
        }
        assert!(!oversteps(Kind::Share, &owned));
        assert!(oversteps(Kind::Template, &owned));
    }

    #[test]
    fn only_expired_shares_are_deleted_by_us() {
        let deletes = |user: &str, kind: Kind| {
            let request = delete(user, &json!({"metadata": {"name": "demo"}})).about(kind);
            accounts().oversteps(&request, &Changes::default()).is_none()
        };
        assert!(deletes(OPERATOR, Kind::Share));
        assert!(!deletes(OPERATOR, Kind::Workspace));
        assert!(!deletes(OPERATOR, Kind::Template));
        assert!(!deletes(GATEWAY, Kind::Share));
    }

    #[test]
    fn people_and_similar_names_are_no_accounts() {
        for user in ["alice", &format!("{OPERATOR}x"), ""] {
            assert_eq!(verdict(user, &json!({}), &json!({"spec": {"image": "x"}})), None);
        }
    }
}
