//! Earlier and new status of a workspace -> audit records of runs, stops, failures, deletion (IO).
//!
//! The leader writes each record once, after the status with the same content is stored. The next leader finds that status and does
//! not write the record again. A replica that is killed in between does not write its record.

use std::{collections::HashMap, io::Write, sync::OnceLock};

use api::{
    WorkspaceStatus,
    condition::{self, STOPPED},
    names,
    workspace::Phase,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kit::audit::{Counters, Log, Writer};
use parking_lot::Mutex;
use serde::Serialize;

use crate::cache::observed::Identity;

/// One transition of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Record {
    /// A run started: its pod was made.
    RunStarted(About),
    /// The last pod of a run is gone.
    Stopped {
        /// Which workspace and run.
        #[serde(flatten)]
        about: About,
        /// `requested`, or the rule that stopped it.
        rule: &'static str,
    },
    /// The workspace cannot run.
    Failed {
        /// Which workspace and run.
        #[serde(flatten)]
        about: About,
        /// Reason of the failure, as in the status.
        reason: String,
    },
    /// The workspace is deleted, and its children with it.
    Deleted(About),
}

/// A workspace, its run, and its users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct About {
    namespace: String,
    workspace: String,
    uid: String,
    /// The run, or the last one; empty when it never ran.
    #[serde(rename = "runID")]
    run_id: String,
    #[serde(flatten)]
    users: Users,
}

impl About {
    fn new(identity: &Identity, users: &Users, run_id: &str) -> Self {
        Self {
            namespace: identity.namespace.clone(),
            workspace: identity.name.clone(),
            uid: identity.uid.clone(),
            run_id: run_id.to_owned(),
            users: users.clone(),
        }
    }
}

/// Kubernetes user names; empty where none is last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    owner: String,
    last_updated_by: String,
}

impl Users {
    /// From the metadata of a stored workspace.
    pub fn from_meta(meta: &ObjectMeta) -> Self {
        let annotation = |name| meta.annotations.as_ref()?.get(name).cloned();
        Self {
            owner: names::owner(meta).unwrap_or_default().to_owned(),
            last_updated_by: annotation(names::LAST_UPDATED_BY).unwrap_or_default(),
        }
    }
}

/// The part of a status that is kept for comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RunRecord {
    uid: String,
    /// The run, or the last one.
    run_id: String,
    is_stopped: bool,
    /// Reason of the failure.
    failed: Option<String>,
}

impl RunRecord {
    /// `last_run`: the run to record if the status no longer has one.
    fn from_status(uid: &str, status: &WorkspaceStatus, last_run: &str) -> Self {
        let failed = (status.phase == Some(Phase::Failed)).then(|| status.reason.clone().unwrap_or_default());
        Self {
            uid: uid.to_owned(),
            run_id: status.run_id.as_deref().unwrap_or(last_run).to_owned(),
            is_stopped: condition::holds(&status.conditions, STOPPED),
            failed,
        }
    }
}

/// The records that follow from a status `now` after the status `before`.
fn records(before: &RunRecord, now: &RunRecord, status: &WorkspaceStatus, about: &About) -> Vec<Record> {
    let mut records = Vec::new();
    if status.run_id.is_some() && now.run_id != before.run_id {
        records.push(Record::RunStarted(about.clone()));
    }
    if now.is_stopped && !before.is_stopped && !now.run_id.is_empty() {
        let rule = status.stopped_because.as_ref().map(|because| because.rule);
        records.push(Record::Stopped {
            about: about.clone(),
            rule: match rule {
                Some(rule) => rule.audit_name(),
                None => "requested",
            },
        });
    }
    if let Some(reason) = &now.failed
        && now.failed != before.failed
    {
        records.push(Record::Failed {
            about: about.clone(),
            reason: reason.clone(),
        });
    }
    records
}

/// The audit log of this replica. Without [`Audit::open`] nothing is written.
#[derive(Default)]
pub struct Audit {
    log: OnceLock<Log>,
    /// What was recorded last, by workspace.
    last: Mutex<HashMap<String, RunRecord>>,
}

impl Audit {
    /// Writes to `out` from now on.
    pub fn open(&self, out: impl Write + Send + 'static, counters: Counters) -> Writer {
        let (log, writer) = Log::to(out, counters);
        // A second log receives no records.
        let _ = self.log.set(log);
        writer
    }

    /// Records the change from the status `before` to the stored status `now`. `last_run`: the run of the pod, if there is one.
    pub fn record_change(
        &self,
        identity: &Identity,
        (users, last_run): (&Users, Option<&str>),
        before: Option<&WorkspaceStatus>,
        now: &WorkspaceStatus,
    ) {
        let uid = &identity.uid;
        let mut all = self.last.lock();
        let last = all.remove(&identity.key()).filter(|last| last.uid == *uid);
        let before = last.or_else(|| Some(RunRecord::from_status(uid, before?, "")));
        let before = before.unwrap_or_default();
        let current = RunRecord::from_status(uid, now, last_run.unwrap_or(&before.run_id));
        let about = About::new(identity, users, &current.run_id);
        for record in records(&before, &current, now, &about) {
            self.record(&record);
        }
        all.insert(identity.key(), current);
    }

