//! `WorkspaceManager`: how workspaces are routed and who signs people in (pure).

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Routing and authentication of the workspaces that choose this manager.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "WorkspaceManager",
    plural = "workspacemanagers",
    shortname = "wsm",
    category = "jupyter",
    derive = "PartialEq",
    doc = "Routing and authentication of workspaces. Annotate exactly one with workspaces.jupyter.org/is-default: \"true\".",
    printcolumn(
        name = "Base domain",
        type_ = "string",
        json_path = ".spec.routing.baseDomain"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceManagerSpec {
    /// Where workspaces are reached and by which proxy.
    pub routing: Routing,
    /// Who decides about each request. A route is never made without this.
    pub authentication: Authentication,
}

/// Hosts and proxy. Each workspace gets its own host, and so its own web origin, under the base domain.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.traefik)").message("exactly one proxy must be named: traefik"))]
pub struct Routing {
    /// Domain used for nothing but workspaces and their sign-in host `auth.<baseDomain>`.
    #[schemars(
        length(min = 1, max = 180),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$")
    )]
    pub base_domain: String,
    /// Port in every URL, as browsers see it. Unset: 443, which URLs leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// A Traefik that asks the gateway for its routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traefik: Option<Traefik>,
}

impl Routing {
    /// Port in every URL, as browsers see it.
    pub fn external_port(&self) -> u16 {
        self.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443)
    }
}

/// Traefik as the proxy; it has no settings of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traefik {}

/// Who decides about each request: exactly one way.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.gateway)").message("exactly one way must be named: gateway"))]
pub struct Authentication {
    /// The gateway signs people in with OpenID Connect and decides per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayAuthentication>,
}

/// The gateway as the authenticator; it has no settings of its own here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayAuthentication {}
