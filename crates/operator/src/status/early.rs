//! Warnings that settle themselves a moment after a workspace was made -> when they are told, if at all (in memory).
//!
//! `kubectl apply -f folder` makes a workspace before its template as often as not. The status says at once what is missing; an Event
//! stays for an hour, whatever follows, and so it waits. One that waits while another operator takes over waits there (`inherited.rs`).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{Workspace, condition::reason};
use jiff::Timestamp;
use kube::runtime::events::{Event, EventType};
use tokio::time::Instant;

use crate::cache::observed::Identity;

/// How long after its creation a workspace may lack what it refers to before an Event says so.
const PATIENCE: Duration = Duration::from_secs(5);
/// What may come a moment later.
const MAY_COME: [&str; 3] = [
    reason::TEMPLATE_NOT_FOUND,
    reason::MANAGER_NOT_FOUND,
    reason::EXECUTION_PROFILE_NOT_FOUND,
];

/// Events that wait, by workspace.
#[derive(Default)]
pub struct Early {
    waiting: Mutex<HashMap<String, Waiting>>,
}

struct Waiting {
    uid: String,
    until: Instant,
    events: Vec<Event>,
}

/// What is to be told of what waited, and when to look again.
#[derive(Default)]
pub struct Due {
    /// What is still so.
    pub events: Vec<Event>,
    /// How long the others wait.
    pub again: Option<Duration>,
}

/// For how much longer a workspace is new; `None`: it is not.
pub fn newness(workspace: &Workspace, now: Timestamp) -> Option<Duration> {
    let created = workspace.metadata.creation_timestamp.as_ref()?.0;
    // Its clock may be ahead of ours.
    let age = Duration::try_from(now.duration_since(created)).unwrap_or_default();
    PATIENCE.checked_sub(age).filter(|left| !left.is_zero())
}

impl Early {
    /// Keeps what is to wait, for as long as the workspace is new, and answers the rest.
    pub fn hold(&self, about: &Identity, newness: Option<Duration>, events: Vec<Event>) -> Vec<Event> {
        let Some(left) = newness else { return events };
        let waits = |event: &Event| {
            matches!(event.type_, EventType::Warning) && MAY_COME.contains(&event.reason.as_str())
        };
        let (held, rest): (Vec<_>, Vec<_>) = events.into_iter().partition(waits);
        if !held.is_empty() {
            let mut waiting = self.lock();
            let known = waiting.remove(&about.key()).filter(|it| it.uid == about.uid);
            let mut all = known.unwrap_or_else(|| Waiting {
                uid: about.uid.clone(),
                until: Instant::now() + left,
                events: Vec::new(),
            });
            all.events.extend(held);
            waiting.insert(about.key(), all);
        }
        rest
    }

    /// What is due of a workspace for which `missing` is the reason now why it must not run.
    pub fn due(&self, about: &Identity, missing: Option<&str>) -> Due {
        let mut waiting = self.lock();
        let key = about.key();
        let Some(known) = waiting.get(&key) else {
            return Due::default();
        };
        let left = known.until.saturating_duration_since(Instant::now());
        let same = known.uid == about.uid;
        if same && missing.is_some() && !left.is_zero() {
            return Due {
                events: Vec::new(),
                again: Some(left),
            };
        }
        let events = waiting.remove(&key).filter(|_| same).map(|it| it.events);
        let mut events = events.unwrap_or_default();
        events.retain(|event| Some(event.reason.as_str()) == missing);
        Due { events, again: None }
    }

    /// The workspace is gone.
    pub fn forget(&self, workspace: &str) {
        self.lock().remove(workspace);
    }

    /// Forgets everything: another leads.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn event(reason: &str) -> Event {
        Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: None,
            action: "Reconcile".to_owned(),
            secondary: None,
        }
    }

    fn reasons(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.reason.as_str()).collect()
    }

    const TEMPLATE: &str = reason::TEMPLATE_NOT_FOUND;

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_of_a_new_workspace_is_told_if_it_does_not_come() {
        let (early, about) = (Early::default(), testing::world().identity);
        let told = early.hold(
            &about,
            Some(PATIENCE),
            vec![event(TEMPLATE), event(reason::EVICTED)],
        );
        assert_eq!(reasons(&told), [reason::EVICTED]);
        assert_eq!(early.due(&about, Some(TEMPLATE)).again, Some(PATIENCE));
        tokio::time::advance(PATIENCE).await;
        let due = early.due(&about, Some(TEMPLATE));
        assert_eq!((reasons(&due.events), due.again), (vec![TEMPLATE], None));
        assert!(early.due(&about, Some(TEMPLATE)).events.is_empty(), "once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_is_not_told_to_be_missing() {
        let (early, about) = (Early::default(), testing::world().identity);
        early.hold(&about, Some(PATIENCE), vec![event(TEMPLATE)]);
        early.hold(&about, Some(PATIENCE), vec![event(reason::MANAGER_NOT_FOUND)]);
        tokio::time::advance(PATIENCE).await;
        let due = early.due(&about, Some(reason::MANAGER_NOT_FOUND));
        assert_eq!(reasons(&due.events), [reason::MANAGER_NOT_FOUND]);
        early.hold(&about, Some(PATIENCE), vec![event(TEMPLATE)]);
        let due = early.due(&about, None);
        assert!(due.events.is_empty() && due.again.is_none());
        assert!(early.due(&about, Some(TEMPLATE)).again.is_none(), "forgotten");
    }

    #[test]
    fn only_a_new_workspace_is_waited_with() {
        let workspace = testkit::objects::workspace("demo");
        let created = workspace.metadata.creation_timestamp.as_ref().unwrap().0;
        let after = |seconds| newness(&workspace, created + jiff::SignedDuration::from_secs(seconds));
        assert_eq!(after(2), Some(Duration::from_secs(3)));
        assert_eq!(after(5), None);
        assert_eq!(after(-60), Some(PATIENCE), "its clock is ahead of ours");
        let (early, about) = (Early::default(), testing::world().identity);
        assert_eq!(
            reasons(&early.hold(&about, None, vec![event(TEMPLATE)])),
            [TEMPLATE]
        );
    }
}
