//! The crate `api` -> the names that the door shares with gateway and operator (pure).
//!
//! They are copies, because `api` would bring Kubernetes' types into this small program. A test compares them.

/// Header with the assertion.
pub(crate) const ASSERTION_HEADER: &str = "workspace-assertion";
/// Issuer of assertions about users.
pub(crate) const GATEWAY: &str = "jupyter-k8s-gateway";
/// Issuer of assertions for idle checks.
pub(crate) const OPERATOR: &str = "jupyter-k8s-operator";
/// File with the gateway's keys, in the folder of [`KEYS_VARIABLE`].
pub(crate) const GATEWAY_KEYS: &str = "gateway.json";
/// File with the operator's keys.
pub(crate) const OPERATOR_KEYS: &str = "operator.json";
/// Variable with the folder of the keys, or [`OPEN`].
pub(crate) const KEYS_VARIABLE: &str = "WORKSPACE_ASSERTION_KEYS";
/// Value of [`KEYS_VARIABLE`] if the gateway does not decide who may connect.
pub(crate) const OPEN: &str = "none";
/// Variable with the workspace's UID.
pub(crate) const UID_VARIABLE: &str = "WORKSPACE_UID";
/// Variable with the path below which the workspace is served.
pub(crate) const BASE_PATH_VARIABLE: &str = "WORKSPACE_BASE_PATH";
/// Variable of the application and of ssh sessions: a door runs. The image's Jupyter starts one where it is missing.
pub(crate) const DOOR_VARIABLE: &str = "WORKSPACE_DOOR";
/// Header of answers to the operator: when ssh was last used.
pub(crate) const LAST_ACTIVITY_HEADER: &str = "workspace-last-activity";
/// Header of answers to the operator: when memory last ran out.
pub(crate) const OUT_OF_MEMORY_HEADER: &str = "workspace-out-of-memory";
/// Headers about one connection, which are not handed on.
pub(crate) const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "upgrade",
    "te",
    "trailer",
    "transfer-encoding",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "keep-alive",
    "http2-settings",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_names_of_gateway_and_operator() {
        use api::names;
        for (ours, theirs) in [
            (ASSERTION_HEADER, names::ASSERTION_HEADER),
            (GATEWAY, names::GATEWAY),
            (OPERATOR, names::OPERATOR),
            (GATEWAY_KEYS, names::GATEWAY_KEYS),
            (OPERATOR_KEYS, names::OPERATOR_KEYS),
            (KEYS_VARIABLE, names::ASSERTION_KEYS_VARIABLE),
            (OPEN, names::NO_ASSERTIONS),
            (UID_VARIABLE, names::UID_VARIABLE),
            (BASE_PATH_VARIABLE, names::BASE_PATH_VARIABLE),
            (LAST_ACTIVITY_HEADER, names::LAST_ACTIVITY_HEADER),
            (OUT_OF_MEMORY_HEADER, names::OUT_OF_MEMORY_HEADER),
        ] {
            assert_eq!(ours, theirs);
        }
        assert_eq!(HOP_BY_HOP, names::HOP_BY_HOP);
    }
}
