//! Server process and requests -> processor time and durations, measured with h2load (IO).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

/// Processor of the measured server, and that of the load.
const PROCESSORS: [&str; 2] = ["0", "1"];
/// Most time of a round, in seconds.
const LIMIT: &str = "180";

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 with TLS.
    Tls,
    /// HTTP/2 with TLS.
    Http2,
}

/// A request that a server understands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Sent with POST; none: GET.
    pub(crate) body: Option<String>,
}

/// What a server prints when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub(crate) address: String,
    /// By name of the case.
    pub(crate) questions: BTreeMap<String, Question>,
}

/// A server process on its own processor; ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Its folder in /proc.
    process: PathBuf,
    transport: Transport,
    address: String,
    pub(crate) questions: BTreeMap<String, Question>,
}

/// The load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    connections: u32,
    /// Requests at a time on each.
    streams: u32,
    /// Requests of a round.
    pub(crate) count: u32,
    /// Requests a second on each connection, however fast the answers; none: as fast as they are answered.
    rate: Option<u32>,
}

impl Load {
    /// Requests as fast as they are answered.
    pub(crate) fn saturated(connections: u32, streams: u32) -> Self {
        Self {
            connections,
            streams,
            count: 0,
            rate: None,
        }
    }

    pub(crate) fn count(self, count: u32) -> Self {
        Self { count, ..self }
    }

    pub(crate) fn rate(self, rate: u32) -> Self {
        let rate = Some(rate);
        Self { rate, ..self }
    }
}

/// What one round took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Round {
    /// Microseconds of the processor per request.
    pub(crate) cpu: f64,
    /// Median, in milliseconds.
    pub(crate) p50: f64,
    /// 99th percentile, in milliseconds.
    pub(crate) p99: f64,
    /// Requests a second.
    pub(crate) rate: f64,
}

impl Server {
    /// Starts this program again as a server, and waits until it listens.
    pub(crate) fn start(name: &str, transport: Transport, bytes: usize) -> anyhow::Result<Self> {
        let how = clap::ValueEnum::to_possible_value(&transport).context("a hidden transport")?;
        let mut child = Command::new("taskset")
            .args(["--cpu-list", PROCESSORS[0]])
            .arg(std::env::current_exe()?)
            .args(["serve", name, how.get_name(), &bytes.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run taskset")?;
        let mut line = String::new();
        let says = child.stdout.take().context("no output")?;
        BufReader::new(says).read_line(&mut line)?;
        let announced: Announced = serde_json::from_str(&line)
            .with_context(|| format!("the server {name} did not start: {line}"))?;
        let mut server = Self {
            process: format!("/proc/{}", child.id()).into(),
            child,
            transport,
            address: announced.address,
            questions: announced.questions,
        };
        // The door listens when its application does.
        while TcpStream::connect(&server.address).is_err() {
            ensure!(server.child.try_wait()?.is_none(), "the server {name} ended");
            sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// One round of a question. The answers have this status.
    pub(crate) fn round(&self, question: &Question, load: Load, status: u16) -> anyhow::Result<Round> {
        let folder = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let [log, data] = ["log", "data"].map(|name| folder.join(name));
        let _ = fs::remove_file(&log);
        let mut command = Command::new("taskset");
        command
            .args([
                "--cpu-list",
                PROCESSORS[1],
                "timeout",
                LIMIT,
                "h2load",
                "--threads=1",
            ])
            .arg(format!("--requests={}", load.count))
            .arg(format!("--clients={}", load.connections))
            .arg(format!("--max-concurrent-streams={}", load.streams))
            .arg(format!("--log-file={}", log.display()));
        if let Some(rate) = load.rate {
            command.arg(format!("--rps={rate}"));
        }
        for (name, value) in &question.headers {
            let name = match (name.as_str(), self.transport) {
                ("host", Transport::Http2) => ":authority",
                // Over HTTP/1.1 h2load sends the address as Host by itself. A second one would be refused.
                ("host", _) => continue,
                (name, _) => name,
            };
            command.arg(format!("--header={name}: {value}"));
        }
        if let Some(body) = &question.body {
            fs::write(&data, body)?;
            command.arg(format!("--data={}", data.display()));
        }
        if self.transport != Transport::Http2 {
            command.arg("--h1");
        }
        let scheme = if self.transport == Transport::Plain {
            "http"
        } else {
            "https"
        };
        command.arg(format!("{scheme}://{}{}", self.address, question.path));
        let before = on_processor(&self.process)?;
        let output = command.output().context("cannot run h2load")?;
        let used = on_processor(&self.process)?.saturating_sub(before);
        ensure!(
            output.status.success(),
            "h2load failed (Debian's package nghttp2-client has it): {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_dir_all(&folder);
        summary(&lines, used, load.count, status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of all threads of a process, by its folder in /proc.
pub(crate) fn on_processor(process: &Path) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(process.join("task"))? {
        let text =
            fs::read_to_string(thread?.path().join("schedstat")).context("the kernel has no schedstat")?;
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// The figures of a round by h2load's log: start in microseconds, status, duration in microseconds.
fn summary(lines: &str, used: Duration, count: u32, status: u16) -> anyhow::Result<Round> {
    let mut took = Vec::new();
    let (mut begin, mut end) = (u64::MAX, 0);
    for line in lines.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().and_then(|field| field.parse::<u64>().ok());
        let (Some(start), Some(answered), Some(micros)) = (field(), field(), field()) else {
            bail!("h2load wrote {line:?}");
        };
        ensure!(
            answered == u64::from(status),
            "an answer has status {answered}, must be {status}"
        );
        (begin, end) = (begin.min(start), end.max(start + micros));
        took.push(Duration::from_micros(micros).as_secs_f64() * 1e3);
    }
    ensure!(
        took.len() == count as usize,
        "{} of {count} requests were answered",
        took.len()
    );
    Ok(Round {
        cpu: used.as_secs_f64() * 1e6 / f64::from(count),
        p50: percentile(&mut took, 50),
        p99: percentile(&mut took, 99),
        rate: f64::from(count) / Duration::from_micros(end.saturating_sub(begin)).as_secs_f64(),
    })
}

/// A percentile of durations; sorts them.
pub(crate) fn percentile(took: &mut [f64], percent: usize) -> f64 {
    took.sort_by(f64::total_cmp);
    let index = took.len().saturating_sub(1).min(took.len() * percent / 100);
    took.get(index).copied().unwrap_or(f64::NAN)
}

/// The median of each figure.
pub(crate) fn median(rounds: &[Round]) -> Round {
    let of = |figure: fn(&Round) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        percentile(&mut figures, 50)
    };
    Round {
        cpu: of(|round| round.cpu),
        p50: of(|round| round.p50),
        p99: of(|round| round.p99),
        rate: of(|round| round.rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_summed_up_and_other_statuses_and_missing_answers_are_errors() {
        let lines = "1000000\t200\t1000\n1500000\t200\t3000\n1997000\t200\t2000\n";
        let used = Duration::from_micros(30);
        let round = summary(lines, used, 3, 200).unwrap();
        assert!((round.cpu - 10.0).abs() < 1e-6, "{round:?}");
        assert!(
            (round.p50 - 2.0).abs() < 1e-6 && (round.p99 - 3.0).abs() < 1e-6,
            "{round:?}"
        );
        assert!((round.rate - 3.0 / 0.999).abs() < 1e-6, "{round:?}");
        assert!(summary(lines, used, 4, 200).is_err());
        assert!(summary(lines, used, 3, 302).is_err());
    }
}
