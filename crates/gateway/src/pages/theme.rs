//! theme -> stylesheet of pages, and its source in a Content-Security-Policy (pure).

use std::ops::Deref;
use std::sync::{LazyLock, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The style of these pages alone.
const STYLE: &str = include_str!("style.css");

/// A theme with the stylesheet of the gateway's pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    common: theme::Theme,
    /// The whole stylesheet.
    pub(super) style: String,
    /// Its source in a Content-Security-Policy.
    pub(super) style_source: String,
}

impl From<theme::Theme> for Theme {
    fn from(theme: theme::Theme) -> Self {
        let style = format!("{}{}{STYLE}", theme.css(), theme::BASE);
        Self {
            style_source: source(&style),
            style,
            common: theme,
        }
    }
}

impl Deref for Theme {
    type Target = theme::Theme;

    fn deref(&self) -> &theme::Theme {
        &self.common
    }
}

impl Theme {
    /// The theme of this process.
    pub(super) fn current() -> &'static Self {
        static PLAIN: LazyLock<Theme> = LazyLock::new(|| theme::Theme::default().into());
        CURRENT.get().unwrap_or(&PLAIN)
    }

    /// Makes this the theme of the process, unless it has one already. Must be called before the first page.
    pub fn install(self) {
        let _ = CURRENT.set(self);
    }
}

/// Global, because pages are made deep inside of answers, and all of a process have one theme.
static CURRENT: OnceLock<Theme> = OnceLock::new();

/// The source expression of a Content-Security-Policy that allows exactly this inline text.
pub(super) fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
