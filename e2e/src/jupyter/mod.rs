//! Code or a command -> its output from JupyterLab in a workspace (IO).
//!
//! - `notebook`: a notebook's cell, in a browser.
//! - `terminal`: a terminal, over the websocket.
//! - `kernel`: a kernel, over the websocket.

pub mod kernel;
pub mod notebook;
pub mod terminal;
