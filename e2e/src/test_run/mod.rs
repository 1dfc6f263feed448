//! One of several tests that run at once -> locks and restored state (IO).
//!
//! - `finally`: changed shared state is restored, however a test ends.
//! - `sign_in_lock`: one sign-in per user at a time.
//! - `process`: a label that says whether the test that made an object still runs.

pub mod finally;
pub mod process;
pub(crate) mod sign_in_lock;
