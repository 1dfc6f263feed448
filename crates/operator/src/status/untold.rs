//! Statuses whose write got no answer -> from which status on a workspace's transitions are to be told (in memory).
//!
//! Such a write may have come about all the same: then the cluster shows its status, and nothing is left to write that Events
//! would follow. What was told last is remembered until it is known that a status stands.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use api::WorkspaceStatus;
use kube::runtime::events::Event;

use crate::{cache::observed::Identity, status::transitions};

/// What is to be told once a status stands, by workspace.
#[derive(Default)]
pub struct Untold {
    waiting: Mutex<HashMap<String, Waiting>>,
}

/// The status up to which everything was told, and what came with the ones after it.
struct Waiting {
    uid: String,
    before: Option<WorkspaceStatus>,
    news: Vec<Event>,
}

/// A write of a status on its way. Unless somebody says what became of it, nobody knows: it failed, or was given up in the middle.
pub struct OnItsWay<'a> {
    untold: &'a Untold,
    about: &'a Identity,
    before: Option<&'a WorkspaceStatus>,
    news: Option<Vec<Event>>,
}

impl OnItsWay<'_> {
    /// It stands: everything that is to be told by now.
    pub fn stands(mut self, now: &WorkspaceStatus) -> Vec<Event> {
        let news = self.news.take().unwrap_or_default();
        if let Some(waiting) = self.untold.take(self.about) {
            return waiting.told(now, news);
        }
        let mut told = transitions::events(self.before, now);
        told.extend(news);
        told
    }

    /// Nobody is left to be told.
    pub fn is_in_vain(mut self) {
        self.news = None;
        self.untold.forget(&self.about.key());
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(news) = self.news.take() {
            self.untold.keep(self.about, self.before, news);
        }
    }
}

impl Untold {
    /// A status that follows `before`, with its news, is about to be written.
    pub fn send<'a>(
        &'a self,
        about: &'a Identity,
        before: Option<&'a WorkspaceStatus>,
        news: Vec<Event>,
    ) -> OnItsWay<'a> {
        OnItsWay {
            untold: self,
            about,
            before,
            news: Some(news),
        }
    }

    fn keep(&self, about: &Identity, before: Option<&WorkspaceStatus>, news: Vec<Event>) {
        let mut waiting = self.take(about).unwrap_or_else(|| Waiting {
            uid: about.uid.clone(),
            before: before.cloned(),
            news: Vec::new(),
        });
        waiting.add(news);
        self.lock().insert(about.key(), waiting);
    }

    /// The status `now` is found to stand: what is to be told of it, if a write of it got no answer.
    pub fn found(&self, about: &Identity, now: &WorkspaceStatus) -> Vec<Event> {
        self.take(about)
            .map_or_else(Vec::new, |waiting| waiting.told(now, Vec::new()))
    }

    fn take(&self, about: &Identity) -> Option<Waiting> {
        self.lock().remove(&about.key()).filter(|it| it.uid == about.uid)
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

impl Waiting {
    /// The same news come with each attempt to write one status.
    fn add(&mut self, news: Vec<Event>) {
        for event in news {
            let same = |it: &Event| it.reason == event.reason && it.note == event.note;
            if !self.news.iter().any(same) {
                self.news.push(event);
            }
        }
    }

    /// Everything up to the status `now`.
    fn told(mut self, now: &WorkspaceStatus, news: Vec<Event>) -> Vec<Event> {
        self.add(news);
        let mut told = transitions::events(self.before.as_ref(), now);
        told.extend(self.news);
        told
    }
}

#[cfg(test)]
mod tests {
    use api::condition::reason;
    use kube::runtime::events::EventType;

    use super::*;
    use crate::testing;

    fn status(run: &str) -> WorkspaceStatus {
        WorkspaceStatus {
            run_id: Some(run.to_owned()),
            ..WorkspaceStatus::default()
        }
    }

    fn news(note: &str) -> Vec<Event> {
        vec![Event {
            type_: EventType::Warning,
            reason: reason::POD_TEMPLATE_CHANGED.to_owned(),
            note: Some(note.to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        }]
    }

    fn reasons(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.reason.as_str()).collect()
    }

    #[test]
    fn what_came_about_without_an_answer_is_told_once() {
        let (untold, about) = (Untold::default(), testing::identity());
        drop(untold.send(&about, None, news("a")));
        let told = untold.found(&about, &status("r"));
        assert_eq!(reasons(&told), [reason::STARTING, reason::POD_TEMPLATE_CHANGED]);
        let again = untold.found(&about, &status("r"));
        assert!(again.is_empty(), "{:?}", reasons(&again));
    }

    #[test]
    fn attempts_in_a_row_are_told_from_the_first_on_and_their_news_once() {
        let (untold, about) = (Untold::default(), testing::identity());
        drop(untold.send(&about, Some(&status("q")), news("a")));
        drop(untold.send(&about, Some(&status("r")), news("a")));
        let shown = status("r");
        let told = untold.send(&about, Some(&shown), news("a")).stands(&status("r"));
        assert_eq!(reasons(&told), [reason::STARTING, reason::POD_TEMPLATE_CHANGED]);
        assert!(untold.found(&about, &status("r")).is_empty());
    }

    #[test]
    fn an_answer_leaves_nothing_to_be_told() {
        let (untold, about) = (Untold::default(), testing::identity());
        let told = untold.send(&about, None, news("a")).stands(&status("r"));
        assert_eq!(told.len(), 2);
        assert!(untold.found(&about, &status("r")).is_empty());
        untold.send(&about, None, news("a")).is_in_vain();
        assert!(untold.found(&about, &status("r")).is_empty());
    }

    #[test]
    fn another_workspace_of_the_name_is_told_of_by_itself() {
        let (untold, about) = (Untold::default(), testing::identity());
        drop(untold.send(&about, None, news("a")));
        let another = Identity {
            uid: "another".to_owned(),
            ..about.clone()
        };
        let told = untold.found(&another, &status("r"));
        assert!(told.is_empty(), "{:?}", reasons(&told));
    }
}
