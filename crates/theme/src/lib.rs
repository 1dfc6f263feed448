//! Settings of an installation -> the theme and base style that all its pages share (pure).
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `files`: the settings' file and the logo's file.
//! - `settings`: name, logo, colours, help, notice.
//! - `colour`: contrast.
//! - `image`: which logos are accepted.
//! - `error`: a setting that cannot be used.
//! - `markup`: text with code as HTML.

mod colour;
mod error;
mod files;
mod image;
mod markup;
mod settings;

pub use error::ThemeError;
pub use files::{FileError, read};
pub use image::MAX_LOGO;
pub use markup::markup;
pub use settings::{Help, Theme, ThemeSettings};

/// Style of elements, for pages whose stylesheet begins with [`Theme::css`].
pub const BASE: &str = include_str!("base.css");
