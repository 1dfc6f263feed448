//! Figures of rounds -> JSON and tables (pure).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::audit::{Calls, is_upkeep};
use super::phases::Times;
use super::requests::Phase;
use super::{NAME as OPERATOR, TURNS_EACH};
use crate::bench::figures::mebibytes;

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Name of the processor, and how many.
    pub(super) machine: String,
    pub(super) rounds: Vec<Round>,
    pub(super) stopped: Option<Stopped>,
}

/// One number of workspaces.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) count: usize,
    pub(super) phases: Vec<Measured>,
    /// Calls within the idle minute.
    pub(super) idle: Calls,
    /// Peak memory of the operator, bytes.
    pub(super) peak_memory: u64,
}

/// Duration and processor time of a phase on one side: mean of its turns.
#[derive(Debug)]
pub(super) struct Took {
    pub(super) times: Times,
    /// Processor time of each process.
    pub(super) cpu: BTreeMap<String, Duration>,
}

/// One phase, and the same without the operator.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) phase: Phase,
    pub(super) workspaces: Took,
    pub(super) bare: Took,
    pub(super) promised: Took,
    /// Of the operator, in all turns.
    pub(super) calls: Calls,
}

/// Many stopped workspaces.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) count: usize,
    pub(super) took: Duration,
    /// Memory of an operator that ran while they were created, bytes.
    pub(super) peak_memory: u64,
    /// Memory of an operator that started afterwards, bytes.
    pub(super) restarted_memory: u64,
}

impl Round {
    /// Seconds until so many bare objects were ready.
    fn bare_creation(&self) -> f64 {
        let creation = self.phases.iter().find(|it| it.phase == Phase::Create);
        creation.map_or(f64::NAN, |it| it.bare.seconds())
    }
}

impl Measured {
    fn ratio(&self) -> f64 {
        self.workspaces.seconds() / self.bare.seconds()
    }

    /// Of the operator, milliseconds.
    fn cpu_each(&self, count: usize) -> f64 {
        let used = self.workspaces.cpu.get(OPERATOR).copied();
        millis(used.unwrap_or_default()) / per(count, 1)
    }

    /// Calls per workspace, the most frequent first, without watches and leases.
    fn calls_each(&self, count: usize) -> Vec<(&str, f64)> {
        let mut calls: Vec<(&str, f64)> = self
            .calls
            .iter()
            .filter(|(call, _)| !is_upkeep(call))
            .map(|(call, number)| (call.as_str(), per(*number, count * TURNS_EACH)))
            .collect();
        calls.sort_by(|a, b| b.1.total_cmp(&a.1));
        calls
    }

    fn json(&self, count: usize) -> Value {
        json!({
            "phase": self.phase.name(),
            "seconds": self.workspaces.seconds(),
            "p50Millis": share(&self.workspaces.times, 50),
            "p99Millis": share(&self.workspaces.times, 99),
            "bareSeconds": self.bare.seconds(),
            "bareP50Millis": share(&self.bare.times, 50),
            "bareP99Millis": share(&self.bare.times, 99),
            "promisedSeconds": self.promised.seconds(),
            "ratio": self.ratio(),
            "operatorCpuMillisEach": self.cpu_each(count),
            "cpuMillisEach": self.workspaces.cpu_json(count),
            "bareCpuMillisEach": self.bare.cpu_json(count),
            "promisedCpuMillisEach": self.promised.cpu_json(count),
            "callsEach": self.calls_each(count),
        })
    }
}

impl Took {
    /// Mean of several turns. The durations of single objects are those of all turns.
    pub(super) fn mean(turns: Vec<Self>) -> Self {
        let number = u32::try_from(turns.len().max(1)).unwrap_or(u32::MAX);
        let mut each: Vec<Duration> = Vec::new();
        let mut cpu: BTreeMap<String, Duration> = BTreeMap::new();
        let mut all = Duration::ZERO;
        for turn in turns {
            all += turn.times.all;
            each.extend(turn.times.each);
            for (name, used) in turn.cpu {
                *cpu.entry(name).or_default() += used / number;
            }
        }
        each.sort_unstable();
        Self {
            times: Times {
                all: all / number,
                each,
            },
            cpu,
        }
    }

