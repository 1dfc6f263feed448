//! chart settings -> theme: name, logo, colours, help, notice (pure).
//!
//! Every value is checked at start, and escaped in pages.

use std::sync::{LazyLock, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The stylesheet without the colours that a setting may change.
const STYLE: &str = include_str!("style.css");
/// Maximum size of the logo, in bytes. It is part of every page, and the proxy accepts pages of refusals up to 64 KiB.
pub const MAX_LOGO: usize = 24 * 1024;
/// Maximum lengths of texts, in characters.
const MAX_NAME: usize = 60;
const MAX_NOTICE: usize = 500;
/// Background of links and buttons, in light and dark mode: the card.
const CARDS: [Colour; 2] = [Colour([255, 255, 255]), Colour([0x1b, 0x20, 0x28])];
/// Minimum contrast of text, by WCAG 2.2 AA.
const READABLE: f64 = 4.5;

/// Settings of an installation for its pages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ThemeSettings {
    /// Shown on top of every page and in titles; at most 60 characters [default: Workspaces].
    pub product_name: String,
    /// `data:image/png;base64,…` or `data:image/svg+xml;base64,…`, at most 24 KiB [default: none].
    pub logo: String,
    /// Colour of buttons, links and focus in light mode, `#rrggbb` [default: #0b5cad].
    pub accent_color: String,
    /// The same in dark mode [default: #8cbcff].
    pub accent_color_dark: String,
    /// URL of the help link, `https://…` or `mailto:…` [default: none].
    pub help_url: String,
    /// Text of that link [default: Help].
    pub help_text: String,
    /// Shown on every page, such as a maintenance window; at most 500 characters [default: none].
    pub notice: String,
}

/// A checked theme, as pages use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Plain text.
    pub(super) name: String,
    /// A `data:` URI, if there is one.
    pub(super) logo: Option<String>,
    /// URL and text of the link, if there is one.
    pub(super) help: Option<(String, String)>,
    /// Plain text; empty for none.
    pub(super) notice: String,
    /// The whole stylesheet.
    pub(super) style: String,
    /// Its source in a Content-Security-Policy.
    pub(super) style_source: String,
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Wrong {
    field: &'static str,
    problem: String,
}

impl Wrong {
    fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

impl Theme {
    /// Checks a theme. `logo`: content of a file that is the logo, in place of `theme.logo`.
    ///
    /// # Errors
    /// A value cannot be used; the error names it and says what to do.
    pub fn new(theme: &ThemeSettings, logo: Option<&[u8]>) -> Result<Self, Wrong> {
        let name = text("productName", &theme.product_name, MAX_NAME)?;
        let light = accent("accentColor", &theme.accent_color, "#0b5cad", CARDS[0])?;
        let dark = accent("accentColorDark", &theme.accent_color_dark, "#8cbcff", CARDS[1])?;
        let style = format!(
            ":root{{--accent:{light};--on-accent:{}}}\
             @media(prefers-color-scheme:dark){{:root{{--accent:{dark};--on-accent:{}}}}}{STYLE}",
            light.opposite(),
            dark.opposite(),
        );
        let logo = match logo {
            Some(bytes) => Some(data_uri(bytes)?),
            None if theme.logo.is_empty() => None,
            None => Some(data_uri(&decoded(&theme.logo)?)?),
        };
        Ok(Self {
            name: if name.is_empty() {
                "Workspaces".to_owned()
            } else {
                name
            },
            logo,
            help: help(theme)?,
            notice: text("notice", &theme.notice, MAX_NOTICE)?,
            style_source: source(&style),
            style,
        })
    }

    /// The theme of this process.
    pub(super) fn current() -> &'static Self {
        static PLAIN: LazyLock<Theme> = LazyLock::new(Theme::default);
        CURRENT.get().unwrap_or(&PLAIN)
    }

    /// Makes this the theme of the process, unless it has one already. Must be called before the first page.
    pub fn install(self) {
        let _ = CURRENT.set(self);
    }
}

/// Global, because pages are made deep inside of answers, and all of a process have one theme.
static CURRENT: OnceLock<Theme> = OnceLock::new();

impl Default for Theme {
    fn default() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "an empty theme has nothing that could be wrong; a test shows it"
        )]
        Self::new(&ThemeSettings::default(), None).expect("a theme without settings is valid")
    }
}

/// The source expression of a Content-Security-Policy that allows exactly this inline text.
pub(super) fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

