//! one stream -> its next line, when there is one (pure but for the clock).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::event::{self, Event};
use crate::index::Target;
use crate::index::freshness::CHECK_INTERVAL;
use crate::pages::{self, Audience, End};
use crate::verify::decision::Allow;
use crate::verify::{AppState, Grant};

/// Pause after which a line without content is sent.
const IDLE: Duration = Duration::from_secs(15);
/// Longest life of a stream. Whoever still waits comes again, and is told on from there.
pub const LIFE: Duration = Duration::from_mins(10);

/// A stream that a user follows.
pub(super) struct Following {
    app: Arc<AppState>,
    grant: Grant,
    /// What admitted.
    first: Allow,
    /// How long that is enough: a session that was looked up may take as long to arrive by the watch.
    first_counts_until: Instant,
    changes: Receiver<u64>,
    stop: CancellationToken,
    /// Lines to be sent.
    lines: VecDeque<Bytes>,
    /// What was told last, by what it was made from.
    told: Option<(Arc<Target>, Audience)>,
    /// Identifier of what was told last, here or by another replica.
    last: Option<String>,
    /// The run that was named last, and how far its start was said to be: that never goes back.
    run: String,
    floor: u8,
    ended: bool,
    look: Instant,
    idle: Instant,
    end: Instant,
}

impl Following {
    /// For whom `allow` and `grant` admitted. `last`: what whoever comes again was last told.
    pub(super) fn new(
        app: Arc<AppState>,
        (allow, grant): (&Allow, Grant),
        last: Option<&str>,
        stop: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        let run = allow.target().run_id.clone();
        let floor = last.and_then(|last| event::reached(last, &run));
        Self {
            changes: app.index.subscribe(),
            app,
            grant,
            first: allow.clone(),
            first_counts_until: now + CHECK_INTERVAL,
            stop,
            lines: VecDeque::from([Bytes::from_static(event::BEGIN)]),
            told: None,
            last: last.map(str::to_owned),
            run,
            floor: floor.unwrap_or_default(),
            ended: false,
            look: now + CHECK_INTERVAL,
            idle: now + IDLE,
            end: now + LIFE,
        }
    }

    /// Whether the start ended, and whoever asks was told so.
    pub(super) fn has_nothing_new(&self, allow: &Allow) -> bool {
        let now = self.now(allow);
        now.is_some_and(|(event, _, end)| end.is_some() && Some(event.id) == self.last)
    }

    /// The next line; `None` at the end: of the start, of the right to follow it, of this replica, or of the stream's life.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                self.idle = Instant::now() + IDLE;
                return Some(line);
            }
            if self.ended || Instant::now() >= self.end {
                return None;
            }
            let allow = self.admitted()?;
            self.tell(&allow);
            if !self.lines.is_empty() {
                continue;
            }
            let idle = self.idle;
            tokio::select! {
                biased;
                change = self.change() => change?,
                () = sleep_until(idle) => self.lines.push_back(Bytes::from_static(event::IDLE)),
            }
        }
    }

    /// Waits until it is over, whether anybody reads what is told or not: this replica, the right to follow, or its life has ended.
    pub(super) async fn over(&mut self) {
        while self.admitted().is_some() && self.change().await.is_some() {}
    }

    /// Waits until something may be new; `None`: this replica or the stream's life is over.
    async fn change(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = sleep_until(self.end) => None,
            () = sleep_until(self.look) => {
                self.look = Instant::now() + CHECK_INTERVAL;
                Some(())
            }
            changed = self.changes.changed() => changed.ok(),
        }
    }

    /// What whoever follows is admitted by, if they still are.
    fn admitted(&self) -> Option<Allow> {
        let is_new = || (Instant::now() < self.first_counts_until).then(|| self.first.clone());
        self.app.stays(&self.grant).or_else(is_new)
    }

    /// Puts down what is new.
    fn tell(&mut self, allow: &Allow) {
        let target = allow.target();
        let is_told = |(told, audience): &(Arc<Target>, Audience)| {
            Arc::ptr_eq(told, target) && *audience == allow.audience()
        };
        if self.told.as_ref().is_some_and(is_told) {
            return;
        }
        // While none is named it is not another one.
        if !target.run_id.is_empty() && self.run != target.run_id {
            // A start that was asked for goes on in its first run; another run is another start.
            if !self.run.is_empty() {
                (self.told, self.floor) = (None, 0);
            }
            self.run.clone_from(&target.run_id);
        }
        if self.told.is_none() {
            for over in pages::before(target) {
                if over.percent > self.floor {
                    self.floor = over.percent;
                    let event = Event::of(&target.run_id, &over, over.percent);
                    self.lines.push_back(event.bytes);
                }
            }
        }
        let Some((event, percent, end)) = self.now(allow) else {
            return;
        };
        self.told = Some((Arc::clone(target), allow.audience()));
        self.floor = percent;
        self.ended = end.is_some();
        if Some(&event.id) != self.last.as_ref() {
            self.lines.push_back(event.bytes);
            self.last = Some(event.id);
        }
    }

    /// What is to be told at the moment, how far that is, and whether it is the end. `None`: nobody knows at the moment.
    fn now(&self, allow: &Allow) -> Option<(Event, u8, Option<End>)> {
        let (domain, target) = (self.app.domain().ok()?, allow.target());
        let progress = pages::progress(&domain, target, allow.audience(), self.app.clock.now());
        let percent = match progress.end {
            Some(End::Ready) => progress.percent,
            _ => progress.percent.max(self.floor).min(99),
        };
        Some((
            Event::of(&target.run_id, &progress, percent),
            percent,
            progress.end,
        ))
    }
}
