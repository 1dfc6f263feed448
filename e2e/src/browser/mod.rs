//! User -> pages in headless Chromium, and what a user can see and do there (IO).
//!
//! - `keyboard`: keys and the focus.
//! - `hostile_page`: a page of an attacker.
//! - `axe`: violations of WCAG, by axe-core.
//! - `accessibility`: the page's accessibility tree.
//! - `devtools`: commands of the `DevTools` protocol.
//! - `chromium`: the browser.

pub mod accessibility;
pub mod axe;
mod chromium;
pub mod devtools;
pub mod hostile_page;
pub mod keyboard;

pub use chromium::Browser;
