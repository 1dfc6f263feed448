//! Colour of a setting -> its contrast (pure).

use crate::error::ThemeError;

/// The background on which links have the least contrast, in light and dark mode: the token `--hover`.
pub(crate) const BACKGROUNDS: [Colour; 2] = [Colour([0xea, 0xee, 0xf4]), Colour([0x26, 0x2c, 0x37])];
/// Minimum contrast of text, by WCAG 2.2 AA.
pub(crate) const READABLE: f64 = 4.5;

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) [u8; 3]);

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    pub(crate) fn parse(text: &str) -> Option<Self> {
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
    pub(crate) fn against(self, other: Self) -> f64 {
        let (one, two) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(two) / one.min(two)
    }

    /// Black or white, whichever has more contrast: one of them is always readable.
    pub(crate) fn opposite(self) -> Self {
        let (black, white) = (Self([0; 3]), Self([255; 3]));
        if self.against(black) > self.against(white) {
            black
        } else {
            white
        }
    }
}

/// The colour in `field`, if text in it can be read on `background`.
///
/// # Errors
/// It is no colour, or has too little contrast.
pub(crate) fn accent(
    field: &'static str,
    value: &str,
    default: &'static str,
    background: Colour,
) -> Result<Colour, ThemeError> {
    let value = if value.is_empty() { default } else { value };
    let colour = Colour::parse(value)
        .ok_or_else(|| ThemeError::new(field, format!("{value:?} is not a colour like {default}")))?;
    let contrast = colour.against(background);
    if contrast < READABLE {
        return Err(ThemeError::new(
            field,
            format!(
                "{value} on {background} has a contrast of {contrast:.1}, and links in it cannot be read: it must be {READABLE} or more"
            ),
        ));
    }
    Ok(colour)
}
