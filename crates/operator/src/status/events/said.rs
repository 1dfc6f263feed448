//! Events that were written -> the one with which another is counted (in memory).
//!
//! For ten minutes everything is remembered that was told of anybody: that is only what is needed to know it again, mostly numbers.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use api::condition::reason;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::Event;

use super::{WINDOW, type_of};

/// Events of one reason about one object within [`WINDOW`]. Beyond it they are counted with the newest, whatever they say; but not
/// who handed a workspace over to whom.
pub(super) const MOST: usize = 10;
/// How often what is past is forgotten.
const SWEEP: SignedDuration = SignedDuration::from_mins(1);

/// What was said within [`WINDOW`].
#[derive(Debug, Default)]
pub(super) struct Said {
    topics: HashMap<Topic, Vec<Known>>,
    /// What was told by marks, and when.
    marks: HashMap<u64, Timestamp>,
    swept: Option<Timestamp>,
    /// By which things become numbers: nobody can find two that become the same one.
    numbers: RandomState,
}

/// What Events have in common that count towards [`MOST`], as a number: object, type, reason and action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Topic(u64);

/// An Event that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: Box<str>,
    pub(super) count: i32,
    /// Its text, of which step it is, and what else it is about, as a number.
    words: u64,
    last: Timestamp,
}

impl Said {
    /// The Event with which this one is counted, with the new count; `None` where it is to be an Event of its own: one of another
    /// `step` is, for a new one costs the API server less than one that is counted.
    pub(super) fn again(
        &mut self,
        event: &Event,
        regarding: &ObjectReference,
        step: &str,
        now: Timestamp,
    ) -> Option<Known> {
        self.sweep(now);
        let words = self.words(event, step);
        let known = self.topics.get(&self.topic(event, regarding))?;
        let recent = || known.iter().filter(|known| is_recent(known, now));
        let same = recent().find(|known| known.words == words);
        let full = recent().count() >= MOST && event.reason != reason::HANDED_OVER;
        let again = same.or_else(|| recent().max_by_key(|known| known.last).filter(|_| full))?;
        Some(Known {
            count: again.count.saturating_add(1),
            last: now,
            ..again.clone()
        })
    }

    /// An Event of its own was written at `now` under this name.
    pub(super) fn keep_new(
        &mut self,
        event: &Event,
        regarding: &ObjectReference,
        step: &str,
        name: String,
        now: Timestamp,
    ) {
        let known = Known {
            name: name.into(),
            count: 1,
            words: self.words(event, step),
            last: now,
        };
        self.keep(event, regarding, known);
    }

    /// An Event was counted with this one.
    pub(super) fn keep(&mut self, event: &Event, regarding: &ObjectReference, known: Known) {
        let topic = self.topic(event, regarding);
        // Most is said once.
        let all = self.topics.entry(topic).or_insert_with(|| Vec::with_capacity(1));
        all.retain(|other| other.name != known.name);
        all.push(known);
    }

    /// Whether something was told by this mark.
    pub(super) fn has_mark(&self, mark: u64) -> bool {
        self.marks.contains_key(&mark)
    }

    /// Something was told by this mark.
    pub(super) fn keep_mark(&mut self, mark: u64, now: Timestamp) {
        self.marks.insert(mark, now);
    }

    fn topic(&self, event: &Event, regarding: &ObjectReference) -> Topic {
        let ObjectReference {
            kind,
            namespace,
            name,
            uid,
            ..
        } = regarding;
        let about = (kind, namespace, name, uid);
        let what = (type_of(event), &event.reason, &event.action);
        Topic(self.numbers.hash_one((about, what)))
    }

    fn words(&self, event: &Event, step: &str) -> u64 {
        let related = event.secondary.as_ref().and_then(|related| related.uid.as_ref());
        self.numbers.hash_one((&event.note, related, step))
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.marks.retain(|_, last| now.duration_since(*last) < WINDOW);
        self.topics.retain(|_, known| {
            known.retain(|known| is_recent(known, now));
            !known.is_empty()
        });
    }
}

fn is_recent(known: &Known, now: Timestamp) -> bool {
    now.duration_since(known.last) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{demo, event},
        *,
    };

    #[test]
    fn what_was_said_long_ago_is_forgotten() {
        let mut said = Said::default();
        let first = Timestamp::from_second(0).unwrap();
        said.keep_new(&event("a"), &demo(), "", "e".to_owned(), first);
        assert!(said.again(&event("a"), &demo(), "", first + SWEEP).is_some());
        assert!(said.again(&event("a"), &demo(), "", first + WINDOW).is_none());
        assert!(said.topics.is_empty());
    }

    #[test]
    fn what_differs_in_any_way_is_not_counted() {
        let mut said = Said::default();
        let now = Timestamp::from_second(0).unwrap();
        said.keep_new(&event("a"), &demo(), "", "e".to_owned(), now);
        let again = |said: &mut Said, event: &Event, about: &ObjectReference| {
            let known = said.again(event, about, "", now)?;
            Some((known.name, known.count))
        };
        assert_eq!(again(&mut said, &event("a"), &demo()), Some(("e".into(), 2)));
        assert_eq!(again(&mut said, &event("b"), &demo()), None);
        let mut another = demo();
        another.uid = Some("another".to_owned());
        assert_eq!(again(&mut said, &event("a"), &another), None);
        for change in [
            |event: &mut Event| event.reason = "R".to_owned(),
            |event: &mut Event| event.action = "A".to_owned(),
            |event: &mut Event| event.secondary = Some(demo()),
        ] {
            let mut other = event("a");
            change(&mut other);
            assert_eq!(again(&mut said, &other, &demo()), None);
        }
    }
}
