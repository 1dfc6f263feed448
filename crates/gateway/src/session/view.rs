//! what the watch tells and the API server answers -> the sessions known here, without ever reviving a deleted one (pure).

use std::collections::HashMap;
use std::sync::Arc;

use super::Session;
use crate::crypto::tokens::RandomId;

/// Deleted sessions that are remembered before old ones are forgotten.
const GONE: usize = 4096;
/// How long they are remembered at least, in seconds: longer than any question takes.
const GONE_LIFE: i64 = 60;

/// What is known of one session.
pub(super) struct Known {
    /// When the object may be removed, Unix seconds.
    pub(super) expires: i64,
    /// `None` when the content does not open with the keys of the moment.
    pub(super) session: Option<Arc<Session>>,
}

/// What the watch told, and what may be added to it.
#[derive(Default)]
pub(super) struct View {
    pub(super) known: HashMap<RandomId, Known>,
    /// Deleted a short while ago, with the time: an answer that is still under way must not bring them back.
    gone: HashMap<RandomId, i64>,
    /// What a list that is under way brought so far.
    listing: Option<HashMap<RandomId, Known>>,
    /// Complete lists so far. Answers that were asked for before another list are not added: it may have missed them.
    lists: u64,
}

impl View {
    /// The list that answers can be added to: none before the first one is complete, or while one is under way.
    pub(super) fn stage(&self) -> Option<u64> {
        (self.lists > 0 && self.listing.is_none()).then_some(self.lists)
    }

    /// Adds what the API server answered to a question of the time `asked_at`; `None` if it was deleted since.
    pub(super) fn add(&mut self, id: RandomId, known: Known, asked_at: Option<u64>) -> Option<Arc<Session>> {
        if self.gone.contains_key(&id) {
            return None;
        }
        let session = known.session.clone();
        if asked_at.is_some() && asked_at == self.stage() {
            self.known.entry(id).or_insert(known);
        }
        session
    }

    /// Forgets a session that was deleted at `now` (Unix seconds).
    pub(super) fn remove(&mut self, id: RandomId, now: i64) {
        self.known.remove(&id);
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
    pub(super) fn listed(&mut self, read: Option<(RandomId, Known)>) {
        self.listing.get_or_insert_default().extend(read);
    }

    /// The list is complete: what it does not hold is gone.
    pub(super) fn end_list(&mut self) {
        self.known = self.listing.take().unwrap_or_default();
        self.lists += 1;
    }
}
