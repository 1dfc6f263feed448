//! sign-ins, decisions, starts -> records of the audit log (IO).
//!
//! `record` defines the records, `visits` records one visit once.

mod record;
mod visits;

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

use api::names::PORTAL_AUDIENCE;
use kit::audit::Log;
pub use kit::audit::Writer;
use rules::access::Allowed;
use serde::Serialize;
use tokio::time::Instant;

pub use self::record::{Actor, By, Record, WorkspaceRun};
use self::visits::{Visit, Visits};
use crate::index::Target;
use crate::metrics::Metrics;
use crate::session::Session;
use crate::tokens::RandomId;
use crate::tokens::request_id;

/// Maximum number of groups in a record.
const GROUPS: usize = 32;

/// A record as it is written.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Address of the client whose request caused the record, if the settings enable it.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(flatten)]
    record: Record,
}

impl From<Record> for Line {
    fn from(record: Record) -> Self {
        let address = CLIENT.try_with(|client| *client).ok().flatten();
        Self { address, record }
    }
}

/// The audit log. Every clone writes to the same one. No method waits for the write.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
    names_clients: bool,
}

tokio::task_local! {
    /// Address of the client of the current request.
    static CLIENT: Option<IpAddr>;
}

struct Inner {
    log: Log,
    visits: Visits,
    metrics: Metrics,
}

impl Audit {
    /// Writes to `out`, one line per record.
    pub fn to(out: impl Write + Send + 'static, metrics: Metrics) -> (Self, Writer) {
        let (log, writer) = Log::to(out, metrics.audit());
        let audit = Self {
            inner: Arc::new(Inner {
                log,
                visits: Visits::default(),
                metrics,
            }),
            names_clients: false,
        };
        (audit, writer)
    }

    /// The same. If `names` is true, records about requests contain the client's address.
    #[must_use]
    pub fn naming_clients(self, names: bool) -> Self {
        Self {
            names_clients: names,
            ..self
        }
    }

    /// Answers a request. `client`: the address of its client.
    pub(crate) async fn about<F: Future>(
        &self,
        client: impl FnOnce() -> Option<IpAddr>,
        answer: F,
    ) -> F::Output {
        if self.names_clients {
            CLIENT.scope(client(), answer).await
        } else {
            answer.await
        }
    }

    /// Adds a record. If the queue is full, the record is dropped and counted.
    pub fn record(&self, record: Record) {
        self.inner.log.record(&Line::from(record));
    }

    /// A user signed in: the user's Kubernetes name and groups, and the end of the session in Unix seconds.
    pub fn login(&self, session: RandomId, user: &str, groups: &[String], end: i64) {
        self.inner.metrics.sign_in("signed_in");
        self.record(Record::Login {
            who: Actor::new(user, session),
            groups: groups.iter().take(GROUPS).cloned().collect(),
            group_count: groups.len(),
            ends: end,
        });
    }

    /// A user did not get a session. `reason`: a stable label.
    pub fn record_refused_login(&self, reason: &'static str) {
        self.inner.metrics.sign_in(reason);
        self.record(Record::LoginRefused { reason });
    }

    /// The settings do not admit a user whom `issuer` confirms. `rule`: a stable label.
    pub(crate) fn record_not_admitted(&self, user: &str, issuer: &str, rule: &'static str) {
        self.record(Record::NotAdmitted {
            user: user.to_owned(),
            issuer: issuer.to_owned(),
            rule,
        });
    }

    /// The token of a request is refused. `reason`: a stable label.
    pub(crate) fn record_refused_token(&self, reason: &'static str) {
        self.record(Record::TokenRefused {
            reason,
            request: request_id::current(),
        });
    }

    /// A session ended before its expiry. `user`: Kubernetes user name, empty if unknown. `by`: a stable label.
    pub fn logout(&self, session: RandomId, user: &str, by: &'static str) {
        self.inner.metrics.count_session_end(by);
        self.record(Record::Logout {
            who: Actor::new(user, session),
            by,
        });
    }

    /// The identity provider ended this many sessions of its user `subject`, if it names one.
    pub fn provider_logout(&self, subject: Option<&str>, sessions: usize) {
        self.record(Record::ProviderLogout {
            subject: subject.unwrap_or_default().to_owned(),
            sessions,
        });
    }

    /// A user was admitted, by a program or by a browser (`None`): recorded once per session, workspace, rule and means, an
    /// administrator's access once a minute.
    pub(crate) fn record_visit(&self, session: &Session, target: &Target, rule: Allowed, by: Option<By>) {
        match self
            .inner
            .visits
            .visit(session.id, (&target.uid, by), rule, Instant::now())
        {
            Visit::Recorded => {}
            Visit::New => self.record_opening(session, target, (rule, by), request_id::current()),
            Visit::Again(requests) => {
                self.record_administration(session, target, requests, request_id::current());
            }
        }
    }

    fn record_opening(
        &self,
        session: &Session,
        target: &Target,
        (rule, by): (Allowed, Option<By>),
        request: String,
    ) {
        self.record(Record::Opened {
            who: who(session),
            workspace: WorkspaceRun::from_target(target),
            rule: rule.reason(),
            by,
            request: request.clone(),
        });
        if rule == Allowed::Administrator {
            self.record_administration(session, target, 1, request);
        }
    }

    /// A user was admitted to the portal: recorded once per session.
    pub(crate) fn record_portal_visit(&self, session: &Session) {
        let visits = &self.inner.visits;
        // The portal has one rule, which is the one of public workspaces.
        let portal = (PORTAL_AUDIENCE, None);
        if visits.visit(session.id, portal, Allowed::Public, Instant::now()) == Visit::New {
            self.record(Record::PortalOpened {
                who: who(session),
                request: request_id::current(),
            });
        }
    }

    /// A program that calls itself `name` got a token of this session.
    pub(crate) fn record_admitted_program(&self, session: &Session, name: &str) {
        self.record(Record::ProgramAdmitted {
            who: who(session),
            program: name.to_owned(),
            ends: session.end,
            request: request_id::current(),
        });
    }

    /// A user started a workspace.
    pub(crate) fn record_start(&self, session: &Session, target: &Target, rule: Allowed) {
        self.record(Record::Started {
            who: who(session),
            workspace: WorkspaceRun::from_target(target),
            rule: rule.reason(),
            request: request_id::current(),
        });
    }

    fn record_administration(&self, session: &Session, target: &Target, requests: u64, request: String) {
        self.record(Record::Administered {
            who: who(session),
            workspace: WorkspaceRun::from_target(target),
            requests,
            request,
        });
    }

    /// A signed-in user was refused.
    pub(crate) fn record_denial(
        &self,
        session: &Session,
        host: &str,
        target: Option<&Target>,
        rule: &'static str,
    ) {
        self.record(Record::Denied {
            who: who(session),
            host: host.to_owned(),
            workspace: target.map(WorkspaceRun::from_target),
            rule,
            request: request_id::current(),
        });
    }
}

fn who(session: &Session) -> Actor {
    Actor {
        token: session.credential.label(),
        ..Actor::new(&session.identity.user_name, session.id)
    }
}

#[cfg(test)]
mod tests;
