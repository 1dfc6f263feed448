//! Chart settings -> theme: name, logo, colours, help, notice (pure).
//!
//! Every value is checked. Pages must escape them.

use serde::Deserialize;

use crate::colour::{BACKGROUNDS, accent};
use crate::error::ThemeError;
use crate::image::{data_uri, decode};

/// Colours without those that a setting may change.
const TOKENS: &str = include_str!("../tokens.css");
/// Maximum lengths of texts, in characters.
const MAX_NAME: usize = 60;
const MAX_NOTICE: usize = 500;

/// Settings of an installation for its pages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ThemeSettings {
    /// Shown on top of every page and in titles; at most 60 characters [default: Jupyter].
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

/// A checked theme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Name of the installation, plain text.
    pub name: String,
    /// A `data:` URI, if there is a logo.
    pub logo: Option<String>,
    /// The help link, if there is one.
    pub help: Option<Help>,
    /// A notice for every page, plain text; empty for none.
    pub notice: String,
    css: String,
}

/// The help link of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    /// `https://…` or `mailto:…`.
    pub url: String,
    /// Plain text.
    pub text: String,
}

impl Theme {
    /// Reads the content of the settings' file (JSON) and of the logo's file. Without them the theme is plain.
    ///
    /// # Errors
    /// The JSON or one of its values cannot be used.
    pub fn parse(json: Option<&[u8]>, logo: Option<&[u8]>) -> Result<Self, ThemeError> {
        let settings = match json {
            None => ThemeSettings::default(),
            Some(json) => {
                serde_json::from_slice(json).map_err(|error| ThemeError::Malformed(error.to_string()))?
            }
        };
        Self::new(&settings, logo)
    }

    /// Checks a theme. `logo`: content of a file that is the logo, in place of `settings.logo`.
    ///
    /// # Errors
    /// A value cannot be used; the error names it and says what to do.
    pub fn new(settings: &ThemeSettings, logo: Option<&[u8]>) -> Result<Self, ThemeError> {
        let name = text("productName", &settings.product_name, MAX_NAME)?;
        let light = accent("accentColor", &settings.accent_color, "#0b5cad", BACKGROUNDS[0])?;
        let dark = accent(
            "accentColorDark",
            &settings.accent_color_dark,
            "#8cbcff",
            BACKGROUNDS[1],
        )?;
        let css = format!(
            ":root{{--accent:{light};--on-accent:{}}}\
             @media(prefers-color-scheme:dark){{:root{{--accent:{dark};--on-accent:{}}}}}{TOKENS}",
            light.opposite(),
            dark.opposite(),
        );
        let logo = match logo {
            Some(bytes) => Some(data_uri(bytes)?),
            None if settings.logo.is_empty() => None,
            None => Some(data_uri(&decode(&settings.logo)?)?),
        };
        Ok(Self {
            name: if name.is_empty() {
                "Jupyter".to_owned()
            } else {
                name
            },
            logo,
            help: help(settings)?,
            notice: text("notice", &settings.notice, MAX_NOTICE)?,
            css,
        })
    }

    /// CSS variables: `--accent` and `--on-accent`, which settings may change, and the other colours, in light and dark mode.
    pub fn css(&self) -> &str {
        &self.css
    }
}

impl Default for Theme {
    fn default() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "an empty theme has nothing that could be wrong; a test shows it"
        )]
        Self::new(&ThemeSettings::default(), None).expect("a theme without settings is valid")
    }
}

fn text(field: &'static str, value: &str, most: usize) -> Result<String, ThemeError> {
    let value = value.trim();
    if value.chars().count() > most {
        return Err(ThemeError::new(
            field,
            format!("is longer than {most} characters"),
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(ThemeError::new(
            field,
            "holds control characters, such as a line break",
        ));
    }
    Ok(value.to_owned())
}

fn help(settings: &ThemeSettings) -> Result<Option<Help>, ThemeError> {
    let text = text("helpText", &settings.help_text, MAX_NAME)?;
    let url = settings.help_url.as_str();
    if url.is_empty() {
        return Ok(None);
    }
    let plain = url.len() <= 500 && url.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    if !plain || !(url.starts_with("https://") || url.starts_with("mailto:")) {
        return Err(ThemeError::new(
            "helpUrl",
            format!("{url:?} does not begin with https:// or mailto:, or holds what no address does"),
        ));
    }
    let text = if text.is_empty() { "Help".to_owned() } else { text };
    Ok(Some(Help {
        url: url.to_owned(),
        text,
    }))
}

#[cfg(test)]
mod tests;
