//! Valid workspace -> its Service (pure): a stable name for the pod inside the cluster.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use rules::ValidWorkspace;

use super::run::COMPONENT;
use crate::cache::observed::PORT_NAME;

/// The `clusterIP` of a headless Service: its name resolves to the pod's address.
const HEADLESS: &str = "None";

pub(super) fn plan(workspace: &ValidWorkspace) -> Service {
    Service {
        metadata: super::meta(&super::identity(workspace), COMPONENT),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            // Without an address of its own (docs/decisions/0027): a range may have fewer addresses than there are workspaces.
            cluster_ip: Some(HEADLESS.to_owned()),
            selector: Some(workspace.selector()),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: i32::from(workspace.port),
                protocol: Some("TCP".to_owned()),
                // By name: a running pod keeps its own port number until its next start.
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
