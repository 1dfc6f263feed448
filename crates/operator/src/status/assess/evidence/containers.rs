//! Container statuses -> the failing container, and how many are ready (pure). Init first.

use std::fmt::Write as _;

use api::{condition::reason, names::APPLICATION_CONTAINER};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ContainerStateTerminated, apimachinery::pkg::apis::meta::v1::Time};
use rules::termination::{asks_for_stop, last_line};

use super::{Evidence, Inputs, NONE, SLOW, missing_source, node_of, remaining, trim_end, user_namespace};
use crate::{
    cache::{
        observed::{Observed, container_statuses, pod_condition},
        partial::{Container, ContainerStatus, Pod},
        warnings::Warning,
    },
    support::text::brief,
};

/// Said where the container left no line. The role of users has no right to read logs.
const READ_LOGS: &str = "Its output may say why: ask an administrator, who may read it.";
/// The kubelet's Event reason for a failed hook.
const FAILED_HOOK: &str = "FailedPostStartHook";
/// Longest kubelet text about a hook, in bytes. That text holds all output of the hook.
const MAX_HOOK: usize = 300;

/// One container of the pod.
#[derive(Clone, Copy)]
struct ContainerView<'a> {
    observed: &'a Observed,
    pod: &'a Pod,
    spec: Option<&'a Container>,
    status: &'a ContainerStatus,
    init: bool,
}

/// What keeps the containers of this pod from being ready.
pub(super) fn problem(observed: &Observed, pod: &Pod, inputs: Inputs<'_>) -> Evidence {
    let Some(status) = &pod.status else { return NONE };
    let spec = pod.spec.as_ref();
    let init = status
        .init_container_statuses
        .iter()
        .flatten()
        .map(|status| ContainerView {
            observed,
            pod,
            spec: spec.and_then(|spec| find_container(spec.init_containers.iter().flatten(), &status.name)),
            status,
            init: true,
        });
    let rest = status
        .container_statuses
        .iter()
        .flatten()
        .map(|status| ContainerView {
            observed,
            pod,
            spec: spec.and_then(|spec| find_container(&spec.containers, &status.name)),
            status,
            init: false,
        });
    Evidence::first(init.chain(rest).map(|subject| subject.problem(inputs)))
}

/// When the workspace's own container last ended because its user wants the workspace stopped. The kubelet may have started it again.
pub(in crate::status::assess) fn stop_request(pod: &Pod) -> Option<Time> {
    let containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    let end = containers
        .filter(|status| status.name == APPLICATION_CONTAINER)
        .find_map(last_end)?;
    end.finished_at.clone().filter(|_| is_stop_request(end))
}

/// The last end of the container.
fn last_end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    [&container.state, &container.last_state]
        .into_iter()
        .flatten()
        .find_map(|state| state.terminated.as_deref())
}

fn is_stop_request(ended: &ContainerStateTerminated) -> bool {
    asks_for_stop(ended.message.as_deref(), ended.exit_code)
}

/// How many containers are ready or completed, and the total: init containers and sidecars count.
pub(in crate::status::assess) fn count(pod: &Pod) -> Option<(usize, usize)> {
    let spec = pod.spec.as_ref()?;
    let total = spec.containers.len() + spec.init_containers.iter().flatten().count();
    let statuses = container_statuses(pod);
    // The kubelet marks a completed init container as ready, and a sidecar when its probe succeeds.
    Some((statuses.filter(|status| status.ready).count(), total))
}

fn find_container<'a>(
    containers: impl IntoIterator<Item = &'a Container>,
    name: &str,
) -> Option<&'a Container> {
    containers.into_iter().find(|container| container.name == name)
}

/// The names of the expected pull Secrets. The kubelet ignores a pull Secret that does not exist, so the message lists them.
fn pull_secrets(inputs: Inputs<'_>) -> String {
    let mut text = String::new();
    let check = "check that they exist in this namespace and suit the registry";
    if let Some(profile) = inputs
        .profile
        .filter(|profile| !profile.spec.image_pull_secrets.is_empty())
    {
        let names: Vec<_> = profile
            .spec
            .image_pull_secrets
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        text = format!(
            " The execution profile {:?} pulls it with {} (spec.imagePullSecrets): {check}.",
            profile.name,
            names.join(", ")
        );
    }
    if !inputs.shared_pull_secrets.is_empty() {
        let names = inputs.shared_pull_secrets.join(", ");
        let _ = write!(
            text,
            " The installation pulls it with {names} (setting imagePullSecrets): {check}."
        );
    }
    text
}

