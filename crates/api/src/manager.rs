//! YAML of a `WorkspaceManager` -> routing and sign-in of workspaces (pure).

use k8s_openapi::{api::networking::v1::NetworkPolicyPeer, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{lenient::lenient, schema};

/// Routing and authentication of the workspaces that choose this manager.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "WorkspaceManager",
    plural = "workspacemanagers",
    shortname = "wsm",
    category = "jupyter",
    status = "WorkspaceManagerStatus",
    derive = "PartialEq",
    doc = "Routing and authentication of workspaces. Annotate exactly one with workspaces.jupyter.org/is-default: \"true\".",
    printcolumn(
        name = "Base domain",
        type_ = "string",
        json_path = ".spec.routing.baseDomain"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Workspaces", type_ = "integer", json_path = ".status.workspaces"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.routing.traefik) || has(self.authentication.gateway)")
        .message("routing.traefik needs authentication.gateway: its routes come from the gateway; name that, or other routing"),
    validation = Rule::new("!has(self.routing.external) || has(self.authentication.application) || has(self.authentication.none)")
        .message("routing.external needs authentication.application or none: no proxy asks a service about requests; name one of these"),
    validation = Rule::new("!has(self.routing.external) || has(self.networkPolicy) && (has(self.networkPolicy.ingressFrom) && self.networkPolicy.ingressFrom.size() > 0 || has(self.networkPolicy.enabled) && !self.networkPolicy.enabled)")
        .message("routing.external needs networkPolicy.ingressFrom: its default is this product's proxy; name the pods that route, or set enabled: false"),
    validation = Rule::new("!has(self.remoteAccess) || !has(self.remoteAccess.ssh) || self.remoteAccess.ssh != 'Disabled' || has(self.authentication.gateway)")
        .message("remoteAccess.ssh Disabled needs authentication.gateway: nothing else refuses ssh; name that, or leave remoteAccess out")
)]
pub struct WorkspaceManagerSpec {
    /// Addresses of workspaces, and the proxy.
    pub routing: Routing,
    /// Who decides about each request.
    pub authentication: Authentication,
    /// Who may connect, besides access types and shares. Unset: the defaults of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Network policy of each pod. Unset: the defaults of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySettings>,
    /// What programs may reach beside the application. Unset: the defaults of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_access: Option<RemoteAccess>,
}

/// Hosts and proxy.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.traefik), has(self.custom), has(self.external)].filter(x, x).size() == 1")
        .message("exactly one proxy must be named: give one of traefik, custom and external"),
    validation = Rule::new("has(self.baseDomain) || has(self.external)")
        .message("baseDomain must be set: only with external may it be left out"),
    validation = Rule::new("!has(self.mode) || self.mode != 'Path' || has(self.traefik)")
        .message("mode Path needs traefik: nothing else routes the paths of one host; name traefik, or mode Subdomain")
)]
pub struct Routing {
    /// Whether each workspace has its own host and web origin.
    #[serde(default)]
    pub mode: RoutingMode,
    /// In mode Path: whether `accessType: Public` and shares count. With `AcceptRisk`, a workspace's code can act as each visitor in
    /// all workspaces that the visitor may open.
    #[serde(default)]
    pub path_mode_sharing: PathModeSharing,
    /// Domain only for workspaces and their sign-in host `auth.<baseDomain>`. Optional with `external`, where it only sets variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(
        length(min = 1, max = 180),
        regex(pattern = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
    )]
    pub base_domain: String,
    /// Port in every URL, as browsers see it. Unset: 443, which URLs leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// A Traefik that gets its routes from the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traefik: Option<Traefik>,
    /// Any proxy, by objects that the operator creates for each workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomRouting>,
    /// Somebody else, such as a hub, routes to `status.endpoint` of each workspace. The operator creates no route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRouting>,
}

