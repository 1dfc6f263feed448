//! Pods without the user namespace that their template asks for.

use api::names::STARTED_FROM;
use kube::ResourceExt as _;

use super::*;

/// A case whose run was to have a user namespace or not, and whose stored pod has this field.
fn asked(mut case: Case, asked: bool, stored: Option<bool>) -> Case {
    let mut pod = case.observed.pods[0].as_ref().clone();
    let record = if asked {
        r#"{"format":2,"template":{"userNamespace":true}}"#
    } else {
        r#"{"format":2}"#
    };
    pod.annotations_mut()
        .insert(STARTED_FROM.to_owned(), record.to_owned());
    pod.spec.as_mut().unwrap().host_users = stored;
    case.observed.pods = vec![pod.into()];
    case
}

#[test]
fn a_field_that_an_older_api_server_dropped_is_reported_while_the_pod_runs() {
    let case = |wanted, stored| asked(Case::new(testing::running()), wanted, stored);
    let (reason, message, phase) = case(true, None).reported();
    assert_eq!(
        (reason.as_str(), phase),
        (reason::USER_NAMESPACE_UNAVAILABLE, Phase::Running)
    );
    assert!(message.contains("Kubernetes 1.33"), "{message}");
    assert!(case(true, Some(false)).is_fine());
    assert!(case(false, None).is_fine());
}

#[test]
fn a_node_or_volume_that_cannot_is_reported_with_the_words_of_the_runtime() {
    let sandbox = "failed to create sandbox: the handler \"runc\" does not support user namespaces";
    let case = |wanted: bool| {
        let case = asked(waits_on_node(), wanted, Some(false));
        let uid = case.pod_uid();
        case.warned(uid, "FailedCreatePodSandBox", sandbox)
    };
    let (reason, message, _) = case(true).reported();
    assert_eq!(reason, reason::USER_NAMESPACE_UNAVAILABLE);
    assert!(
        message.contains(sandbox) && message.contains("hostUsers: false"),
        "{message}"
    );
    assert_eq!(case(false).reported().0, reason::CONTAINER_START_FAILED);
    let text = "failed to set MOUNT_ATTR_IDMAP on /var/lib/kubelet/pods/x: invalid argument";
    let state = json!({"waiting": {"reason": "CreateContainerError", "message": text}});
    let case = |wanted: bool| {
        let case = Case::new(testing::started()).container(&state, &json!({}), 0);
        asked(case, wanted, Some(false)).reported().0
    };
    assert_eq!(case(true), reason::USER_NAMESPACE_UNAVAILABLE);
    assert_eq!(case(false), reason::CONTAINER_START_FAILED);
}
