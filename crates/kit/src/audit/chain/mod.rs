//! Records -> lines linked by SHA-256; lines -> whether the chain is intact (pure).
//!
//! Each line holds the hash of the line before it. The check also compares with chain ends that were noted earlier.
//! The hash has no key: a writer of the whole file can create a new consistent file.
//! Only a chain end that was noted elsewhere protects against that.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Value of `log` in every record. It distinguishes audit lines from other log lines.
const LOG: &str = "audit";
/// Maximum length of a line, for writing and for reading.
const LONGEST: usize = 256 * 1024;

/// The state of a chain that is being written.
#[derive(Debug)]
pub(super) struct Chain {
    id: String,
    count: u64,
    last: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a, R> {
    log: &'static str,
    time: String,
    chain: &'a str,
    seq: u64,
    previous: &'a str,
    #[serde(flatten)]
    record: &'a R,
}

/// Why a record has no line.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLine {
    #[error("a record of {0} bytes is longer than any that is read again ({LONGEST})")]
    TooLong(usize),
    #[error(transparent)]
    NoJson(#[from] serde_json::Error),
}

impl Chain {
    /// Starts a chain. `id` is different for every process.
    pub(super) fn new(id: String) -> Self {
        Self {
            id,
            count: 0,
            last: String::new(),
        }
    }

    /// Returns the next line, without its line end.
    ///
    /// # Errors
    /// The record does not fit into a line that the check would accept. The chain continues with the next record.
    pub(super) fn line(&mut self, record: &impl Serialize, time: Timestamp) -> Result<String, NoLine> {
        let line = serde_json::to_string(&Line {
            log: LOG,
            time: format!("{time:.3}"),
            chain: &self.id,
            seq: self.count,
            previous: &self.last,
            record,
        })?;
        if line.len() > LONGEST {
            return Err(NoLine::TooLong(line.len()));
        }
        self.count += 1;
        self.last = hash(&line);
        Ok(line)
    }
}

fn hash(line: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in digest(&SHA256, line.as_bytes()).as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Position of one record in a chain. Changing an earlier record would change this hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Identifier of the chain.
    pub chain: String,
    /// Number of the record.
    pub seq: u64,
    /// SHA-256 of the line, in hexadecimal digits.
    pub hash: String,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.chain, self.seq, self.hash)
    }
}

impl std::str::FromStr for Point {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        match (
            parts.next(),
            parts.next().map(str::parse),
            parts.next(),
            parts.next(),
        ) {
            (Some(chain), Some(Ok(seq)), Some(hash), None) => Ok(Self {
                chain: chain.to_owned(),
                seq,
                hash: hash.to_owned(),
            }),
            _ => Err("not <chain>/<number>/<hash>, as an earlier check wrote it"),
        }
    }
}

/// Result of checking a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Last record of each chain.
    pub ends: Vec<Point>,
    /// Expected records that the file lacks.
    pub missing: Vec<Point>,
    /// Number of records.
    pub records: u64,
    /// Number of chains, one per process.
    pub chains: usize,
    /// Number of chains without an `end` record. Such a process still runs, was killed, or its last lines are missing.
    pub open: usize,
}

/// The first line that differs from what was written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Broken {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with the line.
    pub problem: String,
}

/// Checks lines one by one.
#[derive(Debug, Default)]
pub struct Checker {
    line: usize,
    records: u64,
    chains: HashMap<String, Link>,
    expected: Vec<Point>,
    /// Beginnings of lines that the container runtime split, by stream.
    cut: HashMap<String, String>,
}

#[derive(Debug)]
struct Link {
    next: u64,
    last: String,
    ended: bool,
}

#[derive(Deserialize)]
struct Read {
    log: String,
    chain: String,
    seq: u64,
    previous: String,
    event: String,
}

impl Checker {
    /// Expects these records, which an earlier check found.
    pub fn expecting(expected: Vec<Point>) -> Self {
        Self {
            expected,
            ..Self::default()
        }
    }

