//! Logo of a setting -> `data:` URI (pure).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::ThemeError;

/// Maximum size of the logo, in bytes. It is part of every page, and the proxy accepts pages of refusals up to 64 KiB.
pub const MAX_LOGO: usize = 24 * 1024;

/// The bytes of a `data:` URI.
pub(crate) fn decode(uri: &str) -> Result<Vec<u8>, ThemeError> {
    let wrong = || {
        ThemeError::new(
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
pub(crate) fn data_uri(bytes: &[u8]) -> Result<String, ThemeError> {
    if bytes.len() > MAX_LOGO {
        return Err(ThemeError::new(
            "logo",
            format!("has {} bytes, more than {MAX_LOGO}: make it smaller", bytes.len()),
        ));
    }
    let kind = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        "image/png"
    } else if is_plain_svg(bytes) {
        "image/svg+xml"
    } else {
        return Err(ThemeError::new(
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
