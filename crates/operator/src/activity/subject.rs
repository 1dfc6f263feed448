//! Valid workspace, its ready pod -> which pod to ask about activity, and how often (pure).

use std::{net::IpAddr, time::Duration};

use api::{
    Workspace, WorkspaceStatus,
    names::{APPLICATION_CONTAINER, DOOR_ACTIVITY},
    workspace::DesiredStatus,
};
use jiff::Timestamp;
use rules::{Question, ValidWorkspace};

use super::read::is_of_door;
use crate::{
    cache::{
        observed::{Identity, Observed, pod_condition},
        partial::Pod,
    },
    plan::record,
};

/// A running workspace that stops when idle.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Which workspace.
    pub identity: Identity,
    /// Generation of its spec from which this follows. No stop is applied to another generation.
    pub generation: Option<i64>,
    /// Its current run.
    pub run_id: String,
    /// Address of its own pod, from the API server. Requests go to no other address.
    pub address: IpAddr,
    /// Port of the request.
    pub port: u16,
    /// The request.
    pub question: Question,
    /// Where the image's door answers, if it has one.
    pub door: Door,
    /// Whether the image has a door that tells acts of users from open pages. Then nothing else tells them.
    pub has_door: bool,
    /// Idle timeout after which it is stopped.
    pub timeout: Duration,
    /// Minutes for which an open page counts as use after a user's last act.
    pub open_tab_minutes: i32,
    /// Since when users can use it. It is stopped one full timeout later at the earliest.
    pub since: Timestamp,
    /// The latest activity in its status, in this run.
    pub known: Option<Timestamp>,
}

/// The address of an image's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The application's port.
    pub port: u16,
    /// What it answers with the times of the last use.
    pub path: String,
}

impl Subject {
    /// The wait between two requests.
    pub fn interval(&self) -> Duration {
        (self.timeout / 10)
            .min(Duration::from_mins(1))
            .max(Duration::from_secs(1))
    }

    /// Whether it is the same run under the same rule, asked in the same way.
    pub fn is_as(&self, other: &Self) -> bool {
        let without = |subject: &Self| Self {
            known: None,
            generation: None,
            has_door: false,
            ..subject.clone()
        };
        without(self) == without(other)
    }
}

/// The pod to ask. `None` unless the workspace's pod is ready and an idle rule applies. `status`: the new one.
pub(crate) fn for_run(
    workspace: &Workspace,
    valid: &ValidWorkspace,
    observed: &Observed,
    status: &WorkspaceStatus,
) -> Option<Subject> {
    let idle = valid.idle.as_ref()?;
    let endpoint = status.endpoint.as_ref()?;
    if workspace.spec.desired_status == DesiredStatus::Stopped || is_last_of_its_disk(observed) {
        return None;
    }
    let run_id = observed.run_id()?;
    let before = workspace.status.as_ref();
    let before = before.filter(|before| before.run_id.as_deref() == Some(run_id));
    let before = before.and_then(|before| before.idle.as_ref());
    let port = u16::try_from(endpoint.port).ok()?;
    let base = observed
        .started_from()
        .and_then(record::base_path)
        .unwrap_or_default();
    Some(Subject {
        identity: observed.identity.clone(),
        generation: workspace.metadata.generation,
        run_id: run_id.to_owned(),
        address: endpoint.pod_ip.parse().ok()?,
        port: idle.question.port.unwrap_or(port),
        question: question_of_run(valid, &idle.question, observed.started_from()),
        door: Door {
            port,
            path: format!("{base}/{DOOR_ACTIVITY}"),
        },
        has_door: before.is_some_and(|idle| idle.signals.iter().any(|signal| is_of_door(&signal.name))),
        timeout: idle.timeout(),
        open_tab_minutes: idle.open_tab_minutes,
        since: usable_since(observed.current_pod()?)?,
        known: before.and_then(|idle| Some(idle.last_activity.as_ref()?.0)),
    })
}

