//! Options of a template and what a workspace chose -> template with what the choices set (pure).
//!
//! - `lay`: the template of a workspace, with its choices laid over the defaults
//! - `offered`: what users may choose now, with the texts that they see
//! - `resolve`: the choice of each option, and violations
//!
//! Nothing downstream knows options: validation, pods and records see a template whose defaults are other ones.

mod lay;
mod offered;
mod resolve;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use lay::apply;
pub(crate) use lay::{laid, lay_all};
pub use offered::{Offered, OfferedChoice, offered, offered_images};
pub use resolve::{Chosen, Resolution, in_words, is_withdrawn, resolve};
pub(crate) use resolve::{exclude_each_other, holds_with};
