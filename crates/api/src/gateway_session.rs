//! YAML of a `GatewaySession` -> one login session, shared by the gateway's replicas (pure).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// A login session. Its content is readable to the gateway alone; deleting the object ends the session everywhere.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "GatewaySession",
    plural = "gatewaysessions",
    namespaced,
    derive = "PartialEq",
    doc = "A login session of the gateway. Internal: grant access to it only to the gateway.",
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt")
)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySessionSpec {
    /// Session content, encrypted and base64-encoded.
    #[schemars(length(max = 262_144))]
    pub sealed: String,
    /// Identifier of the key that sealed it.
    #[schemars(length(min = 1, max = 64))]
    pub key_id: String,
    /// When the session ends at the latest. The object is removed afterwards.
    pub expires_at: Time,
}
