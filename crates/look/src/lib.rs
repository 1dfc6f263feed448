//! Settings of an installation -> the theme and base style that all its pages share (pure).
//!
//! - `coded`: text with code as markup.
//! - `theme`: name, logo, colours, help, notice. `colour`: contrast. `image`: which logos are accepted.

mod coded;
mod colour;
mod files;
mod image;
mod theme;

pub use coded::coded;
pub use files::{WrongFile, read};
pub use image::MAX_LOGO;
pub use theme::{Help, Theme, ThemeSettings, WrongTheme};

/// Style of elements, for pages whose stylesheet begins with [`Theme::css`].
pub const BASE: &str = include_str!("base.css");