impl Routing {
    /// Whether only owners and administrators may connect, because all workspaces share one web origin.
    pub fn disables_sharing(&self) -> bool {
        self.mode == RoutingMode::Path && self.path_mode_sharing == PathModeSharing::Refuse
    }

    /// Port in every URL, as browsers see it.
    pub fn external_port(&self) -> u16 {
        self.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443)
    }
}

/// Where browsers find workspaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoutingMode {
    /// `https://<name>-<hash>.<baseDomain>/`: a web origin for each.
    #[default]
    Subdomain,
    /// `https://<baseDomain>/workspaces/<namespace>/<name>/`: one web origin for all, where no certificate for all hosts under the
    /// base domain can be had. A page in one workspace can act as its reader in all that they may open.
    Path,
}

/// The effect of `accessType: Public` and of shares in mode Path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathModeSharing {
    /// They do not count.
    #[default]
    Refuse,
    /// They count.
    AcceptRisk,
}

/// Traefik as the proxy; it has no settings of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traefik {}

/// Routes as objects: an Ingress, an IngressRoute, an HTTPRoute. The operator makes them while the workspace runs, puts them right
/// when they are changed, and removes them when it stops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomRouting {
    /// Manifests of namespaced kinds that the operator's settings allow. Strings and keys may contain variables, such as
    /// `{workspace.host}`. The operator sets namespace, owner and labels. The default `metadata.name` is `workspace-<name>`.
    #[schemars(schema_with = "schema::manifests")]
    pub resources: Vec<Value>,
    /// URL of a workspace, with variables. Unset: `https://{workspace.host}/`, with the port if it is not 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub url_template: Option<String>,
}

/// Routes that others make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRouting {
    /// URL of a workspace in `status.url`, with variables as for `custom`. Unset: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub url_template: Option<String>,
}

/// Who decides about each request: exactly one way.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.gateway), has(self.forwardAuth), has(self.none), has(self.application)].filter(x, x).size() == 1")
        .message("exactly one way must be named: give one of gateway, forwardAuth, none and application")
)]
pub struct Authentication {
    /// The gateway: sign-in by OpenID Connect, and a decision per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayAuthentication>,
    /// Another service decides per request, by the proxy's forward-auth call. A manifest of `routing.custom` must contain
    /// `{authentication.address}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_auth: Option<ForwardAuth>,
    /// No authentication: every client of the proxy reaches every workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<NoAuthentication>,
    /// The application itself signs users in and decides, such as a server of a hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationAuthentication>,
}

/// The gateway as the authenticator; it has no settings of its own here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatewayAuthentication {}

/// No authentication, said explicitly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoAuthentication {}

/// The application as the authenticator; it has no settings here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationAuthentication {}

/// A forward-auth service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardAuth {
    /// URL that the proxy calls: `{authentication.address}` in manifests.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^https?://[^ \t\n\f\r]+$"))]
    pub address: String,
    /// Headers of its answer that reach the workspace: `{authentication.responseHeaders}` in manifests, a list if that is the whole
    /// value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub auth_response_headers: Vec<String>,
    /// Headers of the request that it sees: `{authentication.requestHeaders}` in manifests, a list if that is the whole value. Empty:
    /// all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub auth_request_headers: Vec<String>,
}

/// Who may connect, beside what workspaces and shares say.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(format!("!has(self.adminUsers) || self.adminUsers.all(u, !{})", schema::is_of_kubernetes("u")))
        .message(Message::Expression(format!("'adminUsers cannot hold accounts of the system, such as ' + strings.quote(self.adminUsers.filter(u, {})[0]) + ': name people'", schema::is_of_kubernetes("u"))))
        .field_path(".adminUsers"),
    validation = Rule::new(format!("!has(self.adminGroups) || self.adminGroups.all(g, !{})", schema::is_of_kubernetes("g")))
        .message(Message::Expression(format!("'adminGroups cannot hold groups of the system, such as ' + strings.quote(self.adminGroups.filter(g, {})[0]) + ': name groups of people'", schema::is_of_kubernetes("g"))))
        .field_path(".adminGroups")
)]
pub struct Authorization {
    /// Whether owners, and users of a Public workspace, need the right to `create` `workspaces/connect` on it.
    #[serde(default)]
    pub rbac: Rbac,
    /// Bounds on WorkspaceShares. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// Who may start a stopped workspace in the browser, with the right to `use` its template.
    #[serde(default)]
    pub start: Start,
    /// Users who may connect to every workspace of this manager. The gateway audits each access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub admin_users: Vec<String>,
    /// Groups whose members may connect to every workspace of this manager. The gateway audits each access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub admin_groups: Vec<String>,
}

