//! Templates -> their page (pure).

use askama::Template as Render;
use serde::Serialize;

use crate::pages::form::view::Card;
use crate::views::{Action, Empty, Fact, Icon, Layout, filters};

/// The page `/templates`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Render)]
#[template(path = "pages/templates/templates.html")]
pub struct Templates {
    /// What surrounds it.
    pub layout: Layout,
    /// Deprecated ones last.
    pub offers: Vec<Offer>,
    /// In place of the templates.
    pub empty: Option<Empty>,
}

/// A template that can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// Where its title leads. Empty: nowhere.
    pub to: String,
    /// Sign.
    pub icon: Icon,
    /// Name for users.
    pub title: String,
    /// Sentence. Empty: none.
    pub text: String,
    /// Name of the object.
    pub name: String,
    /// Why not to use it, and what replaces it. Empty: it is current.
    pub deprecated: String,
    /// What can be done with it.
    pub actions: Vec<Action>,
}

/// The page `/templates/<name>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Render)]
#[template(path = "pages/templates/template.html")]
pub struct Template {
    /// What surrounds it.
    pub layout: Layout,
    /// Sign.
    pub icon: Icon,
    /// Sentence. Empty: none.
    pub text: String,
    /// Name of the object.
    pub name: String,
    /// Why not to use it, and what replaces it. Empty: it is current.
    pub deprecated: String,
    /// Its images.
    pub images: Vec<Card>,
    /// Choices and bounds.
    pub bounds: Vec<Bounds>,
    /// Everything else, such as how many use it.
    pub facts: Vec<Fact>,
    /// Such as `New workspace from this template`.
    pub actions: Vec<Action>,
}

/// What a template allows for one value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Such as `Memory`.
    pub label: String,
    /// Such as `1 to 8 GiB`.
    pub allowed: String,
    /// Such as `2 GiB`. Empty: none.
    pub default: String,
}
