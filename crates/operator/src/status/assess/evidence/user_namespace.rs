//! Pod, message of its node -> why it lacks the user namespace that its template asks for (pure).

use api::{condition::reason, names};
use kube::ResourceExt as _;

use super::{Evidence, NONE, trim_end};
use crate::{
    cache::{observed::Observed, partial::Pod},
    plan::record,
};

/// What kubelets, runtimes and kernels write about user namespaces, in lower case.
const WORDS: [&str; 5] = ["user namespace", "userns", "hostusers", "idmap", "id-mapped"];

fn is_asked_for(pod: &Pod) -> bool {
    let recorded = pod.annotations().get(names::STARTED_FROM);
    recorded.is_some_and(|recorded| record::has_user_namespace(recorded))
}

/// The API server left out the field: the pod runs, but not as its template says.
pub(super) fn dropped(observed: &Observed) -> Evidence {
    let host_users = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.host_users);
    let is_dropped = |pod: &Pod| is_asked_for(pod) && host_users(pod) != Some(false);
    if !observed.current_pod().is_some_and(is_dropped) {
        return NONE;
    }
    let message = "The pod shares the users of its node, although its template has hostUsers: false. The API server dropped the field: it is \
                   older than Kubernetes 1.33, or its feature gate UserNamespacesSupport is off. Have it upgraded, or use a template \
                   without the field.";
    Evidence::waiting(reason::USER_NAMESPACE_UNAVAILABLE, message.to_owned())
}

/// The text for users, if `why` says that the node cannot give the pod a user namespace.
pub(super) fn refusal(pod: &Pod, node: &str, why: &str) -> Option<String> {
    let lower = why.to_lowercase();
    let is_about = is_asked_for(pod) && WORDS.iter().any(|word| lower.contains(word));
    is_about.then(|| {
        format!(
            "The node {node} cannot give the pod a user namespace, which its template asks for (hostUsers: false): {}. That needs Linux \
             6.3, containerd 2.0 or CRI-O 1.25, and volumes with id-mapped mounts, which NFS has not. Have other nodes chosen, or use a \
             template without the field.",
            trim_end(why)
        )
    })
}
