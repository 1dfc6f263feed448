//! watch events and reads -> the known sessions (pure).
//!
//! A deleted session never comes back, and no older state replaces a newer one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Session;
use super::content::Times;
use crate::tokens::RandomId;

/// Deleted sessions that are remembered before old ones are forgotten.
const GONE: usize = 4096;
/// How long they are remembered at least, in seconds: longer than any question takes.
const GONE_LIFE: i64 = 60;
/// A session is put up for upkeep once in this many seconds by each replica.
const ASK_AGAIN: i64 = 5;

/// What is known of one session.
pub(super) struct Known {
    /// resourceVersion of the object; API servers count upwards.
    pub(super) version: u64,
    /// When the object may be removed, Unix seconds.
    pub(super) expires: i64,
    /// `None` when the content does not open with the keys of the moment.
    pub(super) open: Option<Open>,
}

/// A session whose content could be read.
pub(super) struct Open {
    pub(super) session: Arc<Session>,
    pub(super) times: Times,
    /// Not put up for upkeep again before this, Unix seconds.
    not_before: AtomicI64,
}

/// What a session is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Validity {
    /// It admits.
    Good(Arc<Session>),
    /// It does not, until the provider confirms.
    Doubtful,
    /// It is over.
    Over,
    /// The object says nothing that can be read here.
    Unreadable,
}

impl Known {
    pub(super) fn validity(&self, now: i64) -> Validity {
        match &self.open {
            None => Validity::Unreadable,
            Some(open) if now < open.times.doubtful => Validity::Good(Arc::clone(&open.session)),
            Some(open) if now < open.times.over => Validity::Doubtful,
            Some(_) => Validity::Over,
        }
    }

    /// Whether this use is a reason to look after the session; says so once in a while only.
    pub(super) fn wants_upkeep(&self, now: i64) -> bool {
        let Some(open) = &self.open else { return false };
        if now < open.times.upkeep {
            return false;
        }
        let before = open.not_before.load(Ordering::Relaxed);
        now >= before
            && open
                .not_before
                .compare_exchange(before, now + ASK_AGAIN, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Open {
    pub(super) fn new(session: Session, times: Times) -> Self {
        Self {
            session: Arc::new(session),
            times,
            not_before: AtomicI64::new(0),
        }
    }
}

/// What the watch told, and what may be added to it.
#[derive(Default)]
pub(super) struct View {
    pub(super) known: HashMap<RandomId, Arc<Known>>,
    /// Deleted a short while ago, with the time: an answer that is still under way must not bring them back.
    gone: HashMap<RandomId, i64>,
    /// What a list that is under way brought so far.
    listing: Option<HashMap<RandomId, Arc<Known>>>,
    /// Complete lists so far. Answers that were asked for before another list are not added: it may have missed them.
    lists: u64,
}

impl View {
    /// The list that answers can be added to: none before the first one is complete, or while one is under way.
    pub(super) fn stage(&self) -> Option<u64> {
        (self.lists > 0 && self.listing.is_none()).then_some(self.lists)
    }

    /// Adds what the API server answered to a question of the time `asked_at`; `None` if it was deleted since.
    pub(super) fn add(
        &mut self,
        id: RandomId,
        known: Arc<Known>,
        asked_at: Option<u64>,
    ) -> Option<Arc<Known>> {
        if self.gone.contains_key(&id) {
            return None;
        }
        if self.known.contains_key(&id) || (asked_at.is_some() && asked_at == self.stage()) {
            self.take_newer(id, Arc::clone(&known));
        }
        Some(known)
    }

    /// Takes over what the watch told.
    pub(super) fn put(&mut self, id: RandomId, known: Arc<Known>) {
        // A name is never used twice, so what was deleted stays so.
        if !self.gone.contains_key(&id) {
            self.take_newer(id, known);
        }
    }

    fn take_newer(&mut self, id: RandomId, known: Arc<Known>) {
        let slot = self.known.entry(id).or_insert_with(|| Arc::clone(&known));
        if slot.version <= known.version {
            *slot = known;
        }
    }

    /// Forgets a session that was deleted at `now` (Unix seconds).
    pub(super) fn remove(&mut self, id: RandomId, now: i64) {
        self.known.remove(&id);
        if let Some(listing) = &mut self.listing {
            listing.remove(&id);
        }
        if self.gone.len() >= GONE {
            self.gone.retain(|_, since| now < *since + GONE_LIFE);
        }
        self.gone.insert(id, now);
    }

    /// A list begins.
    pub(super) fn begin_list(&mut self) {
        self.listing = Some(HashMap::new());
    }

    /// The list that is under way holds this one.
    pub(super) fn listed(&mut self, id: RandomId, known: Known) {
        if !self.gone.contains_key(&id) {
            self.listing.get_or_insert_default().insert(id, Arc::new(known));
        }
    }

    /// The list is complete: what it does not hold is gone.
    pub(super) fn end_list(&mut self) {
        self.known = self.listing.take().unwrap_or_default();
        self.lists += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_are_gone_are_remembered_for_a_minute_and_then_make_room() {
        let mut view = View::default();
        let mut most = 0;
        for number in 0..20 * GONE {
            // A hundred a second.
            view.remove(RandomId::new().unwrap(), i64::try_from(number).unwrap() / 100);
            most = most.max(view.gone.len());
        }
        let within_a_minute = usize::try_from(GONE_LIFE).unwrap() * 100;
        assert!(most <= within_a_minute.max(GONE) + 100, "{most}");
        let last = RandomId::new().unwrap();
        view.remove(last, 100_000);
        assert_eq!(view.gone.len(), 1, "all others were long ago");
        assert!(view.known.is_empty());
    }
}