    /// The workspace and its children are deleted.
    pub fn record_deletion(&self, identity: &Identity, users: &Users, last_run: Option<&str>) {
        let last = self.last.lock().remove(&identity.key());
        let last = last.filter(|last| last.uid == identity.uid).unwrap_or_default();
        let about = About::new(identity, users, last_run.unwrap_or(&last.run_id));
        self.record(&Record::Deleted(about));
    }

    /// Drops the state of a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        self.last.lock().remove(workspace);
    }

    /// Drops all state, because another replica leads.
    pub fn clear(&self) {
        self.last.lock().clear();
    }

    fn record(&self, record: &Record) {
        if let Some(log) = self.log.get() {
            log.record(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use testkit::log::Log as Paper;

    use super::*;
    use crate::testing;

    fn status(value: Value) -> WorkspaceStatus {
        serde_json::from_value(value).unwrap()
    }

    fn running(run: &str) -> WorkspaceStatus {
        status(json!({"phase": "Running", "runID": run}))
    }

    fn stopped(because: &Value) -> WorkspaceStatus {
        let condition = json!({
            "type": STOPPED, "status": "True", "reason": "Stopped", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        status(json!({"phase": "Stopped", "conditions": [condition], "stoppedBecause": because}))
    }

    /// Event, run, and rule or reason of each record that `act` wrote.
    fn written(act: impl FnOnce(&Audit)) -> Vec<(String, String, String)> {
        let (audit, paper) = (Audit::default(), Paper::default());
        let writer = audit.open(paper.clone(), Counters::default());
        act(&audit);
        drop(writer);
        let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
        let lines = paper.text();
        let records = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ours = records.filter(|record| record["uid"].is_string());
        ours.map(|record| {
            let why = text(&record, "rule") + &text(&record, "reason");
            (text(&record, "event"), text(&record, "runID"), why)
        })
        .collect()
    }

    fn record(event: &str, run: &str, why: &str) -> (String, String, String) {
        (event.to_owned(), run.to_owned(), why.to_owned())
    }

    #[test]
    fn runs_stops_failures_and_the_deletion_are_written_once_with_their_run() {
        let (about, users) = (testing::identity(), Users::default());
        let idle = json!({"rule": "Idle", "time": "2026-01-01T00:00:00Z"});
        let failed = |reason: &str| status(json!({"phase": "Failed", "reason": reason, "runID": "b"}));
        let way = [
            (running("a"), Some("a")),
            (running("a"), Some("a")),
            (stopped(&idle), Some("a")),
            (running("b"), Some("b")),
            (failed("ImagePullFailed"), Some("b")),
            (failed("ImagePullFailed"), Some("b")),
            (failed("QuotaExceeded"), Some("b")),
            (stopped(&Value::Null), Some("b")),
            (stopped(&Value::Null), Some("b")),
        ];
        let records = written(|audit| {
            let mut before = None;
            for (now, run) in &way {
                audit.record_change(&about, (&users, *run), before, now);
                before = Some(now);
            }
            audit.record_deletion(&about, &users, None);
        });
        assert_eq!(
            records,
            [
                record("run_started", "a", ""),
                record("stopped", "a", "idle"),
                record("run_started", "b", ""),
                record("failed", "b", "ImagePullFailed"),
                record("failed", "b", "QuotaExceeded"),
                record("stopped", "b", "requested"),
                record("deleted", "b", ""),
            ]
        );
    }

    #[test]
    fn the_next_leader_repeats_nothing_and_goes_on_with_the_run_of_the_deployment() {
        let (about, users) = (testing::identity(), Users::default());
        let (runs, stops) = (running("a"), stopped(&Value::Null));
        let records = written(|audit| {
            audit.record_change(&about, (&users, Some("a")), Some(&runs), &runs);
            audit.clear();
            audit.record_change(&about, (&users, Some("a")), Some(&stops), &stops);
            audit.clear();
            audit.record_change(&about, (&users, Some("a")), Some(&runs), &stops);
        });
        assert_eq!(records, [record("stopped", "a", "requested")]);
    }

    #[test]
    fn a_status_whose_write_got_no_answer_is_recorded_when_it_is_found() {
        let (about, users) = (testing::identity(), Users::default());
        let (one, two) = (running("a"), running("b"));
        let records = written(|audit| {
            audit.record_change(&about, (&users, Some("a")), None, &one);
            audit.record_change(&about, (&users, Some("b")), Some(&two), &two);
        });
        assert_eq!(
            records,
            [record("run_started", "a", ""), record("run_started", "b", "")]
        );
    }
}
