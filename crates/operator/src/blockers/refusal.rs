//! A refused write (quota, policy, an invalid field), a wrong pod -> reason and remedy (pure).

use api::condition::reason;
use kube::core::Status;
use rules::Violations;

/// The API server's message for a webhook that it cannot call.
const FAILED_WEBHOOK: &str = "failed calling webhook";

/// Why a child is refused. It lasts until a user or administrator acts, so it is reported and not only retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Reason for the condition `Degraded`.
    pub reason: &'static str,
    /// Message for users.
    pub message: String,
    /// Whether a field of the object is invalid, so that only an edit helps.
    pub is_invalid: bool,
}

impl Refusal {
    /// The refusal of the claim of this name, of several that a workspace has.
    pub(crate) fn of_claim(self, name: &str) -> Self {
        let (before, after) = (
            "The PersistentVolumeClaim was",
            format!("The PersistentVolumeClaim {name} was"),
        );
        Self {
            message: self.message.replacen(before, &after, 1),
            ..self
        }
    }
}

/// The refusal of a pod that breaks rules for every pod, before the API server is asked.
pub(crate) fn of_gate(violations: &Violations) -> Refusal {
    Refusal {
        reason: reason::POD_SECURITY_VIOLATION,
        message: format!("The Pod was not created: {violations}."),
        is_invalid: true,
    }
}

/// The refusal in an answer to the write of `child`. `None` for transient errors: conflicts, overload, outages, a namespace that is
/// being deleted.
///
/// `profile`: name of the execution profile with whose settings a pod was made.
pub(crate) fn of_answer(child: &str, answer: &Status, profile: Option<&str>) -> Option<Refusal> {
    let (code, message) = (answer.code, answer.message.as_str());
    // A webhook that does not respond appears as an error of the API server. But the webhook has to be fixed, not the API server.
    let webhook = message.contains(FAILED_WEBHOOK);
    let is_transient = matches!(code, 404 | 409 | 429) || !(400..500).contains(&code);
    // Another client replaced the object between our read and our write. The next reconcile reads the new object.
    let replaced = message.contains("metadata.uid: Invalid value");
    if (is_transient && !webhook) || replaced || message.contains("because it is being terminated") {
        return None;
    }
    if child == "PersistentVolumeClaim" && is_growth(message) {
        let advice = "The running workspace keeps the old size. Have the storage class allow volume expansion, and the disk \
                      grows by itself; or copy the files to a workspace with a larger disk";
        return Some(Refusal {
            reason: reason::VOLUME_RESIZE_FAILED,
            message: format!(
                "The disk was not grown to spec.storage.size: {}. {advice}.",
                essence(message)
            ),
            is_invalid: false,
        });
    }
    Some(Refusal {
        // A ValidatingAdmissionPolicy answers 422 as well, and names no field.
        is_invalid: code == 422 && names_a_field(answer),
        ..of_pod(child, message, profile)
    })
}

fn names_a_field(answer: &Status) -> bool {
    let causes = answer.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| !cause.field.is_empty())
}

/// The refusal in a message, also of a pod with the settings of the execution profile of this name.
fn of_pod(child: &str, message: &str, profile: Option<&str>) -> Refusal {
    if let Some(missing) = missing(message) {
        return missing.refusal(profile);
    }
    let is = |patterns: &[&str]| patterns.iter().any(|pattern| message.contains(pattern));
    let (reason, advice) = if is(&["exceeded quota", "failed quota"]) {
        let advice = match child {
            "Pod" => "Ask for less, stop another workspace, or have the namespace's quota raised",
            // A stopped workspace keeps its disk.
            "PersistentVolumeClaim" => {
                "Ask for less, have the namespace's quota raised, or delete another workspace or a retained disk, with the files there"
            }
            // All workspaces of the namespace share it, or it goes with the workspace.
            _ => "Have the namespace's quota raised",
        };
        (reason::QUOTA_EXCEEDED, advice)
    } else if is(&["violates PodSecurity"]) {
        (
            reason::POD_SECURITY_VIOLATION,
            "The namespace's Pod Security level forbids this pod; tell the administrator",
        )
    } else if is(&[FAILED_WEBHOOK]) {
        (
            reason::ADMISSION_DENIED,
            "An admission webhook of another product does not answer; tell the administrator",
        )
    } else if is(&[" usage per ", " max limit to request ratio per "]) {
        (
            reason::ADMISSION_DENIED,
            "The namespace's LimitRange wants other values: change spec.resources or spec.storage.size",
        )
    } else {
        (
            reason::ADMISSION_DENIED,
            "Change what the message names, or tell the administrator",
        )
    };
    Refusal {
        reason,
        message: format!("The {child} was refused: {}. {advice}.", essence(message)),
        is_invalid: false,
    }
}