    /// Checks the next line. It skips lines of other logs and the prefix of a container runtime.
    /// It joins a line that the runtime split.
    ///
    /// # Errors
    /// The line does not continue the chain.
    pub fn check(&mut self, line: &str) -> Result<(), Broken> {
        self.line += 1;
        let line = line.trim_end_matches(['\r', '\n']);
        let Some((stream, is_whole, piece)) = piece(line) else {
            return self.check_record(line);
        };
        if self.cut.is_empty() && is_whole {
            return self.check_record(piece);
        }
        let mut all = self.cut.remove(stream).unwrap_or_default();
        // A line that is too long is no audit line, so it is not collected further.
        if all.len() <= LONGEST {
            all.push_str(piece);
        }
        if is_whole {
            return self.check_record(&all);
        }
        self.cut.insert(stream.to_owned(), all);
        Ok(())
    }

    fn check_record(&mut self, line: &str) -> Result<(), Broken> {
        let Some(start) = line.find('{') else {
            return Ok(());
        };
        let line = &line[start..];
        if line.len() > LONGEST {
            return if line.starts_with("{\"log\":\"audit\"") {
                Err(self.broken(format!("longer than any record ({LONGEST} bytes)")))
            } else {
                Ok(())
            };
        }
        let read = match serde_json::from_str::<Read>(line) {
            Ok(read) if read.log == LOG => read,
            // A damaged record must not count as a line of another log.
            Err(error) if line.starts_with("{\"log\":\"audit\"") => {
                return Err(self.broken(format!("cannot be read: {error}")));
            }
            _ => return Ok(()),
        };
        let found = match self.chains.get(&read.chain) {
            None if read.event != "start" || read.seq != 0 || !read.previous.is_empty() => Err(format!(
                "chain {} begins in its middle: the lines before are missing",
                read.chain
            )),
            Some(before) if before.ended => Err(format!("chain {} goes on after its end", read.chain)),
            Some(before) if read.seq != before.next => Err(format!(
                "chain {}: record {} is here, where {} must be",
                read.chain, read.seq, before.next
            )),
            Some(before) if read.previous != before.last => Err(format!(
                "chain {}: the record before this one was changed",
                read.chain
            )),
            None | Some(_) => Ok(()),
        };
        found.map_err(|problem| self.broken(problem))?;
        self.records += 1;
        let here = Link {
            next: read.seq + 1,
            last: hash(line),
            ended: read.event == "end",
        };
        self.expected
            .retain(|point| (&point.chain, point.seq, &point.hash) != (&read.chain, read.seq, &here.last));
        self.chains.insert(read.chain, here);
        Ok(())
    }

    /// The result after the last line.
    pub fn finish(self) -> Verified {
        Verified {
            records: self.records,
            chains: self.chains.len(),
            open: self.chains.values().filter(|link| !link.ended).count(),
            ends: {
                let ends = self.chains.into_iter().map(|(chain, link)| Point {
                    chain,
                    seq: link.next - 1,
                    hash: link.last,
                });
                ends.collect()
            },
            missing: self.expected,
        }
    }

    fn broken(&self, problem: String) -> Broken {
        Broken {
            line: self.line,
            problem,
        }
    }
}

/// Parses a line of a container runtime (`<time> <stream> <P|F> <text>`).
/// Returns the stream, whether the line ends here, and the text.
fn piece(line: &str) -> Option<(&str, bool, &str)> {
    let mut parts = line.splitn(4, ' ');
    let (_time, stream) = (parts.next()?, parts.next()?);
    let (tag, text) = (parts.next()?, parts.next()?);
    let is_ours = matches!(stream, "stdout" | "stderr") && matches!(tag, "F" | "P");
    is_ours.then_some((stream, tag == "F", text))
}

#[cfg(test)]
mod tests;
