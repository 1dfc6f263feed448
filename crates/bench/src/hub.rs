//! JupyterHub with three spawners in turns -> what ours costs beside `KubeSpawner` (IO).
//!
//! hub/measure.py starts the hubs, and an API server in which all is ready at once (hub/cluster.py). So these are figures of hubs alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::page::{Figure, Target};

/// In the cache: Python with JupyterHub and `KubeSpawner`, which the tests of our spawner have, too.
const PYTHON: &str = "jupyterhub-6.1-tests/bin/python";
/// Servers that start at once.
const BATCH: usize = 200;
/// Servers that run in the last turn of each spawner.
const MOST: usize = 1_000;
/// Events in the namespace of our workspaces.
const EVENTS: usize = 35_000;

/// Medians by spawner, and by step and what was measured.
type Measured = BTreeMap<String, BTreeMap<String, f64>>;

pub(crate) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let cache = testkit::cache::folder();
    let python = cache.join(PYTHON);
    ensure!(
        python.exists(),
        "no {}; run `./justw test` once",
        python.display()
    );
    let output = Command::new(python)
        .arg("-B")
        .arg(checkout.join("crates/bench/hub/measure.py"))
        .args([&cache.join("bin"), &checkout])
        .args([rounds, BATCH, MOST, EVENTS].map(|number| number.to_string()))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "hub/measure.py: {}", output.status);
    figures(&serde_json::from_slice(&output.stdout)?)
}

/// What a row shows of a measured figure.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// So many times.
    Times(f64),
    /// What is beyond the spawner that starts nothing, in thousandths.
    Beyond,
}

fn figures(measured: &Measured) -> anyhow::Result<Vec<Figure>> {
    use Shown::{Beyond, Times};
    use Target::{AtMost, Ratio};
    let get = |side: &str, what: &str| {
        let found = measured.get(side).and_then(|figures| figures.get(what));
        found.copied().with_context(|| format!("no {what} of {side}"))
    };
    let (as_it_is, one, none) = (Times(1.0), Some(AtMost(1.0)), Some(AtMost(0.0)));
    let (long, same) = (Some(Ratio(1.3)), Some(Ratio(1.0)));
    let starts = format!("{BATCH} starts at once until all are ready, s");
    let stops = format!("{BATCH} stops at once, s");
    let again = format!("the same {BATCH} start again, s");
    let idle = format!("a minute with {MOST} idle servers: watches that begin");
    let cpu = "the same: hub's CPU for each beyond one that starts nothing, ms";
    let mut figures = Vec::new();
    for (name, what, shown, target) in [
        (starts.as_str(), "first took", as_it_is, long),
        (cpu, "first cpu", Beyond, same),
        ("the same: writes for each", "first write", as_it_is, one),
        ("the same: reads for each", "first read", as_it_is, none),
        (&stops, "stop took", as_it_is, None),
        (cpu, "stop cpu", Beyond, same),
        ("the same: writes for each", "stop write", as_it_is, one),
        ("the same: reads for each", "stop read", as_it_is, none),
        (&again, "again took", as_it_is, long),
        (cpu, "again cpu", Beyond, same),
        ("the same: writes for each", "again write", as_it_is, one),
        ("the same: reads for each", "again read", as_it_is, none),
        (&idle, "idle watch", as_it_is, one),
        ("the same: reads", "idle read", as_it_is, none),
        ("the same: writes", "idle write", as_it_is, none),
        ("the same: hub's CPU, ms", "idle cpu", Times(1e3), None),
        ("the same: hub's memory, MiB", "idle memory", as_it_is, same),
        ("the hub restarted: memory, MiB", "restart memory", as_it_is, same),
        (
            "the same: until all servers are known, s",
            "restart took",
            as_it_is,
            None,
        ),
    ] {
        let (less, times) = match shown {
            Times(times) => (0.0, times),
            Beyond => (get("nothing", what)?, 1e3),
        };
        let both = [get("ours", what)?, get("kube", what)?];
        let figure = Figure::new(name, both.map(|figure| (figure - less) * times));
        figures.push(match target {
            Some(target) => figure.within(target),
            None => figure,
        });
    }
    let launcher = Figure::alone("launcher's own memory, MiB", get("ours", "launcher")?);
    figures.push(launcher.within(AtMost(10.0)));
    Ok(figures)
}
