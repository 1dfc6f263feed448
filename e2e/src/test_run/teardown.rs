//! Number of namespaces in use by a test -> signal to the test runner when there are none (IO).
//!
//! After the signal, the test only waits for deletions.

use std::{
    env,
    fs::{self, File},
    sync::{Mutex, PoisonError},
};

/// Variable with the path of the signal file. While the file exists, other tests may start (crates/xtask/src/test/pool.rs).
const VARIABLE: &str = "JUPYTER_K8S_TEARDOWN";

/// Number of namespaces that this process works in.
static AT_WORK: Mutex<usize> = Mutex::new(0);

/// Adds one namespace.
pub(crate) fn started() {
    change(|at_work| at_work + 1);
}

/// Removes one namespace: the test does nothing more in it.
pub(crate) fn ended() {
    change(|at_work| at_work.saturating_sub(1));
}

fn change(by: impl FnOnce(usize) -> usize) {
    let mut at_work = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    *at_work = by(*at_work);
    let Some(file) = env::var_os(VARIABLE) else {
        return;
    };
    // If the signal fails, the next test only starts a few seconds later.
    let _ = match *at_work {
        0 => File::create(file).map(drop),
        _ => fs::remove_file(file),
    };
}
