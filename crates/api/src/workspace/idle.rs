//! YAML of a workspace's fields -> when it counts as idle, and its idle status (pure).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether and when an unused workspace is stopped. Each field that is unset is the template's, else the built-in one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdleShutdown {
    /// Whether it is stopped. Unset here and in the template: yes, if either has an `idleShutdown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Minutes without activity before the stop. Unset here and in the template: 60, moved into the template's bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub idle_timeout_in_minutes: Option<i32>,
    /// Minutes for which an open page counts as use after a user's last act; then the timeout begins. 0: only acts count. Unset here and
    /// in the template: 240, or the template's maximum. It needs an image with the door; others do not tell acts from open pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 525_600))]
    pub open_tab_minutes: Option<i32>,
    /// Where the application reports its last use. Unset here and in the template: Jupyter's `/api/status`, kernels and terminals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<IdleDetection>,
}

/// How the operator learns the application's last use. It is taken from workspace or template as a whole.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.lastActivityTimestamp) || !has(self.httpGet) || !has(self.httpGet.path) || self.httpGet.path.endsWith('/api/status')")
        .message("httpGet.path must end with /api/status, or lastActivityTimestamp must say where in the answer the time is")
)]
pub struct IdleDetection {
    /// What the operator requests from the workspace's pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<IdleHttpGet>,
    /// Where the JSON answer has the time. Unset: the answer is that of Jupyter's `/api/status`; kernels and terminals are also
    /// checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity_timestamp: Option<LastActivityTimestamp>,
}

/// A request to the pod. Redirects are not followed; the answer must come within 5 s, with status 200 and at most 256 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdleHttpGet {
    /// Path, also with a query. Unset: `/api/status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^/[-A-Za-z0-9._~!$&'()*+,;=:@%/?]*$")
    )]
    pub path: Option<String>,
    /// Port. Unset: the workspace's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,
    /// Unset: `HTTP`. With `HTTPS` any certificate will do: the address is the pod's own, and what is read is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<IdleScheme>,
}

/// Protocol of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdleScheme {
    /// Without TLS.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// With TLS.
    #[serde(rename = "HTTPS")]
    Https,
}

/// Where in an answer the time of the last activity is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastActivityTimestamp {
    /// Names of fields, joined by dots, such as `lastHeartbeat` or `server.lastActivity`, also after `$.`. Unset: `last_activity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^(\$?\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")
    )]
    pub response_body_path: Option<String>,
    /// Unset: `RFC3339`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TimestampFormat>,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TimestampFormat {
    /// As text, such as `2026-01-31T12:00:00Z`.
    #[default]
    #[serde(rename = "RFC3339")]
    Rfc3339,
    /// As a number, or text that is one: seconds since 1970, or milliseconds. The size of the number shows which.
    #[serde(rename = "unix")]
    Unix,
}

/// What is known of a running workspace's use. Written when the time of the stop moves by more than a tenth of the timeout.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdleStatus {
    /// Last known use; at least the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Time>,
    /// Until when an open page counts, if nothing shows a later use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_tab_until: Option<Time>,
    /// Each signal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub signals: Vec<IdleSignal>,
}

impl IdleStatus {
    /// The first signal that cannot be read, and why.
    pub fn error(&self) -> Option<(&str, &str)> {
        let mut signals = self.signals.iter();
        signals.find_map(|signal| Some((&*signal.name, signal.error.as_deref()?)))
    }
}

/// One source of what is known of a workspace's use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdleSignal {
    /// `user`: acts of users, and `presence`: open pages, as the image's door tells them; `server` in place of both: what Jupyter tells;
    /// `kernels` or `terminals` of Jupyter; `endpoint`: what `detection` names; `ssh`: connections by ssh.
    pub name: String,
    /// Its last activity, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Time>,
    /// Why it cannot be read. Meanwhile the workspace is not stopped as idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
