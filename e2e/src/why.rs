//! Staged failures -> what the product says about them, how soon, and whether it stops saying it (IO).
//!
//! A row stages one failure in a namespace of its own, and mends it. Times are those at which the API server received the
//! evidence and had taken the status that tells it, by its audit log; where that cannot be read, the whole seconds of the objects.

mod checks;
mod history;
mod moment;
mod node;
mod registry;
mod scene;
mod sweep;

use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

pub use self::{
    history::Histories,
    moment::{Moment, Write},
    node::SilentNode,
    registry::{Place, Registry},
    scene::Scene,
};

/// Rows that are staged at the same time: the cluster is one small node.
const AT_ONCE: usize = 6;
/// The longest that a row may take.
const PATIENCE: Duration = Duration::from_mins(4);

/// What a row does with its scene.
pub type Stage = fn(&Scene) -> BoxFuture<'_, anyhow::Result<()>>;

/// A failure: its name, which is also the workspace's, and how it is staged, told and mended.
pub type Row = (&'static str, Stage);

/// `row!(function)` is a [`Row`] of that name.
#[macro_export]
macro_rules! row {
    ($function:ident) => {{
        fn stage(scene: &$crate::why::Scene) -> ::futures::future::BoxFuture<'_, ::anyhow::Result<()>> {
            ::std::boxed::Box::pin($function(scene))
        }
        (stringify!($function), stage as $crate::why::Stage)
    }};
}

/// Stages all rows, side by side, and fails naming those that went otherwise than they should.
///
/// # Errors
/// When a row failed; the message tells what each of them saw.
pub async fn table(family: &str, rows: impl IntoIterator<Item = Row>) -> anyhow::Result<()> {
    let rows: Vec<_> = stream::iter(rows)
        .map(run)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut failed = Vec::new();
    for (name, took, told, result) in rows {
        let outcome = if result.is_ok() { "ok" } else { "FAILED" };
        println!(
            "{family:<10} {name:<34} {:>5.1} s  {outcome}  {}",
            took.as_secs_f64(),
            told.join(", ")
        );
        if let Err(error) = result {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

async fn run((name, stage): Row) -> (&'static str, Duration, Vec<String>, anyhow::Result<()>) {
    let begin = Instant::now();
    let scene = match Scene::new(name).await {
        Ok(scene) => scene,
        Err(error) => return (name, begin.elapsed(), Vec::new(), Err(error)),
    };
    // A row that panics must not leave its nodes behind, nor end the others.
    let staged = std::panic::AssertUnwindSafe(tokio::time::timeout(PATIENCE, stage(&scene)))
        .catch_unwind()
        .await;
    let result = match staged {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(anyhow::anyhow!("it took longer than {PATIENCE:?}")),
        Err(_) => Err(anyhow::anyhow!("it panicked, see above")),
    };
    let result = result.map_err(|error| error.context(scene.last_words()));
    let told = scene.findings();
    let left = scene.finish(result.is_err()).await;
    (name, begin.elapsed(), told, result.and(left))
}
