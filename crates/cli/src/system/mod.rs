//! The user's folders, files, streams and other programs <-> Unix or Windows (IO).
//!
//! | file | holds |
//! |---|---|
//! | `unix.rs` | for Linux and macOS |
//! | `windows.rs` | for Windows |

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;
