//! Records -> lines of the log, also with a blocked writer (tests).

use std::io;
use std::sync::mpsc;

use serde_json::{Value, json};
use testkit::log::Log as Paper;

use super::*;

struct Silent;

impl Counts for Silent {
    type Record = Value;
    fn written(&self) {}
    fn lost(&self, _: u64) {}
}

/// A writer that blocks until the test releases it.
struct Stuck(Receiver<()>, Paper);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stuck(paper: &Paper) -> (mpsc::Sender<()>, Log<Value>, Writer<Value>) {
    let (go, stuck) = mpsc::channel();
    let (log, writer) = Log::to("test", Stuck(stuck, paper.clone()), Silent).unwrap();
    for _ in 0..WAITING + 500 {
        log.record(json!({"event": "something"}));
    }
    (go, log, writer)
}

#[test]
fn a_log_begins_with_its_server_and_ends_in_order() {
    let paper = Paper::default();
    let (log, writer) = Log::to("test", paper.clone(), Silent).unwrap();
    log.record(json!({"event": "something"}));
    writer.finish();
    let text = paper.text();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<_> = records
        .iter()
        .map(|record| record["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["start", "something", "end"]);
    assert_eq!(records[0]["server"], "test");
    let mut checker = chain::Checker::default();
    text.lines().for_each(|line| checker.check(line).unwrap());
    assert_eq!(checker.finish().open, 0);
}

#[test]
fn a_blocked_reader_does_not_block_shutdown_for_ever() {
    let (_go, _log, writer) = stuck(&Paper::default());
    writer.finish_within(Duration::from_millis(50));
}

#[test]
fn recording_never_waits_and_lost_records_are_counted() {
    let paper = Paper::default();
    let (go, _log, writer) = stuck(&paper);
    drop(go);
    writer.finish();
    let text = paper.text();
    let lost = text
        .lines()
        .find(|line| line.contains("\"event\":\"lost\""))
        .unwrap();
    let lost: Value = serde_json::from_str(lost).unwrap();
    assert!(lost["count"].as_u64().unwrap() >= 499, "{lost}");
}