fn text(field: &'static str, value: &str, most: usize) -> Result<String, Wrong> {
    let value = value.trim();
    if value.chars().count() > most {
        return Err(Wrong::new(field, format!("is longer than {most} characters")));
    }
    if value.chars().any(char::is_control) {
        return Err(Wrong::new(
            field,
            "holds control characters, such as a line break",
        ));
    }
    Ok(value.to_owned())
}

fn help(theme: &ThemeSettings) -> Result<Option<(String, String)>, Wrong> {
    let label = text("helpText", &theme.help_text, MAX_NAME)?;
    let url = theme.help_url.as_str();
    if url.is_empty() {
        return Ok(None);
    }
    let plain = url.len() <= 500 && url.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    if !plain || !(url.starts_with("https://") || url.starts_with("mailto:")) {
        return Err(Wrong::new(
            "helpUrl",
            format!("{url:?} does not begin with https:// or mailto:, or holds what no address does"),
        ));
    }
    let label = if label.is_empty() {
        "Help".to_owned()
    } else {
        label
    };
    Ok(Some((url.to_owned(), label)))
}

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour([u8; 3]);

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then_some(Self([part(0)?, part(2)?, part(4)?]))
    }

    /// Relative luminance, as WCAG defines it.
    fn luminance(self) -> f64 {
        let linear = self.0.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    /// Contrast ratio, 1 to 21.
    fn against(self, other: Self) -> f64 {
        let (one, two) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(two) / one.min(two)
    }

    /// Black or white, whichever has more contrast: one of them is always readable.
    fn opposite(self) -> Self {
        let (black, white) = (Self([0; 3]), Self([255; 3]));
        if self.against(black) > self.against(white) {
            black
        } else {
            white
        }
    }
}

fn accent(field: &'static str, value: &str, default: &'static str, card: Colour) -> Result<Colour, Wrong> {
    let value = if value.is_empty() { default } else { value };
    let colour = Colour::parse(value)
        .ok_or_else(|| Wrong::new(field, format!("{value:?} is not a colour like {default}")))?;
    let contrast = colour.against(card);
    if contrast < READABLE {
        return Err(Wrong::new(
            field,
            format!(
                "{value} on {card} has a contrast of {contrast:.1}, and links in it cannot be read: it must be {READABLE} or more"
            ),
        ));
    }
    Ok(colour)
}

/// The bytes of a `data:` URI.
fn decoded(uri: &str) -> Result<Vec<u8>, Wrong> {
    let wrong = || {
        Wrong::new(
            "logo",
            "is not `data:image/png;base64,…` or `data:image/svg+xml;base64,…`",
        )
    };
    let (kind, content) = uri.split_once(";base64,").ok_or_else(wrong)?;
    if !matches!(kind, "data:image/png" | "data:image/svg+xml") {
        return Err(wrong());
    }
    STANDARD.decode(content).map_err(|_| wrong())
}

/// The image as a `data:` URI with the type of its content. Browsers run no script of such an image and load nothing for it.
fn data_uri(bytes: &[u8]) -> Result<String, Wrong> {
    if bytes.len() > MAX_LOGO {
        return Err(Wrong::new(
            "logo",
            format!("has {} bytes, more than {MAX_LOGO}: make it smaller", bytes.len()),
        ));
    }
    let kind = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        "image/png"
    } else if is_plain_svg(bytes) {
        "image/svg+xml"
    } else {
        return Err(Wrong::new(
            "logo",
            "is neither a PNG nor an SVG without scripts, event handlers, foreign objects and entities",
        ));
    };
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

/// Whether it is an SVG without active content. In an `img` none of this would run, but users may open images directly.
fn is_plain_svg(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let text = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    let begins = text.starts_with("<svg") || text.starts_with("<?xml") && text.contains("<svg");
    let handler = text.match_indices("on").any(|(at, _)| {
        // Attributes follow whitespace. Lenient parsers also accept a slash or the end of a value before them.
        let before = text[..at].chars().next_back();
        if !before.is_some_and(|before| before.is_whitespace() || matches!(before, '/' | '"' | '\'' | '\0')) {
            return false;
        }
        let rest = &text[at + 2..];
        let name = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        name > 0 && rest[name..].trim_start().starts_with('=')
    });
    let active = [
        "<script",
        "<foreignobject",
        "<!entity",
        "<!doctype",
        "javascript:",
    ];
    begins && !handler && !active.iter().any(|part| text.contains(part))
}

#[cfg(test)]
#[path = "theme_tests.rs"]
mod tests;
