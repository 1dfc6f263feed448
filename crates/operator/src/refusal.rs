//! A write that the API server refused -> cause and what to do (pure).

use api::condition::reason;

/// Why a child, or a pod of a child, is refused. It lasts until somebody acts, so it is told and not just retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Reason for the condition `Degraded`.
    pub reason: &'static str,
    /// Message for people.
    pub message: String,
}

/// The refusal in an answer to the write of `child`; `None` for what passes by itself (conflicts, overload, outages,
/// a namespace on its way out).
pub fn of_answer(child: &str, code: u16, message: &str) -> Option<Refusal> {
    let passes = matches!(code, 404 | 409 | 429) || !(400..500).contains(&code);
    // Somebody replaced the object between our look at it and our write: the next pass sees what is there now.
    let replaced = message.contains("metadata.uid: Invalid value");
    if passes || replaced || message.contains("because it is being terminated") {
        return None;
    }
    if child == "PersistentVolumeClaim" && is_growth(message) {
        let advice = "the storage class cannot grow disks: set spec.storage.size back to the disk's size";
        return Some(Refusal {
            reason: reason::VOLUME_RESIZE_FAILED,
            message: format!("The disk was not grown: {message}. If {advice}."),
        });
    }
    Some(of_message(child, message))
}

/// The refusal in the words of an admission rule.
pub fn of_message(child: &str, message: &str) -> Refusal {
    let (reason, advice) = if message.contains("exceeded quota") || message.contains("failed quota") {
        (
            reason::QUOTA_EXCEEDED,
            "Ask for less, stop another workspace, or have the namespace's quota raised",
        )
    } else if message.contains("violates PodSecurity") {
        (
            reason::POD_SECURITY_VIOLATION,
            "The namespace's Pod Security level forbids this pod; tell the administrator",
        )
    } else {
        (
            reason::ADMISSION_DENIED,
            "Change what the message names, or tell the administrator",
        )
    };
    Refusal {
        reason,
        message: format!("The {child} was refused: {}. {advice}.", gist(message)),
    }
}

/// The message without the object's name, which is another one at each attempt to make a pod, and without a full stop.
fn gist(message: &str) -> &str {
    let gist = message
        .split_once("\" is forbidden: ")
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
                "PersistentVolumeClaim",
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
                reason::VOLUME_RESIZE_FAILED,
            ),
        ] {
            let refusal = of_answer(child, 403, message).unwrap();
            assert_eq!(refusal.reason, expected, "{message}");
            assert!(refusal.message.contains(gist(message)));
        }
    }

    #[test]
    fn attempts_under_different_names_are_worded_the_same() {
        let attempt =
            |name: &str| of_message("Pod", &format!("pods \"{name}\" is forbidden: exceeded quota: q"));
        assert_eq!(attempt("a-1"), attempt("a-2"));
    }

    #[test]
    fn every_refusal_ends_in_advice() {
        for child in ["Pod", "Service", "PersistentVolumeClaim"] {
            let refusal = of_answer(child, 403, "no such luck.").unwrap();
            assert_eq!(
                refusal.message,
                format!(
                    "The {child} was refused: no such luck. Change what the message names, or tell the administrator."
                )
            );
        }
    }

    #[test]
    fn what_passes_by_itself_is_no_refusal() {
        for code in [404, 409, 429, 500, 503] {
            assert_eq!(of_answer("Service", code, "exceeded quota"), None);
        }
        let replaced = "Service \"a\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable";
        assert_eq!(of_answer("Service", 422, replaced), None);
        let leaving = "unable to create new content in namespace team because it is being terminated";
        assert_eq!(of_answer("Service", 403, leaving), None);
    }
}
