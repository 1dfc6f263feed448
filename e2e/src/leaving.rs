//! Namespaces that a test works in -> word to whoever runs it once there are none any more, and all that is left is to wait (IO).

use std::{
    env,
    fs::{self, File},
    sync::{Mutex, PoisonError},
};

/// Names the file that is there meanwhile. Others then take this test's place (crates/xtask/src/test/pool.rs).
const VARIABLE: &str = "JUPYTER_K8S_LEAVING";

/// How many namespaces this process works in.
static AT_WORK: Mutex<usize> = Mutex::new(0);

/// One more.
pub(crate) fn begun() {
    change(|at_work| at_work + 1);
}

/// Nothing more is done in one of them.
pub(crate) fn ended() {
    change(|at_work| at_work.saturating_sub(1));
}

fn change(by: impl FnOnce(usize) -> usize) {
    let mut at_work = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    *at_work = by(*at_work);
    let Some(file) = env::var_os(VARIABLE) else {
        return;
    };
    // Without this word the next test begins a few seconds later.
    let _ = match *at_work {
        0 => File::create(file).map(drop),
        _ => fs::remove_file(file),
    };
}
