//! records -> lines of JSON on a writer that vouch for each other (IO).
//!
//! `chain` makes and checks the lines. A thread of its own writes them: a reader that is slow holds up nobody.

pub mod chain;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use self::chain::Chain;

/// Records that wait to be written.
const WAITING: usize = 10_000;
/// How often what has no record of its own is summed up.
const SUM: Duration = Duration::from_secs(1);
/// Time for what waits to be written at the end.
const LAST: Duration = Duration::from_secs(5);
/// How often the end is checked.
const PAUSE: Duration = Duration::from_millis(5);

/// The audit log of a process. Every clone writes to the same one; nothing here waits for the writing.
pub struct Log<R> {
    records: SyncSender<Entry<R>>,
    lost: Arc<AtomicU64>,
}

impl<R> Clone for Log<R> {
    fn clone(&self) -> Self {
        Self {
            records: self.records.clone(),
            lost: Arc::clone(&self.lost),
        }
    }
}

/// What the server counts and sums up beside the records that it tells.
pub trait Counts: Send + 'static {
    /// What it tells.
    type Record: Serialize + Send + 'static;
    /// A record is written.
    fn written(&self);
    /// So many records are not.
    fn lost(&self, count: u64);
    /// Records of what has none of its own, once a second.
    fn sums(&mut self) -> Vec<Self::Record> {
        Vec::new()
    }
}

enum Entry<R> {
    Record(Box<R>, Timestamp),
    End,
}

/// Records that every log has.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Common {
    /// The process began; the first record of its chain.
    Start {
        server: &'static str,
        version: &'static str,
    },
    /// The process ended in order; the last record of its chain.
    End,
    /// So many records could not be written in time.
    Lost { count: u64 },
}

impl<R: Serialize + Send + 'static> Log<R> {
    /// Writes to `out`, one line per record. `server`: which one this is.
    ///
    /// # Errors
    /// The system gives no thread or no random bytes.
    pub fn to(
        server: &'static str,
        out: impl Write + Send + 'static,
        counts: impl Counts<Record = R>,
    ) -> std::io::Result<(Self, Writer<R>)> {
        let mut id = [0; 8];
        aws_lc_rs::rand::fill(&mut id).map_err(std::io::Error::other)?;
        let (records, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let mut scribe = Scribe {
            out,
            chain: Chain::new(format!("{:016x}", u64::from_be_bytes(id))),
            lost: Arc::clone(&lost),
            counts,
        };
        let version = env!("CARGO_PKG_VERSION");
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                scribe.write(&Common::Start { server, version }, Timestamp::now());
                scribe.write_all(&waiting);
            })?;
        let log = Self { records, lost };
        let writer = Writer {
            log: log.clone(),
            thread,
        };
        Ok((log, writer))
    }
}

impl<R> Log<R> {
    /// Adds a record. One that finds no room is counted, and the count is in the log.
    pub fn tell(&self, record: R) {
        let entry = Entry::Record(Box::new(record), Timestamp::now());
        if self.records.try_send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends the log in order.
pub struct Writer<R> {
    log: Log<R>,
    thread: JoinHandle<()>,
}

impl<R> Writer<R> {
    /// Writes what waits and the record of the end. Blocks until that is done, but not for a reader that takes nothing.
    pub fn finish(self) {
        self.finish_within(LAST);
    }

    fn finish_within(self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut is_told = false;
        while !self.thread.is_finished() && Instant::now() < end {
            // No room for it while the log is full.
            is_told = is_told || self.log.records.try_send(Entry::End).is_ok();
            std::thread::sleep(PAUSE);
        }
        if !self.thread.is_finished() {
            tracing::error!("the end of the audit log is not written: nobody reads standard output");
        }
    }
}

/// The thread that writes.
struct Scribe<W, C> {
    out: W,
    chain: Chain,
    lost: Arc<AtomicU64>,
    counts: C,
}

impl<W: Write, C: Counts> Scribe<W, C> {
    fn write_all(&mut self, waiting: &Receiver<Entry<C::Record>>) {
        let mut summed = Instant::now();
        loop {
            let entry = waiting.recv_timeout(SUM);
            if summed.elapsed() >= SUM || matches!(entry, Ok(Entry::End)) {
                summed = Instant::now();
                self.sum_up();
            }
            match entry {
                Ok(Entry::Record(record, time)) => self.write(&*record, time),
                Ok(Entry::End) => return self.write(&Common::End, Timestamp::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn sum_up(&mut self) {
        for sum in self.counts.sums() {
            self.write(&sum, Timestamp::now());
        }
        let count = self.lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            self.counts.lost(count);
            self.write(&Common::Lost { count }, Timestamp::now());
        }
    }

    fn write(&mut self, record: &impl Serialize, time: Timestamp) {
        let line = match self.chain.line(record, time) {
            Ok(line) => line,
            Err(error) => {
                // Told by the next sum, in the log itself.
                self.lost.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "a record of the audit log cannot be written");
                return;
            }
        };
        match writeln!(self.out, "{line}").and_then(|()| self.out.flush()) {
            Ok(()) => self.counts.written(),
            Err(error) => {
                self.counts.lost(1);
                tracing::error!(%error, "the audit log cannot be written");
            }
        }
    }
}

#[cfg(test)]
mod tests;
