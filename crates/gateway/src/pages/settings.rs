//! `--pages-file` and `--pages-logo-file` -> the theme of pages (IO: reads the files).

use std::path::Path;

use kit::process::WrongSetting;

use super::{Theme, ThemeSettings};

/// The theme of pages.
///
/// # Errors
/// A file cannot be read, or has a value that cannot be shown; the error names it.
pub(crate) fn theme(file: Option<&Path>, logo: Option<&Path>) -> Result<Theme, WrongSetting> {
    let read = |setting, path: &Path| {
        std::fs::read(path).map_err(|error| {
            WrongSetting::new(setting, format!("{} cannot be read: {error}", path.display()))
        })
    };
    let theme = match given(file) {
        None => ThemeSettings::default(),
        Some(path) => serde_json::from_slice(&read("pages-file", path)?)
            .map_err(|error| WrongSetting::new("pages-file", format!("{}: {error}", path.display())))?,
    };
    let logo = given(logo)
        .map(|path| read("pages-logo-file", path))
        .transpose()?;
    Theme::new(&theme, logo.as_deref()).map_err(|error| WrongSetting::new("pages-file", error.to_string()))
}

/// An empty path means none: an environment variable may be set but empty.
fn given(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_that_cannot_be_shown_is_named_with_its_field() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("pages-{}.json", std::process::id()));
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let told = theme(Some(&path), None).map_err(|wrong| wrong.to_string());
            std::fs::remove_file(&path).unwrap();
            told
        };
        assert!(told("{\"productName\": \"Lab & <Co>\"}").is_ok());
        for (text, problem) in [
            ("{\"productname\": \"x\"}", "unknown field `productname`"),
            (
                "{\"accentColor\": \"red\"}",
                "accentColor: \"red\" is not a colour",
            ),
            ("{\"helpUrl\": \"javascript:alert(1)\"}", "helpUrl:"),
        ] {
            let said = told(text).unwrap_err();
            assert!(said.contains(problem), "{said}");
        }
        assert!(theme(Some(Path::new("/nowhere")), None).is_err());
        assert!(theme(None, Some(Path::new("/nowhere"))).is_err());
        assert!(theme(Some(Path::new("")), None).is_ok(), "an empty path is none");
    }
}