impl ContainerView<'_> {
    fn problem(self, inputs: Inputs<'_>) -> Evidence {
        if self.status.ready {
            return NONE;
        }
        let state = self.status.state.clone().unwrap_or_default();
        let waiting = state.waiting.unwrap_or_default();
        let (why, text) = (
            waiting.reason.unwrap_or_default(),
            waiting.message.unwrap_or_default(),
        );
        if let Some(known) = self.waiting(&why, &text, inputs) {
            return known;
        }
        let ended = last_end(self.status);
        // A completed init container, or the end of a workspace that its user wants stopped. A sidecar or application that exited with 0
        // otherwise is restarted, and reported.
        let done = |ended: &ContainerStateTerminated| {
            let is_requested = self.status.name == APPLICATION_CONTAINER && is_stop_request(ended);
            is_requested || (self.init && !self.is_sidecar() && ended.exit_code == 0)
        };
        if let Some(ended) = ended.filter(|ended| !done(ended)) {
            return self.exit_problem(ended);
        }
        match state.running {
            Some(running) if !self.init => self.not_ready(running.started_at.as_ref(), inputs.now),
            _ => NONE,
        }
    }

    /// The problem of a container that the kubelet does not run.
    fn waiting(self, why: &str, text: &str, inputs: Inputs<'_>) -> Option<Evidence> {
        match why {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => Some(self.image(text, inputs)),
            "PostStartHookError" => Some(self.hook(text)),
            // While it ends a container with a failed hook, for the whole grace period, the kubelet reports that it creates it.
            "ContainerCreating" => self.hook_warning().map(|_| self.hook("")),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                if let Some((reason, message)) = missing_source(text) {
                    return Some(Evidence::failure(reason, message));
                }
                // The kubelet's own cache was not filled yet; it retries at once.
                (!text.contains("failed to sync")).then(|| self.cannot_start(text))
            }
            _ => None,
        }
    }

    fn image(self, text: &str, inputs: Inputs<'_>) -> Evidence {
        let image = self
            .spec
            .and_then(|spec| spec.image.as_deref())
            .unwrap_or_default();
        let private = [
            "unauthorized",
            "authorization",
            "denied",
            "403",
            "401",
            "no basic auth",
        ];
        let lower = text.to_ascii_lowercase();
        let secrets = pull_secrets(inputs);
        let advice = if lower.contains("pull policy of never") {
            "This installation pulls no images (setting imagePullPolicy: Never): have the image loaded onto the nodes, or name \
             one that is there"
        } else if private.iter().any(|part| lower.contains(part)) && !secrets.is_empty() {
            "Check its name; its registry requires credentials"
        } else if private.iter().any(|part| lower.contains(part)) {
            "Check its name; if its registry requires credentials, have a Secret with them named in the execution profile's \
             imagePullSecrets"
        } else {
            "Check its name and tag, and that the cluster may pull it"
        };
        let message = format!(
            "The image {image:?} cannot be pulled: {}. {advice}.{secrets}",
            trim_end(text)
        );
        Evidence::failure(reason::IMAGE_PULL_FAILED, message)
    }

    fn hook(self, text: &str) -> Evidence {
        let cause = match trim_end(text) {
            "" => "the kubelet reports no cause".to_owned(),
            text => brief(text, MAX_HOOK),
        };
        let message = format!(
            "The postStart hook of {} failed, so it is ended and restarted: {cause}. Correct spec.lifecycle.postStart, \
             stop and start.",
            self.name().to_lowercase()
        );
        Evidence::failure(reason::POST_START_HOOK_FAILED, message)
    }

    /// Whether the kubelet ended the container because its hook failed. The kubelet reports it while that container lives.
    fn has_failed_hook(self, ended: &ContainerStateTerminated) -> bool {
        let warning = self.hook_warning();
        warning.is_some_and(|warning| warning.last.as_ref() >= ended.started_at.as_ref())
    }

    fn hook_warning(&self) -> Option<&Warning> {
        let uid = self.pod.metadata.uid.as_deref();
        let mut warnings = self.observed.warnings.iter();
        warnings.find(|it| Some(it.about.as_str()) == uid && it.reason == FAILED_HOOK)
    }

    fn cannot_start(self, text: &str) -> Evidence {
        let node = node_of(self.pod).unwrap_or_default();
        if let Some(message) = user_namespace::refusal(self.pod, node, text) {
            return Evidence::failure(reason::USER_NAMESPACE_UNAVAILABLE, message);
        }
        let message = format!(
            "{} cannot be started: {}. Check spec.containerConfig, spec.resources and the image.",
            self.name(),
            trim_end(text)
        );
        Evidence::failure(reason::CONTAINER_START_FAILED, message)
    }

    fn not_ready(self, started: Option<&Time>, now: Timestamp) -> Evidence {
        // For a container that was ready, time counts from when it became unready.
        let unready = pod_condition(self.pod, "Ready").filter(|ready| ready.status == "False");
        let since = started.max(unready.and_then(|ready| ready.last_transition_time.as_ref()));
        if let Some(rest) = remaining(since, SLOW, now) {
            return Evidence::recheck_after(rest);
        }
        let probe = self.spec.and_then(|spec| spec.readiness_probe.as_ref());
        let advice = match probe {
            Some(probe) if probe.tcp_socket.is_some() => {
                "but nothing answers on its port. Check that the application listens on 0.0.0.0 and on spec.port"
            }
            _ => "but its readiness probe does not succeed. Check spec.readinessProbe and the application",
        };
        let message = format!(
            "{} has run for over {} s, {advice}. {READ_LOGS}",
            self.name(),
            SLOW.as_secs()
        );
        Evidence::failure(reason::READINESS_FAILED, message)
    }

    /// How often it has ended: the restarts that the kubelet counts, plus the last end that no restart has followed yet. The number only
    /// grows, while the waiting state changes back and forth and may be missed.
    fn ends(self) -> i32 {
        let runs = self
            .status
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        self.status.restart_count.saturating_add(i32::from(!runs))
    }

    /// The message contains nothing of ours that changes from one restart to the next, so a crash loop is written once.
    fn exit_problem(self, ended: &ContainerStateTerminated) -> Evidence {
        let (name, code) = (self.name(), ended.exit_code);
        let hint = match ended.message.as_deref().and_then(last_line) {
            Some(line) => format!("Its last line: {line:?}."),
            None => READ_LOGS.to_owned(),
        };
        match ended.reason.as_deref() {
            Some("OOMKilled") => {
                let limit = self
                    .memory_limit()
                    .map_or_else(String::new, |limit| format!(" of {limit}"));
                let message = format!(
                    "{name} used more memory than its limit{limit}. Raise spec.resources.limits.memory, stop and \
                     start."
                );
                Evidence::failure(reason::OOM_KILLED, message)
            }
            _ if self.has_failed_hook(ended) => self.hook(""),
            Some("StartError" | "ContainerCannotRun") => {
                self.cannot_start(ended.message.as_deref().unwrap_or("no reason is given"))
            }
            _ if code == 0 => self.completed(ended),
            _ if self.ends() >= 2 => {
                let message = format!(
                    "{name} ends again and again, last with exit code {code}, and is restarted with growing delays. {hint}"
                );
                Evidence::failure(reason::CRASH_LOOPING, message)
            }
            _ => Evidence::failure(
                reason::CONTAINER_EXITED,
                format!("{name} ended with exit code {code} and is restarted. {hint}"),
            ),
        }
    }

    /// It ended without an error. Kubernetes starts it again all the same, and its pod is not ready meanwhile.
    fn completed(self, ended: &ContainerStateTerminated) -> Evidence {
        let name = self.name();
        let way = if self.status.name == APPLICATION_CONTAINER {
            "its server was asked to end, or its command has finished. To end the workspace, stop it, or run `stop-workspace` in it"
        } else {
            "it has finished. What finishes has to be an init container; a container beside the application must not end"
        };
        let line = ended.message.as_deref().and_then(last_line);
        let line = line.map_or_else(String::new, |line| format!(" Its last line: {line:?}."));
        let message = format!("{name} ended with exit code 0 and is started again: {way}.{line}");
        Evidence::new(reason::CONTAINER_COMPLETED, message, self.ends() >= 2, None)
    }

    fn memory_limit(self) -> Option<String> {
        let limits = self.spec?.resources.as_ref()?.limits.as_ref()?;
        Some(limits.memory.as_ref()?.0.clone())
    }

    fn is_sidecar(self) -> bool {
        self.spec.and_then(|spec| spec.restart_policy.as_deref()) == Some("Always")
    }

    fn name(self) -> String {
        match self.status.name.as_str() {
            APPLICATION_CONTAINER => "The container".to_owned(),
            name if self.init => format!("The init container {name:?}"),
            name => format!("The container {name:?}"),
        }
    }
}
