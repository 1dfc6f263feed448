//! Records -> linked JSON lines on a writer (IO).
//!
//! A separate thread writes the lines, so that a slow reader blocks no request.
//!
//! - `chain`: makes and checks the lines

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

/// Maximum number of records that wait to be written.
const WAITING: usize = 10_000;
/// Interval at which events without their own record are summarised.
const SUM: Duration = Duration::from_secs(1);
/// Time for writing the waiting records at shutdown.
const LAST: Duration = Duration::from_secs(5);
/// Interval at which shutdown checks whether the writer has finished.
const PAUSE: Duration = Duration::from_millis(5);

/// The audit log of a process. All clones write to the same log. No method waits for the writing.
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

/// Counters and summaries that the server adds to its log.
pub trait Counts: Send + 'static {
    /// The type of the server's records.
    type Record: Serialize + Send + 'static;
    /// Called after a record is written.
    fn written(&self);
    /// Called when `count` records are lost.
    fn lost(&self, count: u64);
    /// Summary records of events without their own record. Called once a second.
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
    /// The process started. First record of its chain.
    Start {
        server: &'static str,
        version: &'static str,
    },
    /// The process ended regularly. Last record of its chain.
    End,
    /// `count` records could not be written in time.
    Lost { count: u64 },
}

impl<R: Serialize + Send + 'static> Log<R> {
    /// Writes one line per record to `out`. `server` names the component.
    ///
    /// # Errors
    /// The system provides no thread or no random bytes.
    pub fn to(
        server: &'static str,
        out: impl Write + Send + 'static,
        counts: impl Counts<Record = R>,
    ) -> std::io::Result<(Self, Writer<R>)> {
        let mut id = [0; 8];
        aws_lc_rs::rand::fill(&mut id).map_err(std::io::Error::other)?;
        let (records, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let mut scribe = LogWriter {
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
    /// Adds a record. A record that finds the queue full is only counted, and the log contains that count.
    pub fn record(&self, record: R) {
        let entry = Entry::Record(Box::new(record), Timestamp::now());
        if self.records.try_send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends the log regularly.
pub struct Writer<R> {
    log: Log<R>,
    thread: JoinHandle<()>,
}

impl<R> Writer<R> {
    /// Writes the waiting records and the `end` record. Blocks until then, but not for ever when the reader is stuck.
    pub fn finish(self) {
        self.finish_within(LAST);
    }

    fn finish_within(self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut is_recorded = false;
        while !self.thread.is_finished() && Instant::now() < end {
            // The queue is full while the reader is slow.
            is_recorded = is_recorded || self.log.records.try_send(Entry::End).is_ok();
            std::thread::sleep(PAUSE);
        }
        if !self.thread.is_finished() {
            tracing::error!("the end of the audit log was not written: no process reads standard output");
        }
    }
}

/// The state of the writer thread.
struct LogWriter<W, C> {
    out: W,
    chain: Chain,
    lost: Arc<AtomicU64>,
    counts: C,
}

impl<W: Write, C: Counts> LogWriter<W, C> {
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
                // The next summary in the log reports this loss.
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
