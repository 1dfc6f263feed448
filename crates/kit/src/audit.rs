//! Records -> JSON lines on a writer (IO).
//!
//! A thread of its own writes the lines, so that a slow reader blocks no request.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Value of `log` in every record. It distinguishes audit lines from other log lines.
const LOG: &str = "audit";
/// Maximum number of records that wait to be written.
const WAITING: usize = 10_000;

/// The audit log of a process. All clones write to the same log. No method waits for the writing.
#[derive(Clone, Debug)]
pub struct Log {
    lines: NonBlocking,
    dropped: ErrorCounter,
    /// Number of dropped records that `counters` has.
    counted: Arc<AtomicUsize>,
    counters: Counters,
}

/// Counters of a log.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Records that were written.
    pub records: Counter,
    /// Records that found the queue full, or could not be written.
    pub lost: Counter,
}

/// Writes the records that wait when it is dropped. That takes a second at most, also if nobody reads.
#[must_use]
pub struct Writer(#[expect(dead_code, reason = "it acts when it is dropped")] WorkerGuard);

#[derive(Serialize)]
struct Line<'a, R> {
    log: &'static str,
    time: String,
    #[serde(flatten)]
    record: &'a R,
}

/// Counts the lines that are written. The thread that writes reports no error.
struct Counted<W> {
    out: W,
    counters: Counters,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.out.write_all(line) {
            Ok(()) => self.counters.records.inc(),
            Err(error) => {
                tracing::error!(%error, "the audit log cannot be written");
                self.counters.lost.inc()
            }
        };
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Log {
    /// Writes one line per record to `out`.
    pub fn to(out: impl Write + Send + 'static, counters: Counters) -> (Self, Writer) {
        let out = Counted {
            out,
            counters: counters.clone(),
        };
        let (lines, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(WAITING)
            .thread_name("audit")
            .finish(out);
        let dropped = lines.error_counter();
        let log = Self {
            lines,
            dropped,
            counted: Arc::default(),
            counters,
        };
        (log, Writer(guard))
    }

    /// Adds a record, with the time of now. A record that finds the queue full is only counted.
    pub fn record(&self, record: &impl Serialize) {
        let line = Line {
            log: LOG,
            time: format!("{:.3}", Timestamp::now()),
            record,
        };
        match serde_json::to_vec(&line) {
            Ok(mut line) => {
                line.push(b'\n');
                // It does not fail: a full queue is counted below.
                let _ = self.lines.clone().write_all(&line);
            }
            Err(error) => {
                tracing::error!(%error, "a record of the audit log cannot be written");
                self.counters.lost.inc();
            }
        }
        let dropped = self.dropped.dropped_lines();
        let before = self.counted.fetch_max(dropped, Ordering::Relaxed);
        self.counters.lost.inc_by(dropped.saturating_sub(before) as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use serde_json::{Value, json};

    use super::*;

    /// A writer whose first line waits until the test lets it go on.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // It fails when the test has let go.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_record_is_one_line_that_says_it_is_of_the_audit_log_and_when() {
        let out = testkit::log::Log::default();
        let counters = Counters::default();
        let (log, writer) = Log::to(out.clone(), counters.clone());
        log.record(&json!({"event": "one", "user": "a\nb"}));
        log.record(&json!({"event": "two"}));
        drop(writer);
        let text = out.text();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(
            (&lines[0]["log"], &lines[0]["user"]),
            (&json!("audit"), &json!("a\nb"))
        );
        assert!(
            lines[1]["time"].as_str().unwrap().parse::<Timestamp>().is_ok(),
            "{text}"
        );
        assert_eq!((counters.records.get(), counters.lost.get()), (2, 0));
    }

    #[test]
    fn records_that_nobody_takes_block_nothing_and_are_counted() {
        let (go_on, stuck) = channel();
        let counters = Counters::default();
        let (log, writer) = Log::to(Stuck(stuck), counters.clone());
        for number in 0..WAITING + 100 {
            log.record(&json!({"event": number}));
        }
        let lost = counters.lost.get();
        assert!((90..=100).contains(&lost), "{lost}");
        drop(go_on);
        drop(writer);
        while counters.records.get() + lost < WAITING as u64 + 100 {
            std::thread::yield_now();
        }
        assert_eq!(counters.lost.get(), lost);
    }

    /// A writer that nobody reads.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn records_that_cannot_be_written_are_counted() {
        let counters = Counters::default();
        let (log, writer) = Log::to(Closed, counters.clone());
        log.record(&json!({"event": "one"}));
        drop(writer);
        assert_eq!((counters.records.get(), counters.lost.get()), (0, 1));
    }
}
