//! one event stream -> its next line, when there is one (pure but for the clock).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rules::access::Audience;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::event::{self, Event};
use crate::index::Target;
use crate::index::freshness::CHECK_INTERVAL;
use crate::pages::{self, End};
use crate::verify::decision::Allow;
use crate::verify::{AppState, Grant};

/// Interval after which a comment line is sent on an idle stream.
const IDLE: Duration = Duration::from_secs(15);
/// Maximum lifetime of a stream. The browser then reconnects and continues after the last event.
pub const LIFE: Duration = Duration::from_mins(10);

/// A stream that a user follows.
pub(super) struct Following {
    app: Arc<AppState>,
    grant: Grant,
    /// The access that opened the stream.
    first: Allow,
    /// How long that access is enough. A session that was looked up may take this long to arrive by the watch.
    first_counts_until: Instant,
    changes: Receiver<u64>,
    stop: CancellationToken,
    /// Lines to send.
    lines: VecDeque<Bytes>,
    /// The state that the last event was made from.
    last_sent: Option<(Arc<Target>, Audience)>,
    /// Identifier of the last event, sent by this replica or another one.
    last: Option<String>,
    /// The last known run, and the highest percentage sent for it: it never decreases.
    run: String,
    floor: u8,
    ended: bool,
    look: Instant,
    idle: Instant,
    end: Instant,
}

impl Following {
    /// A stream for a user with this access and grant. `last`: identifier of the last event before a reconnect.
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
            last_sent: None,
            last: last.map(str::to_owned),
            run,
            floor: floor.unwrap_or_default(),
            ended: false,
            look: now + CHECK_INTERVAL,
            idle: now + IDLE,
            end: now + LIFE,
        }
    }

    /// Whether the start has ended and the client has received that event.
    pub(super) fn has_nothing_new(&self, allow: &Allow) -> bool {
        let now = self.now(allow);
        now.is_some_and(|(event, _, end)| end.is_some() && Some(event.id) == self.last)
    }

    /// The next line. `None` ends the stream: the start, the right to follow it, this replica or the stream's lifetime has ended.
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
            self.mark_sent(&allow);
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

    /// Waits until this replica, the right to follow or the lifetime ends, whether the client reads or not.
    pub(super) async fn over(&mut self) {
        while self.admitted().is_some() && self.change().await.is_some() {}
    }

    /// Waits for a possible change; `None`: this replica or the stream's lifetime has ended.
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

    /// The access that admits the user now, if any.
    fn admitted(&self) -> Option<Allow> {
        let is_new = || (Instant::now() < self.first_counts_until).then(|| self.first.clone());
        self.app.stays(&self.grant).or_else(is_new)
    }

    /// Queues new events.
    fn mark_sent(&mut self, allow: &Allow) {
        let target = allow.target();
        let is_sent = |(last_sent, audience): &(Arc<Target>, Audience)| {
            Arc::ptr_eq(last_sent, target) && *audience == allow.audience()
        };
        if self.last_sent.as_ref().is_some_and(is_sent) {
            return;
        }
        // While the target has no run, the run has not changed.
        if !target.run_id.is_empty() && self.run != target.run_id {
            // A requested start continues in its first run. Another run is another start.
            if !self.run.is_empty() {
                (self.last_sent, self.floor) = (None, 0);
            }
            self.run.clone_from(&target.run_id);
        }
        if self.last_sent.is_none() {
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
        self.last_sent = Some((Arc::clone(target), allow.audience()));
        self.floor = percent;
        self.ended = end.is_some();
        if Some(&event.id) != self.last.as_ref() {
            self.lines.push_back(event.bytes);
            self.last = Some(event.id);
        }
    }

    /// The present event, its percentage and whether it is the last. `None`: the state is unknown at the moment.
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