    fn seconds(&self) -> f64 {
        self.times.all.as_secs_f64()
    }

    fn cpu_json(&self, count: usize) -> Value {
        let each = self.cpu.iter();
        each.map(|(name, used)| (name.clone(), json!(millis(*used) / per(count, 1))))
            .collect()
    }

    /// Of all processes, milliseconds.
    fn cpu_each(&self, count: usize) -> f64 {
        millis(self.cpu.values().sum()) / per(count, 1)
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .map(|round| {
                let phases: Vec<_> = round.phases.iter().map(|phase| phase.json(round.count)).collect();
                json!({"count": round.count, "phases": phases, "idleMinute": round.idle, "peakMebibytes": mebibytes(round.peak_memory)})
            })
            .collect();
        let stopped = self.stopped.as_ref().map(|stopped| {
            json!({
                "count": stopped.count,
                "seconds": stopped.took.as_secs_f64(),
                "peakMebibytes": mebibytes(stopped.peak_memory),
                "restartedMebibytes": mebibytes(stopped.restarted_memory),
            })
        });
        let report = json!({"machine": self.machine, "rounds": rounds, "stopped": stopped});
        format!("{report:#}\n")
    }

    pub(super) fn table(&self) -> String {
        let mut text = format!("{}.\n\n", self.machine);
        text.push_str(
            "| workspaces | phase | s | bare s | ratio | to a bare creation | p50 / p99 s | bare p50 / p99 s | operator CPU ms each | calls each |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
        for round in &self.rounds {
            for phase in &round.phases {
                let calls: f64 = phase
                    .calls_each(round.count)
                    .iter()
                    .map(|(_, number)| number)
                    .sum();
                let both = |times| format!("{:.1} / {:.1}", share(times, 50) / 1e3, share(times, 99) / 1e3);
                let _ = writeln!(
                    text,
                    "| {} | {} | {:.1} | {:.1} | **{:.2}** | {:.2} | {} | {} | {:.1} | {calls:.1} |",
                    round.count,
                    phase.phase.name(),
                    phase.workspaces.seconds(),
                    phase.bare.seconds(),
                    phase.ratio(),
                    phase.workspaces.seconds() / round.bare_creation(),
                    both(&phase.workspaces.times),
                    both(&phase.bare.times),
                    phase.cpu_each(round.count),
                );
            }
        }
        text.push('\n');
        text.push_str(
            "| workspaces | phase | s: ours / promised / bare | ours to promised | promised to bare | CPU ms each, all processes |\n\
             |---|---|---|---|---|---|\n",
        );
        for round in &self.rounds {
            for phase in &round.phases {
                let (ours, promised, bare) = (&phase.workspaces, &phase.promised, &phase.bare);
                let _ = writeln!(
                    text,
                    "| {} | {} | {:.1} / {:.1} / {:.1} | {:.2} | {:.2} | {:.0} / {:.0} / {:.0} |",
                    round.count,
                    phase.phase.name(),
                    ours.seconds(),
                    promised.seconds(),
                    bare.seconds(),
                    ours.seconds() / promised.seconds(),
                    promised.seconds() / bare.seconds(),
                    ours.cpu_each(round.count),
                    promised.cpu_each(round.count),
                    bare.cpu_each(round.count),
                );
            }
        }
        text.push('\n');
        for round in &self.rounds {
            let idle: Vec<String> = round
                .idle
                .iter()
                .filter(|(call, _)| !is_upkeep(call))
                .map(|(call, number)| format!("{number} {call}"))
                .collect();
            let idle = if idle.is_empty() {
                "no call but leases and watches".to_owned()
            } else {
                idle.join(", ")
            };
            let _ = writeln!(
                text,
                "- {} workspaces: {:.0} MiB at most; in the idle minute {idle}.",
                round.count,
                mebibytes(round.peak_memory)
            );
        }
        if let Some(stopped) = &self.stopped {
            let _ = writeln!(
                text,
                "- {} stopped workspaces, made in {:.0} s: {:.0} MiB at most; {:.0} MiB after a restart of the operator.",
                stopped.count,
                stopped.took.as_secs_f64(),
                mebibytes(stopped.peak_memory),
                mebibytes(stopped.restarted_memory)
            );
        }
        if let Some(round) = self.rounds.last() {
            for phase in &round.phases {
                let calls = phase.calls_each(round.count);
                let calls: Vec<_> = calls.iter().filter(|(_, number)| *number >= 0.01).collect();
                let calls: Vec<String> = calls
                    .iter()
                    .map(|(call, number)| format!("{number:.2} `{call}`"))
                    .collect();
                let _ = writeln!(
                    text,
                    "- Calls per workspace, {}: {}.",
                    phase.phase.name(),
                    calls.join(", ")
                );
            }
        }
        text
    }
}

/// A percentile, milliseconds.
fn share(times: &Times, percent: usize) -> f64 {
    let index = (times.each.len() * percent / 100).min(times.each.len().saturating_sub(1));
    times.each.get(index).copied().map_or(0.0, millis)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per(number: usize, count: usize) -> f64 {
    number as f64 / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(seconds: u64) -> Times {
        Times {
            all: Duration::from_secs(seconds),
            each: (1..=100).map(Duration::from_millis).collect(),
        }
    }

    fn took(seconds: u64, operator: u64) -> Took {
        let used = [(OPERATOR, operator), ("kube-apiserver", 1000)];
        let used = used.map(|(name, used)| (name.to_owned(), Duration::from_millis(used)));
        Took {
            times: times(seconds),
            cpu: used.into(),
        }
    }

    fn report() -> Report {
        let calls = [("patch workspaces/status", 40), ("watch pods", 3)];
        let calls = calls.map(|(call, number)| (call.to_owned(), number)).into();
        Report {
            machine: "2 cores".to_owned(),
            rounds: vec![Round {
                count: 10,
                phases: vec![
                    Measured {
                        phase: Phase::Create,
                        workspaces: took(13, 30),
                        bare: took(10, 0),
                        promised: took(12, 0),
                        calls,
                    },
                    Measured {
                        phase: Phase::Delete,
                        workspaces: took(6, 10),
                        bare: took(5, 0),
                        promised: took(5, 0),
                        calls: Calls::new(),
                    },
                ],
                idle: [("update leases".to_owned(), 6), ("get pods".to_owned(), 1)].into(),
                peak_memory: 32 << 20,
            }],
            stopped: None,
        }
    }

    #[test]
    fn the_table_sets_each_phase_beside_the_bare_objects() {
        let table = report().table();
        assert!(
            table.contains(
                "| 10 | create | 13.0 | 10.0 | **1.30** | 1.30 | 0.1 / 0.1 | 0.1 / 0.1 | 3.0 | 2.0 |"
            ),
            "{table}"
        );
        assert!(
            table.contains("| 10 | delete | 6.0 | 5.0 | **1.20** | 0.60 |"),
            "{table}"
        );
        assert!(
            table.contains("| 10 | create | 13.0 / 12.0 / 10.0 | 1.08 | 1.20 | 103 / 100 / 100 |"),
            "{table}"
        );
        assert!(
            table.contains("32 MiB at most; in the idle minute 1 get pods."),
            "{table}"
        );
        assert!(
            table.contains("create: 2.00 `patch workspaces/status`."),
            "{table}"
        );
    }

    #[test]
    fn turns_are_reported_by_their_mean() {
        let mean = Took::mean(vec![took(10, 20), took(14, 40)]);
        assert_eq!(mean.times.all, Duration::from_secs(12));
        assert_eq!(mean.times.each.len(), 200);
        assert!(mean.times.each.is_sorted());
        assert_eq!(mean.cpu[OPERATOR], Duration::from_millis(30));
    }

    #[test]
    fn the_json_has_all_figures() {
        let json: Value = serde_json::from_str(&report().json()).unwrap();
        let phase = &json["rounds"][0]["phases"][0];
        assert_eq!(phase["operatorCpuMillisEach"], 3.0);
        assert_eq!(phase["p99Millis"], 100.0);
        assert_eq!(phase["bareCpuMillisEach"]["kube-apiserver"], 100.0);
        assert_eq!(phase["callsEach"][0][0], "patch workspaces/status");
    }
}
