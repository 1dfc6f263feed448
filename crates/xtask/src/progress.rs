//! Steps -> one line each, with the time since the start (IO, standard error).

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Interval at which a long step reports that it still runs.
const BEAT: Duration = Duration::from_secs(20);

/// Writes progress lines of one command.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// One line: elapsed seconds and the completed step.
    pub(crate) fn line(&self, what: impl Display) {
        eprintln!("{:>7.1}s  {what}", self.start.elapsed().as_secs_f64());
    }

    /// For long steps: a reminder that prints at most one line every 20 seconds, even if it is called more often.
    pub(crate) fn beat(&self) -> Beat<'_> {
        Beat {
            progress: self,
            last: Instant::now(),
        }
    }
}

/// A rate-limited progress line; see [`Progress::beat`].
#[derive(Debug)]
pub(crate) struct Beat<'a> {
    progress: &'a Progress,
    last: Instant,
}

impl Beat<'_> {
    /// Prints the line when enough time has passed since the last one.
    pub(crate) fn line<D: Display>(&mut self, what: impl FnOnce() -> D) {
        if self.last.elapsed() >= BEAT {
            self.last = Instant::now();
            self.progress.line(what());
        }
    }
}
