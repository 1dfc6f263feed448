//! Address of an output -> the container that writes it (IO: reads pods as the user).

use api::names::{APPLICATION_CONTAINER, WORKSPACE_LABEL};
use api::workspace::DesiredStatus;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};

use super::{BYTES, LINES, Which};
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::note;
use crate::views::{Container, Note, Tone};
use crate::visible::VisibleWorkspace;

/// A container whose output can be read.
pub(super) struct Source {
    pub(super) pod: Pod,
    pub(super) container: String,
    pub(super) previous: bool,
}

impl Source {
    pub(super) fn params(&self) -> LogParams {
        LogParams {
            container: Some(self.container.clone()),
            previous: self.previous,
            tail_lines: Some(LINES),
            limit_bytes: i64::try_from(BYTES).ok(),
            ..LogParams::default()
        }
    }
}

/// The chosen container of the newest pod, and all that can be chosen.
pub(super) async fn source(
    context: &Context,
    seen: &VisibleWorkspace,
    (namespace, name): (&str, &str),
    which: &Which,
) -> Result<(Source, Vec<Container>), Note> {
    if let Some(why) = context.read_only() {
        let command = format!("kubectl workspace logs {name} -n {namespace}");
        return Err(note(
            Tone::Calm,
            format!("{why} This shows the output: `{command}`"),
        ));
    }
    let labelled = ListParams::default().labels(&format!("{WORKSPACE_LABEL}={name}"));
    let pods = context.as_user().list::<Pod>(namespace, &labelled).await;
    let pods = pods.map_err(|failure| note(Tone::Warn, format!("The pods cannot be read: {failure}")))?;
    let newest = pods.into_iter().max_by_key(|pod| {
        let is_there = pod.metadata.deletion_timestamp.is_none();
        (
            is_there,
            pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        )
    });
    let Some(pod) = newest else {
        return Err(note(
            Tone::Calm,
            if seen.workspace.spec.desired_status == DesiredStatus::Running {
                "There is no pod yet, so there is no output. The workspace's page says what it waits for."
            } else {
                "There is no pod, so there is no output. Start the workspace first."
            },
        ));
    };
    let spec = pod.spec.clone().unwrap_or_default();
    let names = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let containers: Vec<_> = names
        .map(|container| Container {
            name: container.name.clone(),
            label: format!("{} ({})", container.name, state(&pod, &container.name)),
        })
        .collect();
    let wanted = if which.container.is_empty() {
        APPLICATION_CONTAINER
    } else {
        &*which.container
    };
    let known = containers
        .iter()
        .find(|container| container.name == wanted)
        .or_else(|| containers.first());
    let Some(container) = known.map(|container| container.name.clone()) else {
        return Err(note(
            Tone::Calm,
            "The pod has no containers yet. Load the page again.",
        ));
    };
    let source = Source {
        pod,
        container,
        previous: which.previous,
    };
    Ok((source, containers))
}

/// What is known without the output: how the container ended.
pub(super) fn unreadable(source: &Source, failure: &Failure) -> Note {
    let status = status_of(&source.pod, &source.container);
    let last = status.and_then(|status| {
        let state = status.state.as_ref()?.terminated.as_ref();
        state.or(status.last_state.as_ref()?.terminated.as_ref())
    });
    let end = last.map_or_else(String::new, |end| {
        let reason = end.reason.as_deref().unwrap_or("ended");
        let message = end.message.as_deref().unwrap_or_default();
        format!(" The last run: {reason}, exit code {}. {message}", end.exit_code)
    });
    let ask = match failure.code() {
        403 => " Ask an administrator of the namespace for `get` on pods/log.",
        _ => "",
    };
    note(
        Tone::Warn,
        format!("The output cannot be read: {failure}.{end}{ask}"),
    )
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a k8s_openapi::api::core::v1::ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten();
    let mut all = all.chain(status.init_container_statuses.iter().flatten());
    all.find(|status| status.name == container)
}

fn state(pod: &Pod, container: &str) -> &'static str {
    let state = status_of(pod, container).and_then(|status| status.state.as_ref());
    match state {
        Some(state) if state.running.is_some() => "running",
        Some(state) if state.terminated.is_some() => "ended",
        _ => "waiting",
    }
}

pub(super) fn restarts(pod: &Pod, container: &str) -> i32 {
    status_of(pod, container).map_or(0, |status| status.restart_count)
}