/// An object that an execution profile names and that does not exist.
struct Missing<'a> {
    reason: &'static str,
    kind: &'static str,
    name: &'a str,
    field: &'static str,
    place: &'static str,
}

impl Missing<'_> {
    fn refusal(&self, profile: Option<&str>) -> Refusal {
        let Self {
            kind,
            name,
            field,
            place,
            ..
        } = self;
        let by = match profile {
            Some(profile) => format!("the execution profile {profile:?}"),
            None => "the execution profile".to_owned(),
        };
        Refusal {
            reason: self.reason,
            message: format!(
                "The {kind} {name}, which {by} names ({field}), does not exist{place}, so no pod can be created. Have it \
                 created, and the pod starts by itself; or have the profile name another one."
            ),
            is_invalid: false,
        }
    }
}

fn missing(message: &str) -> Option<Missing<'_>> {
    if let Some(name) = missing_account(message) {
        return Some(Missing {
            reason: reason::SERVICE_ACCOUNT_NOT_FOUND,
            kind: "ServiceAccount",
            name,
            field: "spec.serviceAccount.name",
            place: " in this namespace",
        });
    }
    // no PriorityClass with name batch was found
    let class = message
        .split_once("no PriorityClass with name ")
        .and_then(|(_, rest)| rest.split_once(" was found"));
    if let Some((name, _)) = class {
        return Some(Missing {
            reason: reason::PRIORITY_CLASS_NOT_FOUND,
            kind: "PriorityClass",
            name,
            field: "spec.priorityClassName",
            place: "",
        });
    }
    // pod rejected: RuntimeClass "gvisor" not found
    let (_, rest) = message.split_once("RuntimeClass \"")?;
    let (name, _) = rest.split_once("\" not found")?;
    Some(Missing {
        reason: reason::RUNTIME_CLASS_NOT_FOUND,
        kind: "RuntimeClass",
        name,
        field: "spec.runtimeClassName",
        place: "",
    })
}

/// `error looking up service account team/runner: serviceaccount "runner" not found`
fn missing_account(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("error looking up service account ")?;
    let (_, rest) = rest.split_once("serviceaccount \"")?;
    rest.split('"').next()
}

/// The message without the object's name and without a full stop.
fn essence(message: &str) -> &str {
    let gist = [" is forbidden: ", " is invalid: "]
        .iter()
        .find_map(|part| message.split_once(&format!("\"{part}")))
        .map_or(message, |(_, gist)| gist);
    gist.trim_end_matches(['.', ' '])
}

