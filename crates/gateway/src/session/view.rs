//! watch events and reads -> the known sessions (pure).
//!
//! A deleted session never comes back, and no older state replaces a newer one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Session;
use super::content::Times;
use crate::tokens::RandomId;

/// Number of deleted sessions that are remembered before old ones are removed.
const MAX_DELETED: usize = 4096;
/// Minimum time that they are remembered, in seconds: longer than any API request takes.
const DELETED_TTL: i64 = 60;
/// Each replica queues a session for upkeep at most once in this many seconds.
const READ_AGAIN_AFTER: i64 = 5;

/// The known state of one session.
pub(super) struct SessionState {
    /// `resourceVersion` of the object; API servers count upwards.
    pub(super) version: u64,
    /// When the object may be removed, Unix seconds.
    pub(super) expires: i64,
    /// `None` when the content does not open with the present keys.
    pub(super) open: Option<OpenSession>,
}

/// A session whose content could be read.
pub(super) struct OpenSession {
    pub(super) session: Arc<Session>,
    pub(super) times: Times,
    /// Not queued for upkeep again before this, Unix seconds.
    not_before: AtomicI64,
}

/// Whether a session is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Validity {
    /// Valid.
    Good(Arc<Session>),
    /// Not valid until the provider confirms.
    Doubtful,
    /// Ended.
    Over,
    /// The content cannot be read here.
    Unreadable,
}

impl SessionState {
    pub(super) fn validity(&self, now: i64) -> Validity {
        match &self.open {
            None => Validity::Unreadable,
            Some(open) if now < open.times.doubtful => Validity::Good(Arc::clone(&open.session)),
            Some(open) if now < open.times.over => Validity::Doubtful,
            Some(_) => Validity::Over,
        }
    }

    /// Whether this use triggers upkeep; true at most once per interval.
    pub(super) fn needs_upkeep(&self, now: i64) -> bool {
        let Some(open) = &self.open else { return false };
        if now < open.times.upkeep {
            return false;
        }
        let before = open.not_before.load(Ordering::Relaxed);
        now >= before
            && open
                .not_before
                .compare_exchange(
                    before,
                    now + READ_AGAIN_AFTER,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

impl OpenSession {
    pub(super) fn new(session: Session, times: Times) -> Self {
        Self {
            session: Arc::new(session),
            times,
            not_before: AtomicI64::new(0),
        }
    }
}

/// The state from the watch, and answers that may be added to it.
#[derive(Default)]
pub(super) struct View {
    pub(super) known: HashMap<RandomId, Arc<SessionState>>,
    /// Recently deleted sessions, with the time. An answer that is still in flight must not restore them.
    gone: HashMap<RandomId, i64>,
    /// Content so far of a list in progress.
    listing: Option<HashMap<RandomId, Arc<SessionState>>>,
    /// Number of complete lists. An answer that was requested before another list is not added: the list may show it as deleted.
    lists: u64,
}

impl View {
    /// The list that answers can be added to. `None` before the first complete list, or during one.
    pub(super) fn stage(&self) -> Option<u64> {
        (self.lists > 0 && self.listing.is_none()).then_some(self.lists)
    }

    /// Adds an answer of the API server to a request of the time `asked_at`; `None` if the session was deleted since.
    pub(super) fn add(
        &mut self,
        id: RandomId,
        known: Arc<SessionState>,
        asked_at: Option<u64>,
    ) -> Option<Arc<SessionState>> {
        if self.gone.contains_key(&id) {
            return None;
        }
        if self.known.contains_key(&id) || (asked_at.is_some() && asked_at == self.stage()) {
            self.take_newer(id, Arc::clone(&known));
        }
        Some(known)
    }

    /// Applies a state from the watch.
    pub(super) fn put(&mut self, id: RandomId, known: Arc<SessionState>) {
        // Names are never reused, so a deleted session stays deleted.
        if !self.gone.contains_key(&id) {
            self.take_newer(id, known);
        }
    }

    fn take_newer(&mut self, id: RandomId, known: Arc<SessionState>) {
        let entry = self.known.entry(id).or_insert_with(|| Arc::clone(&known));
        if entry.version <= known.version {
            *entry = known;
        }
    }

    /// Removes a session that was deleted at `now` (Unix seconds).
    pub(super) fn remove(&mut self, id: RandomId, now: i64) {
        self.known.remove(&id);
        if let Some(listing) = &mut self.listing {
            listing.remove(&id);
        }
        if self.gone.len() >= MAX_DELETED {
            self.gone.retain(|_, since| now < *since + DELETED_TTL);
        }
        self.gone.insert(id, now);
    }

    /// A list begins.
    pub(super) fn begin_list(&mut self) {
        self.listing = Some(HashMap::new());
    }

    /// The list in progress contains this session.
    pub(super) fn add_listed(&mut self, id: RandomId, known: SessionState) {
        if !self.gone.contains_key(&id) {
            self.listing.get_or_insert_default().insert(id, Arc::new(known));
        }
    }

    /// The list is complete: sessions that it does not contain are gone.
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
        for number in 0..20 * MAX_DELETED {
            // A hundred per second.
            view.remove(RandomId::new().unwrap(), i64::try_from(number).unwrap() / 100);
            most = most.max(view.gone.len());
        }
        let within_a_minute = usize::try_from(DELETED_TTL).unwrap() * 100;
        assert!(most <= within_a_minute.max(MAX_DELETED) + 100, "{most}");
        let last = RandomId::new().unwrap();
        view.remove(last, 100_000);
        assert_eq!(view.gone.len(), 1, "all others were long ago");
        assert!(view.known.is_empty());
    }
}
