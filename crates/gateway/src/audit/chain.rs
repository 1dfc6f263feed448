//! records -> lines that each hold the SHA-256 of the one before; lines -> whether none was changed, taken out or put in (pure).

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Record;

/// Value of `log` in every record: what tells its lines from others.
const LOG: &str = "audit";
/// Longest line that is read.
const LONGEST: usize = 256 * 1024;

/// A chain under way.
#[derive(Debug)]
pub(super) struct Chain {
    id: String,
    count: u64,
    last: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    log: &'static str,
    time: String,
    chain: &'a str,
    seq: u64,
    previous: &'a str,
    #[serde(flatten)]
    record: &'a Record,
}

impl Chain {
    /// `id`: different for every process.
    pub(super) fn new(id: String) -> Self {
        Self {
            id,
            count: 0,
            last: String::new(),
        }
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self, record: &Record, time: Timestamp) -> serde_json::Result<String> {
        let line = serde_json::to_string(&Line {
            log: LOG,
            time: format!("{time:.3}"),
            chain: &self.id,
            seq: self.count,
            previous: &self.last,
            record,
        })?;
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

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Chains, one per process.
    pub chains: usize,
    /// Chains whose last record is not the one of an orderly end: a process that runs, was killed, or whose last lines are missing.
    pub open: usize,
}

/// The first line that is not what was written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Broken {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Lines as they are looked at.
#[derive(Debug, Default)]
pub struct Checker {
    line: usize,
    records: u64,
    chains: HashMap<String, Link>,
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
    /// Looks at the next line. Lines of other logs are passed over, and so is what a container runtime puts before a line.
    ///
    /// # Errors
    /// It is not the one that was written after the one before it.
    pub fn look(&mut self, line: &str) -> Result<(), Broken> {
        self.line += 1;
        let line = line.trim_end_matches(['\r', '\n']);
        let Some(start) = line.find('{').filter(|_| line.len() <= LONGEST) else {
            return Ok(());
        };
        let line = &line[start..];
        let read = match serde_json::from_str::<Read>(line) {
            Ok(read) if read.log == LOG => read,
            // A damaged record must not pass for a line of another log.
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
        self.chains.insert(read.chain, here);
        Ok(())
    }

    /// What was found when the last line was looked at.
    pub fn finish(self) -> Verified {
        Verified {
            records: self.records,
            chains: self.chains.len(),
            open: self.chains.values().filter(|link| !link.ended).count(),
        }
    }

    fn broken(&self, problem: String) -> Broken {
        Broken {
            line: self.line,
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(id: &str, count: u64) -> Vec<String> {
        let mut chain = Chain::new(id.to_owned());
        let start = Record::Start {
            version: "1".to_owned(),
        };
        let records = (0..count).map(|count| Record::DeniedMore { count });
        let all = std::iter::once(start).chain(records).chain([Record::End]);
        all.map(|record| chain.line(&record, Timestamp::UNIX_EPOCH).unwrap())
            .collect()
    }

    fn check(lines: &[String]) -> Result<Verified, Broken> {
        let mut checker = Checker::default();
        for line in lines {
            checker.look(line)?;
        }
        Ok(checker.finish())
    }

    #[test]
    fn whole_chains_pass_among_each_other_and_among_lines_of_other_logs() {
        let (one, two) = (lines("a", 3), lines("b", 1));
        let mut mixed = vec![
            "{\"level\":\"INFO\",\"message\":\"gateway starts\"}".to_owned(),
            String::new(),
        ];
        mixed.extend([&one[0], &two[0], &one[1], &two[1], &one[2]].map(Clone::clone));
        mixed.push(format!("2026-01-01T00:00:00.1Z stdout F {}\r\n", one[3]));
        mixed.extend([two[2].clone()]);
        let verified = check(&mixed).unwrap();
        assert_eq!((verified.records, verified.chains, verified.open), (7, 2, 1));
    }

    #[test]
    fn a_line_changed_taken_out_put_in_moved_or_damaged_is_found() {
        let good = lines("a", 4);
        let broken = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = good.clone();
            change(&mut lines);
            check(&lines).unwrap_err().line
        };
        assert_eq!(
            broken(&|lines| lines[2] = lines[2].replace("\"count\":1", "\"count\":7")),
            4
        );
        assert_eq!(broken(&|lines| drop(lines.remove(2))), 3);
        assert_eq!(broken(&|lines| drop(lines.remove(0))), 1);
        assert_eq!(broken(&|lines| lines.swap(1, 2)), 2);
        assert_eq!(broken(&|lines| lines.insert(3, lines[2].clone())), 4);
        assert_eq!(broken(&|lines| lines[3].truncate(40)), 4);
        assert_eq!(broken(&|lines| lines.push(lines[5].clone())), 7);
        assert_eq!(broken(&|lines| lines.extend(self::lines("b", 1).split_off(1))), 7);
    }

    #[test]
    fn lines_that_are_missing_at_the_end_leave_the_chain_open() {
        let mut cut = lines("a", 4);
        assert_eq!(check(&cut).unwrap().open, 0);
        cut.truncate(3);
        assert_eq!(check(&cut).unwrap().open, 1);
    }
}
