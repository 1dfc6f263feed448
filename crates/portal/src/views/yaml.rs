//! YAML, with findings by line and column -> text field (pure).

use askama::Template;
use serde::Serialize;

use super::layout::Layout;
use super::parts::part;
use super::text::filters;

/// The page `…/yaml` and the YAML view of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "yaml.html")]
#[serde(rename_all = "camelCase")]
pub struct Yaml {
    /// What surrounds it.
    pub layout: Layout,
    /// Where it goes, by POST; the text is the field `yaml`. Empty: it is only shown.
    pub to: String,
    /// Where a script sends it after each change. Empty: nowhere.
    pub check: String,
    /// Hidden fields.
    pub hidden: Vec<(String, String)>,
    /// The text.
    pub text: String,
    /// What is wrong.
    pub marks: Marks,
    /// Buttons: name, value and label.
    pub buttons: Vec<(String, String, String)>,
    /// The button `view=form` leads back to a form.
    pub form: bool,
    /// Where `Cancel` leads.
    pub cancel: String,
    /// A command that does it, where nothing can be changed here. Empty: none.
    pub command: String,
}

/// Everything that is wrong (`id="summary"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "parts/marks.html")]
pub struct Marks {
    /// In order of the lines.
    pub marks: Vec<Mark>,
    /// What holds. Empty: not asked yet.
    pub good: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// From 1; 0: not known.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In UTF-16 units from the beginning, for the caret.
    pub offset: usize,
    /// Path of the field. Empty: none.
    pub path: String,
    /// What is wrong.
    pub text: String,
}

part!(Marks);
