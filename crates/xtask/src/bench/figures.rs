//! Answers and processor time -> figures (pure).

use std::time::Duration;

use serde::Serialize;

/// One answer, as the load generator logs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// When the request was sent, in microseconds since an arbitrary time.
    sent: u64,
    /// HTTP status.
    pub(super) status: u16,
    /// Microseconds until the answer was complete.
    took: u64,
}

impl Answer {
    /// Milliseconds until the answer was complete.
    pub(super) fn millis(self) -> f64 {
        Duration::from_micros(self.took).as_secs_f64() * 1e3
    }

    /// `sent`, `status` and `took`, separated by tabs; more columns may follow.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        Some(Self {
            sent: fields.next()?.parse().ok()?,
            status: fields.next()?.parse().ok()?,
            took: fields.next()?.parse().ok()?,
        })
    }
}

/// One round: the server's processor time, and every answer.
#[derive(Debug)]
pub(super) struct Round {
    /// Processor time of the server.
    pub(super) cpu: Duration,
    /// In no order.
    pub(super) answers: Vec<Answer>,
}

/// The figures of one server in the reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    /// Processor time of the server per request: median of the rounds, microseconds.
    pub(super) cpu_micros: f64,
    /// Median of the rounds.
    pub(super) requests_per_second: f64,
    /// Median duration within a round, in milliseconds: median of the rounds.
    pub(super) p50_millis: f64,
    /// 99th percentile of the duration within a round, in milliseconds: median of the rounds, so that a round during which the machine was
    /// busy does not count.
    pub(super) p99_millis: f64,
}

/// Figures of these rounds. No round is empty.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and microseconds are far below 2^52"
)]
pub(super) fn summary(rounds: Vec<Round>) -> Figures {
    let cpu = rounds
        .iter()
        .map(|round| round.cpu.as_secs_f64() * 1e6 / round.answers.len() as f64)
        .collect();
    let rates = rounds
        .iter()
        .map(|round| round.answers.len() as f64 / elapsed(&round.answers))
        .collect();
    let mut shares = [Vec::new(), Vec::new()];
    for round in rounds {
        let mut times: Vec<f64> = round.answers.iter().map(|answer| answer.millis()).collect();
        times.sort_by(f64::total_cmp);
        for (of_rounds, percent) in shares.iter_mut().zip([50, 99]) {
            of_rounds.push(share(&times, percent));
        }
    }
    let [p50, p99] = shares.map(median);
    Figures {
        cpu_micros: median(cpu),
        requests_per_second: median(rates),
        p50_millis: p50,
        p99_millis: p99,
    }
}

/// Seconds from the first request to the last answer.
fn elapsed(answers: &[Answer]) -> f64 {
    let first = answers.iter().map(|answer| answer.sent).min().unwrap_or_default();
    let last = answers
        .iter()
        .map(|answer| answer.sent + answer.took)
        .max()
        .unwrap_or_default();
    Duration::from_micros(last - first).as_secs_f64()
}

/// The percentile of a sorted list.
pub(super) fn share(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get(sorted.len() * percent / 100)
        .copied()
        .unwrap_or_default()
}

/// Bytes in the unit of tables.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred sequential requests that took 1, 2, ... 100 ms, of which `cpu` was processor time.
    fn round(cpu: Duration) -> Round {
        let mut sent = 1_000;
        let answers = (1..=100).map(|millis| {
            let answer = Answer {
                sent,
                status: 200,
                took: millis * 1000,
            };
            sent += answer.took;
            answer
        });
        Round {
            answers: answers.collect(),
            cpu,
        }
    }

    #[test]
    fn figures_are_medians_of_rounds() {
        let mut rounds = [1, 2, 30].map(|millis| round(Duration::from_millis(millis)));
        for answer in &mut rounds[2].answers {
            answer.took *= 5;
        }
        let figures = summary(rounds.into());
        assert!((figures.cpu_micros - 20.0).abs() < 1e-9, "{figures:?}");
        assert!(
            (figures.requests_per_second - 100.0 / 5.05).abs() < 1e-9,
            "{figures:?}"
        );
        assert!((figures.p50_millis - 51.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.p99_millis - 100.0).abs() < 1e-9, "{figures:?}");
    }

    #[test]
    fn lines_of_the_load_generator_are_read() {
        assert_eq!(
            Answer::parse("1763624045\t200\t150\tmore"),
            Some(Answer {
                sent: 1_763_624_045,
                status: 200,
                took: 150
            })
        );
        for line in ["", "1\t200", "1\t-1\t5", "a\t200\t5"] {
            assert_eq!(Answer::parse(line), None, "{line}");
        }
    }
}
