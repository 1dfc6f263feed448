//! Lists in a browser -> times that their readers wait (IO).
//!
//! The browser uses both cores, because a reader's browser is not on the portal's machine. A front of the load generator
//! replaces proxy and gateway.
//!
//! - `chromium`: runs the browser
//! - `page.js`: observes a page
//! - `trace`: the longest task (pure)
//! - `report`: figures to text (pure)

mod chromium;
pub(super) mod report;
mod trace;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use self::chromium::{Chromium, Window};
use self::report::{Load, Shown, Update};
use super::objects::{self, Kind};
use super::{Bench, CHANGES, LISTEN, ROWS};
use crate::bench::server::Process;
use crate::cluster::process::wait_until;
use crate::progress::Progress;

/// Observes a page.
const SCRIPT: &str = include_str!("page.js");
/// Loads that count, per list and network.
const LOADS: usize = 5;
/// Seconds of changes on an open list.
const SECONDS: u32 = 10;
/// Of the changes: no other time on a list has it.
const YEAR: u16 = 2130;
/// How much slower the other processor is.
const SLOWER: u32 = 4;

/// Readers: name in the table, kind, port, and seconds in which the last row is to be shown.
const READERS: [(&str, Kind, u16, f64); 2] = [
    ("an owner of 3", Kind::Owner, 8445, 0.6),
    ("an administrator of all", Kind::Admin, 8446, 1.0),
];

impl Bench<'_> {
    /// Loads and updates of each reader's list.
    pub(super) fn browser(&self, progress: &Progress) -> anyhow::Result<Vec<Shown>> {
        let front = self.front()?;
        let (one, other) = self.processors;
        let folder = self.instance.layout().file("chromium");
        let mut chromium = Chromium::start(&format!("{one},{other}"), &folder)?;
        // The first window of all is slower than any later one.
        load(&mut chromium, &url(READERS[0].2), false)?;
        let mut shown = Vec::new();
        for (name, kind, port, limit) in READERS {
            let url = url(port);
            let mut loads = |is_slow| {
                (0..LOADS)
                    .map(|_| load(&mut chromium, &url, is_slow))
                    .collect::<Result<_, _>>()
            };
            let [usual, slow] = [loads(false)?, loads(true)?];
            let update = self.update(&mut chromium, kind, &url)?;
            let list = Shown {
                name,
                limit,
                usual,
                slow,
                update,
            };
            progress.line(format_args!("in a browser, list of {}", list.line()));
            shown.push(list);
        }
        front.finish()?;
        Ok(shown)
    }

    /// Starts what stands for proxy and gateway.
    fn front(&self) -> anyhow::Result<Process> {
        let layout = self.instance.layout();
        let users = READERS.map(|(_, kind, port, _)| json!([address(port), self.user(kind, "/")]));
        let server = layout.kubeconfig(&LISTEN.port().to_string());
        let plan = self.plan(&json!({"server": server, "tls": layout.file("tls"), "people": users}))?;
        let mut front = Process::held(self.generator, &["front", &plan], self.processors.1)?;
        let line = front.line()?;
        ensure!(line == "ready", "the front said {line:?}");
        Ok(front)
    }

    /// An open list while statuses change that it shows.
    fn update(&self, chromium: &mut Chromium, kind: Kind, url: &str) -> anyhow::Result<Update> {
        let mut window = chromium.window(SCRIPT)?;
        let before = loaded(&mut window, url)?;
        let changes = SECONDS * CHANGES;
        let plan = self.plan(&json!({
            "api_server": self.instance.layout().kubeconfig("load"), "workspaces": self.changed(kind), "year": YEAR,
            "rate": CHANGES, "count": changes,
        }))?;
        window.record(&trace::CATEGORIES)?;
        window.value(trace::MARK)?;
        let mut writer = Process::held(self.generator, &["changes", &plan], self.processors.1)?;
        let last = writer.line()?;
        writer.finish()?;
        let is_shown = format!("document.querySelector('time[datetime=\"{last}\"]') !== null");
        let shows = || window.value(&is_shown).is_ok_and(|shows| shows == true);
        ensure!(
            wait_until(Duration::from_secs(10), shows),
            "the browser does not show the last change, {last:?}"
        );
        let longest =
            trace::longest_task(&window.recorded()?).context("the trace of the browser has no task")?;
        let after: Load = serde_json::from_value(window.value("found()")?)?;
        window.close()?;
        Ok(Update {
            changes,
            patches: after.patches - before.patches,
            longest,
            shift: after.shift - before.shift,
        })
    }

    /// Running workspaces among the rows of a reader's list.
    fn changed(&self, kind: Kind) -> Vec<(String, String)> {
        let namespaces = self.args.namespaces;
        let numbers = match kind {
            Kind::Admin => (0..ROWS).collect(),
            Kind::Owner | Kind::Member => objects::owned(0, namespaces),
        };
        let running = numbers.into_iter().filter(|number| objects::runs(*number));
        running.map(|number| objects::named(number, namespaces)).collect()
    }
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn url(port: u16) -> String {
    format!("https://{}/", address(port))
}

/// One load by a browser that has never been there.
fn load(chromium: &mut Chromium, url: &str, is_slow: bool) -> anyhow::Result<Load> {
    let mut window = chromium.window(SCRIPT)?;
    if is_slow {
        let network = json!({
            "offline": false, "latency": report::LATENCY, "downloadThroughput": report::BYTES, "uploadThroughput": report::BYTES,
        });
        window.send("Network.enable", &json!({}))?;
        window.send("Network.emulateNetworkConditions", &network)?;
        window.send("Emulation.setCPUThrottlingRate", &json!({"rate": SLOWER}))?;
    }
    let load = loaded(&mut window, url)?;
    window.close()?;
    Ok(load)
}

fn loaded(window: &mut Window<'_>, url: &str) -> anyhow::Result<Load> {
    window.open(url)?;
    Ok(serde_json::from_value(window.value("loaded()")?)?)
}
