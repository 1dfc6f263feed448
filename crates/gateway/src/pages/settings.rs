//! `--pages-file` and `--pages-logo-file` -> the theme of pages (IO: reads the files).

use std::path::Path;

use kit::process::InvalidSetting;

use super::Theme;

/// The theme of pages.
///
/// # Errors
/// A file cannot be read, or has a value that cannot be shown; the error names it.
pub(crate) fn theme(file: Option<&Path>, logo: Option<&Path>) -> Result<Theme, InvalidSetting> {
    let theme = theme::read(file, logo).map_err(|wrong| InvalidSetting::new(wrong.setting, wrong.problem))?;
    Ok(theme.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_that_cannot_be_shown_is_named_with_its_field() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("pages-{}.json", std::process::id()));
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let message = theme(Some(&path), None).map_err(|wrong| wrong.to_string());
            std::fs::remove_file(&path).unwrap();
            message
        };
        assert!(message("{\"productName\": \"Lab & <Co>\"}").is_ok());
        for (text, problem) in [
            ("{\"productname\": \"x\"}", "unknown field `productname`"),
            (
                "{\"accentColor\": \"red\"}",
                "accentColor: \"red\" is not a colour",
            ),
            ("{\"helpUrl\": \"javascript:alert(1)\"}", "helpUrl:"),
        ] {
            let base = message(text).unwrap_err();
            assert!(base.contains(problem), "{base}");
        }
        assert!(theme(Some(Path::new("/nowhere")), None).is_err());
        assert!(theme(None, Some(Path::new("/nowhere"))).is_err());
        assert!(theme(Some(Path::new("")), None).is_ok(), "an empty path is none");
    }
}
