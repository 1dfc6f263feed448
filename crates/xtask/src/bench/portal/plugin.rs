//! Commands of the plugin -> their durations (IO).

use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::Bench;
use super::objects;
use super::report::Command;
use crate::exec::Cmd;

/// Calls of each command.
const CALLS: usize = 5;

impl Bench<'_> {
    /// Commands of the plugin: name in the table, limit in seconds, and seconds that each call took.
    pub(super) fn plugin(&self) -> anyhow::Result<Vec<Command>> {
        let program = self.args.plugin.as_deref().context("no plugin")?;
        let (namespace, name) = objects::named(1, self.args.namespaces);
        let explain = ["explain", &name, "-n", &namespace];
        let commands: [(&str, &[&str], f64); 3] = [
            ("version --client", &["version", "--client"], 0.03),
            ("list --all-namespaces", &["list", "--all-namespaces"], 1.5),
            ("explain", &explain, 2.0),
        ];
        let mut measured = Vec::new();
        for (command, args, limit) in commands {
            let mut seconds = Vec::new();
            for _ in 0..CALLS {
                let call = Cmd::new(program)
                    .args(args)
                    .env("KUBECONFIG", self.instance.layout().kubeconfig("load"));
                let begin = Instant::now();
                let text = call.output()?;
                seconds.push(begin.elapsed().as_secs_f64());
                let rows = text.lines().count();
                ensure!(
                    args[0] != "list" || rows > self.args.workspaces,
                    "the plugin listed {rows} rows"
                );
            }
            measured.push(Command {
                name: command,
                seconds,
                limit,
            });
        }
        Ok(measured)
    }
}