/// Whether the cluster's roles have a say in who connects. Shares count in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rbac {
    /// Owners and visitors need the right to `create` `workspaces/connect` on the workspace.
    #[default]
    Required,
    /// No permission is needed.
    Ignored,
}

/// Who may start a stopped workspace in the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Start {
    /// Its owner, `adminUsers`, and members of `adminGroups`.
    #[default]
    Owners,
    /// Every user who may connect.
    Connectors,
}

/// Bounds on WorkspaceShares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// Whether shares count at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Longest duration of a share, in minutes. If set, every share needs an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 52_560_000))]
    pub max_duration_minutes: Option<i64>,
    /// Whether shares may name groups.
    #[serde(default = "yes")]
    pub allow_groups: bool,
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            enabled: true,
            max_duration_minutes: None,
            allow_groups: true,
        }
    }
}

/// What programs of a user's computer may reach in a workspace, beside its application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteAccess {
    /// Whether users who may connect get a shell by ssh, through the gateway. It opens no port. A terminal of the application gives
    /// no less.
    #[serde(default)]
    pub ssh: Ssh,
}

/// Whether the gateway lets ssh pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ssh {
    /// Users who may connect may use it.
    #[default]
    Enabled,
    /// The gateway refuses it, and closes open connections.
    Disabled,
}

/// The network policy of each pod. Network policies add up: further ones that select the label
/// `workspaces.jupyter.org/workspace` widen it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySettings {
    /// Whether network policies isolate the pods.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Who may connect to the application's port. Unset: the pods of proxy and gateway, and the operator to every port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<NetworkPolicyPeer, 16>")]
    pub ingress_from: Vec<NetworkPolicyPeer>,
    /// Whom a pod may connect to.
    #[serde(default)]
    pub egress: Egress,
    /// Public ranges that egress `PublicInternet` excludes, such as those of pods, nodes and Services: `2600:1f00::/24`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 43)))]
    pub not_public: Vec<String>,
    /// Where names are resolved. Unset: the pods of the namespace `kube-system`, port 53.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
}

/// Where names are resolved. Egress `PublicInternet` and `None` let pods connect there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// Pods or addresses that answer. Unset: the pods of the namespace `kube-system`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<NetworkPolicyPeer, 16>")]
    pub to: Vec<NetworkPolicyPeer>,
    /// Ports of these, by UDP and TCP. Unset: 53.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(range(min = 1, max = 65535)))]
    pub ports: Vec<i32>,
}

impl Default for NetworkPolicySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            ingress_from: Vec::new(),
            egress: Egress::default(),
            not_public: Vec::new(),
            dns: None,
        }
    }
}

/// Whom a pod may connect to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Egress {
    /// The cluster's DNS and public addresses: no private ranges, no metadata service.
    #[default]
    PublicInternet,
    /// Everybody.
    Any,
    /// The cluster's DNS alone.
    None,
}

fn yes() -> bool {
    true
}

/// What is known of a manager.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct WorkspaceManagerStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of workspaces that use it, running or stopped; updated at most every 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<i32>,
    /// `Ready`: it can route workspaces. `Terminating`: it is being deleted and in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

lenient!(WorkspaceManagerStatus);
