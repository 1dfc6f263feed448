//! Error -> message for the user and exit code (pure).

use kube::core::Status;

/// Exit codes; 0 is success.
pub mod exit_code {
    /// The request was refused, or there is no connection or no permission.
    pub const FAILED: u8 = 1;
    /// The command line is wrong (clap uses the same code).
    pub const USAGE: u8 = 2;
    /// The workspace exists, and is not as wanted.
    pub const NOT_AS_WANTED: u8 = 3;
    /// `--wait`: the time of `--timeout` is over.
    pub const TIMED_OUT: u8 = 4;
}

/// Why the command fails.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Two flags contradict each other.
    #[error("{0}")]
    Usage(String),
    /// A manifest breaks rules.
    #[error("{}", list_lines("workspace", .lines))]
    Manifest {
        /// Each broken rule with its place in the file.
        lines: Vec<String>,
        /// Whether the API server found them, else the plugin did before it sent anything.
        by_server: bool,
    },
    /// The client cannot connect to a cluster.
    #[error("{}", chain(.0))]
    Other(#[from] anyhow::Error),
    /// The API server does not answer.
    #[error("the API server{} cannot be reached: {}", at(.address.as_deref()), chain(.cause))]
    Unreachable {
        /// Address of the API server, if known.
        address: Option<String>,
        /// The underlying error.
        cause: anyhow::Error,
    },
    /// The API server refused the request.
    #[error("{}", refusal(.0))]
    Refused(Box<Status>),
    /// The workspace exists, but will not become as wanted in its current state.
    #[error("workspace {name:?} is not {wanted}: {reason}: {message}")]
    NotAsWanted {
        /// Name of the workspace.
        name: String,
        /// What it should be, such as `available`.
        wanted: &'static str,
        /// Reason of the condition that reports it.
        reason: String,
        /// Message of that condition.
        message: String,
    },
    /// The workspace exists, but was not as wanted in time.
    #[error("timed out after {after} waiting for workspace {name:?}; last state: {last}")]
    TimedOut {
        /// Name of the workspace.
        name: String,
        /// The value of `--timeout`.
        after: String,
        /// The last known state of the workspace.
        last: String,
    },
    /// The explanation, which was shown, says that something is not as wanted.
    #[error("not as wanted")]
    Explained,
    /// Of several workspaces some failed; each failure was shown.
    #[error("{failed} of {all} failed")]
    Several {
        /// How many failed.
        failed: usize,
        /// How many there are.
        all: usize,
        /// The highest exit code of them.
        code: u8,
    },
    /// The output could not be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Failure {
    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Manifest { by_server: false, .. } => exit_code::USAGE,
            Self::NotAsWanted { .. } | Self::Explained => exit_code::NOT_AS_WANTED,
            Self::TimedOut { .. } => exit_code::TIMED_OUT,
            Self::Several { code, .. } => *code,
            Self::Other(_)
            | Self::Unreachable { .. }
            | Self::Refused(_)
            | Self::Manifest { .. }
            | Self::Output(_) => exit_code::FAILED,
        }
    }

    /// Whether the reader of the output has gone, such as `head`. It has what it wanted.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Whether the API server has no such object, and no such namespace.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404 && status.reason == "NotFound")
    }

    /// Whether another client changed the object meanwhile.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409)
    }
}

fn at(address: Option<&str>) -> String {
    address
        .map(|address| format!(" at {address}"))
        .unwrap_or_default()
}

/// An error and its sources, without repeated texts.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let causes = error
        .chain()
        .map(ToString::to_string)
        .filter_map(|cause| match cause.as_str() {
            // The library's words for what the next cause says.
            "client error (Connect)" | "tcp connect error" | "error trying to connect" => None,
            "deadline has elapsed" => Some("it does not answer in time".to_owned()),
            _ => Some(cause),
        });
    causes.fold(String::new(), |combined, cause| match cause {
        cause if combined.is_empty() => cause,
        cause if combined.contains(&cause) => combined,
        cause => format!("{combined}: {cause}"),
    })
}

/// The API server's refusal. Each broken rule is on its own line, with the flag that sets the field.
fn refusal(status: &Status) -> String {
    let kind = status.details.as_ref().map(|details| details.kind.as_str());
    if let (404, Some("namespaces"), Some(details)) = (status.code, kind, &status.details) {
        return format!(
            "namespace {:?} does not exist: correct it, or choose another with -n; kubectl get namespaces lists them",
            details.name
        );
    }
    if status.message.contains("strict decoding error: unknown field") {
        return format!(
            "{}: the cluster's CRDs may be older than this plugin: see kubectl workspace version",
            status.message
        );
    }
    // An API server that does not know the kind answers without a reason.
    if status.code == 404 && status.reason != "NotFound" {
        return "the cluster knows no Workspaces: is jupyter-k8s installed there?".to_owned();
    }
    if status.code == 410 {
        return "the list expired while it was read: run the command again".to_owned();
    }
    let causes: Vec<String> = status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .map(|cause| line(&cause.field, &cause.message))
        .collect();
    if causes.is_empty() {
        return status.message.clone();
    }
    match kind {
        Some("WorkspaceShare") => list_lines("share (--for or --until sets its end)", &causes),
        _ => list_lines("workspace", &causes),
    }
}

fn list_lines(what: &str, lines: &[String]) -> String {
    format!("the {what} is refused:\n{}", lines.join("\n"))
}