/// The question with the base path of the running application, because the manager's routing may have changed since its start.
fn question_of_run(valid: &ValidWorkspace, today: &Question, started_from: Option<&str>) -> Question {
    let now = valid.base_path.as_deref().unwrap_or_default();
    let then = started_from.and_then(record::base_path).unwrap_or_default();
    today.clone().rebase(now, &then)
}

/// Whether the own disk was deleted: its files exist only while the pod runs, and the status asks users to save them. A claim that the
/// workspace only names does not count. Otherwise a user who makes and deletes such a claim could prevent the idle stop.
pub(crate) fn is_last_of_its_disk(observed: &Observed) -> bool {
    let own = observed.own_claim();
    own.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some())
}

/// When the application last started or the pod became ready, whichever is later.
fn usable_since(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let mut containers = status.container_statuses.iter().flatten();
    let started = containers
        .find(|container| container.name == APPLICATION_CONTAINER)
        .and_then(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    let ready = pod_condition(pod, "Ready").filter(|ready| ready.status == "True");
    let ready = ready.and_then(|ready| ready.last_transition_time.as_ref());
    started.into_iter().chain(ready).map(|time| time.0).max()
}

#[cfg(test)]
pub(super) mod tests {
    use api::workspace::{IdleShutdown, IdleSignal, IdleStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rules::IdleAnswer;
    use testkit::objects;

    use super::*;
    use crate::{
        status::assess::{Facts, assess},
        testing,
    };

    fn subject_after(change: impl FnOnce(&mut Workspace, &mut Observed)) -> Option<Subject> {
        let (mut workspace, mut observed) = (objects::workspace("demo"), testing::running());
        workspace.spec.idle_shutdown = Some(IdleShutdown {
            idle_timeout_in_minutes: Some(5),
            ..IdleShutdown::default()
        });
        change(&mut workspace, &mut observed);
        let valid = testing::admit(&workspace);
        let validation = Ok(valid.clone());
        let status = assess(&Facts {
            workspace: &workspace,
            validation: &validation,
            observed: &observed,
            blocker: None,
            restarts: false,
            unschedulable_grace: Duration::from_mins(5),
            now: "2026-01-01T00:01:00Z".parse().unwrap(),
        })
        .status;
        for_run(&workspace, &valid, &observed, &status)
    }

    /// `demo`, running, with a timeout of five minutes.
    pub(in super::super) fn subject() -> Subject {
        subject_after(|_, _| ()).unwrap()
    }

    #[test]
    fn a_ready_pod_is_asked_at_its_own_address_and_counts_from_when_it_could_be_used() {
        let subject = subject();
        assert_eq!(subject.address.to_string(), "10.0.0.9");
        assert_eq!(subject.port, 8888);
        assert_eq!(subject.timeout, Duration::from_mins(5));
        assert_eq!(subject.since, "2026-01-01T00:00:05Z".parse().unwrap());
        assert_eq!(subject.interval(), Duration::from_secs(30));
        assert_eq!(subject.known, None);
    }

    #[test]
    fn pods_are_not_asked_if_not_ready_stopping_or_without_idle_rule() {
        assert_eq!(
            subject_after(|workspace, _| workspace.spec.idle_shutdown = None),
            None
        );
        assert_eq!(
            subject_after(|workspace, _| workspace.spec.desired_status = DesiredStatus::Stopped),
            None
        );
        assert_eq!(subject_after(|_, observed| *observed = testing::started()), None);
        let strange = |_: &mut Workspace, observed: &mut Observed| {
            let mut pod = observed.pods[0].as_ref().clone();
            pod.status.as_mut().unwrap().pod_ip = Some("host.example".to_owned());
            observed.pods = vec![pod.into()];
        };
        assert_eq!(subject_after(strange), None, "an address is a number");
    }

    #[test]
    fn a_workspace_whose_disk_was_deleted_is_not_stopped() {
        let deleted = |observed: &mut Observed| {
            let mut claim = observed.claim.as_deref().unwrap().clone();
            claim.metadata.deletion_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
            claim
        };
        assert_eq!(
            subject_after(|_, observed| observed.claim = Some(deleted(observed).into())),
            None
        );
        let of_another = |_: &mut Workspace, observed: &mut Observed| {
            let mut claim = deleted(observed);
            claim.metadata.owner_references = None;
            claim.metadata.annotations = None;
            observed.claim = Some(claim.into());
        };
        assert!(subject_after(of_another).is_some());
    }

    #[test]
    fn a_deleted_foreign_claim_does_not_prevent_the_stop() {
        let with_scratch =
            |_: &mut Workspace, observed: &mut Observed| observed.terminating = vec!["scratch".to_owned()];
        assert_eq!(subject_after(with_scratch), Some(subject()));
    }

    #[test]
    fn the_activity_in_the_status_counts_for_the_same_run_only() {
        let time: Timestamp = "2026-01-01T00:30:00Z".parse().unwrap();
        let known = |run: &str| {
            subject_after(|workspace, _| {
                let mut status = workspace.status.clone().unwrap_or_default();
                status.run_id = Some(run.to_owned());
                status.idle = Some(IdleStatus {
                    last_activity: Some(Time(time)),
                    ..IdleStatus::default()
                });
                workspace.status = Some(status);
            })
            .unwrap()
            .known
        };
        assert_eq!(known("run1"), Some(time));
        assert_eq!(known("run0"), None);
    }

    #[test]
    fn a_door_is_known_from_the_status_of_the_same_run() {
        let has_door = |run: &str, name: &str| {
            subject_after(|workspace, _| {
                let signal = IdleSignal {
                    name: name.to_owned(),
                    ..IdleSignal::default()
                };
                let mut status = workspace.status.clone().unwrap_or_default();
                status.run_id = Some(run.to_owned());
                status.idle = Some(IdleStatus {
                    signals: vec![signal],
                    ..IdleStatus::default()
                });
                workspace.status = Some(status);
            })
            .unwrap()
            .has_door
        };
        assert!(has_door("run1", "user") && has_door("run1", "presence"));
        assert!(!has_door("run0", "user") && !has_door("run1", "server"));
        assert_eq!(subject().door.path, "/jupyter-k8s/activity");
        assert_eq!(subject().door.port, 8888);
    }

    #[test]
    fn an_application_is_asked_under_the_base_path_of_its_start() {
        let (folder, bare) = ("/workspaces/team/demo", "/api/status");
        let on_its_own_host = r#"{"format":2,"spec":{}}"#.to_owned();
        let in_a_folder = format!(r#"{{"format":2,"manager":{{"basePath":"{folder}"}}}}"#);
        let asked = |today: Option<&str>, record: &str, port: Option<u16>| {
            let mut valid = testing::valid();
            valid.base_path = today.map(str::to_owned);
            let mut question = subject().question;
            question.port = port;
            let question = question.rebase("", today.unwrap_or_default());
            let asked = question_of_run(&valid, &question, Some(record));
            let kernels = IdleAnswer::Jupyter {
                base: asked.path.trim_end_matches("/status").to_owned(),
            };
            assert_eq!(asked.answer, kernels);
            asked.path
        };
        let in_it = format!("{folder}{bare}");
        assert_eq!(asked(None, &on_its_own_host, None), bare);
        assert_eq!(asked(Some(folder), &in_a_folder, None), in_it);
        // The manager's routing mode was switched meanwhile.
        assert_eq!(asked(Some(folder), &on_its_own_host, None), bare);
        assert_eq!(asked(None, &in_a_folder, None), in_it);
        assert_eq!(asked(None, &in_a_folder, Some(9000)), bare);
    }

    #[test]
    fn questions_are_a_tenth_of_the_timeout_apart_and_at_most_a_minute() {
        let of = |minutes| Subject {
            timeout: Duration::from_mins(minutes),
            ..subject()
        };
        assert_eq!(of(1).interval(), Duration::from_secs(6));
        assert_eq!(of(600).interval(), Duration::from_mins(1));
    }
}
