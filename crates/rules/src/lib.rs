//! Objects and settings in, decisions out (pure): defaults, validation, names and access, for every caller alike.

pub mod access;
pub mod checks;
pub mod defaults;
pub mod judge;
pub mod managers;
pub mod names;
pub mod quantity;
pub mod rejection;
mod resources;
pub mod settings;
pub mod valid;
pub mod validate;
pub mod violation;

pub use defaults::{Effective, Home, effective};
pub use judge::{Judgement, admit, judge};
pub use quantity::Quantity;
pub use rejection::{NotYet, Rejection};
pub use settings::Settings;
pub use valid::ValidWorkspace;
pub use violation::{Violation, Violations};