fn line(field: &str, message: &str) -> String {
    let flag = flag_of(field)
        .map(|flag| format!(" ({flag})"))
        .unwrap_or_default();
    match field {
        "" => format!("* {message}"),
        field => format!("* {field}{flag}: {message}"),
    }
}

fn flag_of(field: &str) -> Option<&'static str> {
    Some(match field {
        "metadata.name" => "NAME",
        "spec.displayName" => "--display-name",
        "spec.templateRef" => "--template",
        "spec.image" => "--image",
        "spec.resources.requests.cpu" | "spec.resources.limits.cpu" => "--cpu",
        "spec.resources.requests.memory" | "spec.resources.limits.memory" => "--memory",
        "spec.storage.size" => "--storage",
        "spec.storage.retain" => "--retain",
        "spec.shmSize" => "--shared-memory",
        "spec.limits.maxAgeMinutes" => "--max-age",
        "spec.limits.failedTimeoutMinutes" => "--failed-timeout",
        "spec.limits.startTimeoutMinutes" => "--start-timeout",
        "spec.limits.stoppedRetentionDays" => "--stopped-retention, --retain",
        "spec.executionProfileRef" => "--profile",
        "spec.idleShutdown.idleTimeoutInMinutes" => "--idle",
        "spec.idleShutdown.openTabMinutes" => "--open-tab",
        field if field.starts_with("spec.env[") => "--env",
        field if field.starts_with("spec.variables[") => "--variable",
        field if field.starts_with("spec.options[") => "--option",
        field if field.starts_with("spec.resources.") && field.contains("[nvidia.com/") => "--gpu",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal_of(status: serde_json::Value) -> String {
        Failure::Refused(Box::new(serde_json::from_value(status).unwrap())).to_string()
    }

    #[test]
    fn each_broken_rule_is_a_line_with_its_flag() {
        let text = refusal_of(json!({
            "code": 422,
            "message": "admission webhook denied the request: …",
            "details": {"causes": [
                {"field": "spec.image", "message": "\"evil\" is not allowed"},
                {"field": "spec.port", "message": "\"80\" is no port"},
                {"message": "something else"},
            ]},
        }));
        assert_eq!(
            text,
            "the workspace is refused:\n\
             * spec.image (--image): \"evil\" is not allowed\n\
             * spec.port: \"80\" is no port\n\
             * something else"
        );
    }

    #[test]
    fn a_refused_choice_has_the_words_of_the_rules_and_its_flag() {
        let record = include_str!("../../rules/tests/refused_options.json");
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        let rows = record["refused"].as_array().unwrap();
        assert!(!rows.is_empty());
        for row in rows {
            let (field, message) = row["refusal"].as_str().unwrap().split_once(": ").unwrap();
            let causes = json!([{"field": field, "message": message}]);
            let text = refusal_of(json!({"code": 422, "message": "…", "details": {"causes": causes}}));
            assert_eq!(
                text,
                format!("the workspace is refused:\n* {field} (--option): {message}")
            );
        }
    }

    #[test]
    fn a_refused_share_and_an_expired_list_say_what_to_do() {
        let text = refusal_of(
            json!({"code": 422, "message": "…", "details": {"kind": "WorkspaceShare", "causes": [
                {"field": "spec", "message": "WorkspaceManager \"main\": spec.expiresAt must be set"},
            ]}}),
        );
        assert_eq!(
            text,
            "the share (--for or --until sets its end) is refused:\n* spec: WorkspaceManager \"main\": spec.expiresAt must be set"
        );
        let text = refusal_of(
            json!({"code": 410, "reason": "Expired", "message": "The provided continue parameter is too old"}),
        );
        assert_eq!(text, "the list expired while it was read: run the command again");
    }

    #[test]
    fn an_error_chain_shows_each_cause_once() {
        let error = anyhow::anyhow!("no such file")
            .context("cannot read config: no such file")
            .context("no cluster");
        assert_eq!(
            Failure::Other(error).to_string(),
            "no cluster: cannot read config: no such file"
        );
    }

    #[test]
    fn words_of_libraries_are_left_out() {
        let error = anyhow::anyhow!("Connection refused (os error 111)")
            .context("tcp connect error")
            .context("client error (Connect)");
        let failure = Failure::Unreachable {
            address: None,
            cause: error,
        };
        let expected = "the API server cannot be reached: Connection refused (os error 111)";
        assert_eq!(failure.to_string(), expected);
        let error = anyhow::anyhow!("deadline has elapsed").context("client error (Connect)");
        assert_eq!(Failure::Other(error).to_string(), "it does not answer in time");
    }

    #[test]
    fn a_cluster_without_the_workspace_kind_is_reported() {
        let text = refusal_of(json!({"code": 404, "message": "404 page not found"}));
        assert!(text.contains("is jupyter-k8s installed"), "{text}");
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let details = json!({"kind": "namespaces", "name": "x"});
        let text = refusal_of(
            json!({"code": 404, "reason": "NotFound", "message": "namespaces \"x\" not found", "details": details}),
        );
        assert_eq!(
            text,
            "namespace \"x\" does not exist: correct it, or choose another with -n; kubectl get namespaces lists them"
        );
    }

    #[test]
    fn a_field_that_the_cluster_does_not_know_hints_at_older_crds() {
        let message = "Workspace in version \"v1alpha1\" cannot be handled as a Workspace: strict decoding error: unknown field \"spec.variables\"";
        let text = refusal_of(json!({"code": 400, "reason": "BadRequest", "message": message}));
        assert!(
            text.starts_with(message) && text.ends_with("see kubectl workspace version"),
            "{text}"
        );
    }
}
