//! Paths of the theme's files -> the theme, or the setting that is wrong (IO: reads the files).

use std::path::Path;

use crate::settings::Theme;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct FileError {
    /// `pages-file` or `pages-logo-file`.
    pub setting: &'static str,
    /// What is wrong.
    pub problem: String,
}

/// The theme of pages. An absent or empty path is no file.
///
/// # Errors
/// A file cannot be read, or has a value that cannot be shown; the error names it.
pub fn read(file: Option<&Path>, logo: Option<&Path>) -> Result<Theme, FileError> {
    let contents = |setting, path: Option<&Path>| {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| FileError {
                setting,
                problem: format!("{} cannot be read: {error}", path.display()),
            })
        };
        path.map(read).transpose()
    };
    let json = contents("pages-file", file)?;
    let logo = contents("pages-logo-file", logo)?;
    Theme::parse(json.as_deref(), logo.as_deref()).map_err(|error| FileError {
        setting: "pages-file",
        problem: error.to_string(),
    })
}