fn is_growth(message: &str) -> bool {
    message.contains("can be resized")
        || message.contains("support resize")
        || message.contains("volume expansion")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(child: &str, code: u16, message: &str) -> Option<Refusal> {
        of_answer(child, &Status::failure(message, "").with_code(code), None)
    }

    #[test]
    fn only_an_edit_helps_where_a_field_is_named() {
        let answer = |field: &str| -> Status {
            let causes = serde_json::json!([{"reason": "x", "message": "m", "field": field}]);
            serde_json::from_value(serde_json::json!({
                "status": "Failure", "code": 422, "message": "Pod \"p\" is invalid: spec.a: Invalid value", "details": {"causes": causes},
            }))
            .unwrap()
        };
        let refusal = of_answer("Pod", &answer("spec.a"), None).unwrap();
        assert!(refusal.is_invalid);
        assert!(
            refusal
                .message
                .starts_with("The Pod was refused: spec.a: Invalid value."),
            "{}",
            refusal.message
        );
        assert!(
            !of_answer("Pod", &answer(""), None).unwrap().is_invalid,
            "a policy denied it"
        );
    }

    #[test]
    fn each_kind_of_refusal_has_its_reason() {
        for (child, message, expected) in [
            (
                "Pod",
                "pods \"x\" is forbidden: exceeded quota: q, requested: cpu=1",
                reason::QUOTA_EXCEEDED,
            ),
            (
                "Pod",
                "pods \"x\" is forbidden: failed quota: q: must specify cpu",
                reason::QUOTA_EXCEEDED,
            ),
            (
                "Pod",
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"",
                reason::POD_SECURITY_VIOLATION,
            ),
            (
                "Service",
                "admission webhook \"w\" denied the request: no",
                reason::ADMISSION_DENIED,
            ),
            (
                "Pod",
                "pods \"x\" is forbidden: maximum cpu usage per Container is 100m, but limit is 1",
                reason::ADMISSION_DENIED,
            ),
            (
                "Pod",
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                reason::ADMISSION_DENIED,
            ),
            (
                "PersistentVolumeClaim",
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
                reason::VOLUME_RESIZE_FAILED,
            ),
        ] {
            let refusal = refused(child, 403, message).unwrap();
            assert_eq!(refusal.reason, expected, "{message}");
            assert!(refusal.message.contains(essence(message)));
        }
    }

    #[test]
    fn a_quota_on_disks_or_policies_is_not_relieved_by_a_stop() {
        let refused = |child| {
            let message = "x is forbidden: exceeded quota: q, requested: requests.storage=1Gi";
            refused(child, 403, message).unwrap().message
        };
        let claim = refused("PersistentVolumeClaim");
        assert!(
            claim.contains("delete another workspace or a retained disk, with the files there"),
            "{claim}"
        );
        assert!(!claim.contains("stop another"), "{claim}");
        let policy = refused("NetworkPolicy");
        assert!(policy.contains("Have the namespace's quota raised"), "{policy}");
        assert!(!policy.contains("stop another"), "{policy}");
        assert!(refused("Pod").contains("stop another workspace"));
    }

    #[test]
    fn a_missing_object_of_a_profile_is_reported_with_profile_and_field() {
        for (message, expected, patterns) in [
            (
                "error looking up service account team/runner: serviceaccount \"runner\" not found",
                reason::SERVICE_ACCOUNT_NOT_FOUND,
                "The ServiceAccount runner, which the execution profile \"gpu\" names (spec.serviceAccount.name), does not exist in this",
            ),
            (
                "pods \"x\" is forbidden: no PriorityClass with name batch was found",
                reason::PRIORITY_CLASS_NOT_FOUND,
                "The PriorityClass batch, which the execution profile \"gpu\" names (spec.priorityClassName), does not exist, so",
            ),
            (
                "pods \"x\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found",
                reason::RUNTIME_CLASS_NOT_FOUND,
                "The RuntimeClass gvisor, which the execution profile \"gpu\" names (spec.runtimeClassName), does not exist, so",
            ),
        ] {
            let refusal = of_pod("Pod", message, Some("gpu"));
            assert_eq!(refusal.reason, expected);
            assert!(refusal.message.starts_with(patterns), "{}", refusal.message);
        }
    }

    #[test]
    fn a_webhook_that_does_not_answer_is_reported() {
        let message = "Internal error occurred: failed calling webhook \"w.example.com\": failed to call webhook: no route";
        let refusal = refused("Service", 500, message).unwrap();
        assert_eq!(refusal.reason, reason::ADMISSION_DENIED);
        assert!(refusal.message.contains("w.example.com") && refusal.message.contains("does not answer"));
    }

    #[test]
    fn the_name_of_the_refused_object_is_left_out() {
        let attempt = |name: &str| {
            of_pod(
                "Pod",
                &format!("pods \"{name}\" is forbidden: exceeded quota: q"),
                None,
            )
        };
        assert_eq!(attempt("a-1"), attempt("a-2"));
    }

    #[test]
    fn a_transient_error_is_no_refusal() {
        for code in [404, 409, 429, 500, 503] {
            assert_eq!(refused("Service", code, "exceeded quota"), None);
        }
        let replaced = "Service \"a\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable";
        assert_eq!(refused("Service", 422, replaced), None);
        let terminating = "unable to create new content in namespace team because it is being terminated";
        assert_eq!(refused("Service", 403, terminating), None);
    }
}
