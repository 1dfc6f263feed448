//! Open lists -> their cost, and the time until they show a change (IO).

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::objects::{self, Kind};
use super::report::{Lists, Usage};
use super::{Bench, CHANGES, LISTEN, ROWS, SERVER};
use crate::args::BenchPortal;
use crate::bench::load::read;
use crate::bench::operator::audit::is_upkeep;
use crate::bench::server::Process;

impl Bench<'_> {
    /// Lists that are open without changes, and with changes.
    pub(super) fn lists(&mut self, kind: Kind, name: &'static str) -> anyhow::Result<Lists> {
        let BenchPortal {
            workspaces,
            namespaces,
            streams,
            seconds,
            ..
        } = *self.args;
        let users: Vec<_> = (0..streams)
            .map(|number| kind.user(number, namespaces, "/events?view=list"))
            .collect();
        let running = |numbers: Range<usize>| -> Vec<_> {
            numbers
                .filter(|number| objects::runs(*number))
                .map(|number| objects::named(number, namespaces))
                .collect()
        };
        // One user of each namespace has an open list. Administrators see the first rows of all.
        let (shown, others, year) = match kind {
            Kind::Admin => (running(0..ROWS), running(workspaces / 2..workspaces), 2132),
            _ => (running(0..workspaces), vec![], 2131),
        };
        let layout = self.instance.layout();
        let plan = self.plan(&json!({
            "server": layout.kubeconfig(&LISTEN.port().to_string()), "api_server": layout.kubeconfig("load"),
            "people": users, "shown": shown, "others": others, "year": year, "rate": CHANGES,
            "seconds": [seconds, seconds], "log": self.log(),
        }))?;
        let mut generator = Process::held(self.generator, &["streams", &plan], self.processors.1)?;
        let mut samples = Vec::new();
        for expected in ["open", "idle", "changed"] {
            let line = generator.line()?;
            ensure!(
                line == expected,
                "the load generator said {line:?} in place of {expected}"
            );
            samples.push((Instant::now(), self.cpu()?, self.calls()?));
        }
        generator.finish()?;
        let usage = |from: usize| {
            let ((begin, cpu, _), (end, used, calls)) = (&samples[from], &samples[from + 1]);
            let seconds = end.duration_since(*begin).as_secs_f64();
            let share = |of: usize| used[of].saturating_sub(cpu[of]).as_secs_f64() / seconds;
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            let calls_per_second = *calls as f64 / seconds;
            Usage {
                portal_cores: share(0),
                api_server_cores: share(1),
                calls_per_second,
            }
        };
        let answers = read(&self.log())?;
        let mut millis: Vec<f64> = answers.iter().map(|answer| answer.millis()).collect();
        millis.sort_by(f64::total_cmp);
        Ok(Lists {
            name,
            idle: usage(0),
            changing: usage(1),
            millis,
            lost: answers.iter().filter(|answer| answer.status != 200).count(),
            memory: self.instance.memory(SERVER)?,
        })
    }

    fn cpu(&self) -> anyhow::Result<[Duration; 2]> {
        Ok([self.instance.cpu(SERVER)?, self.instance.cpu("kube-apiserver")?])
    }

    /// Calls of the portal since the last time, without watches.
    fn calls(&mut self) -> anyhow::Result<usize> {
        let calls = self.calls.calls()?;
        let others = calls.iter().filter(|(call, _)| !is_upkeep(call));
        Ok(others.map(|(_, number)| number).sum())
    }
}
