//! Templates -> their page (pure).

use askama::Template as Render;
use serde::Serialize;

use crate::pages::form::view::Card;
use crate::views::{Action, Empty, Fact, Icon, Layout, filters};

/// The page `/templates`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Render)]
#[template(path = "pages/templates/templates.html")]
pub(crate) struct Templates {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Deprecated ones last.
    pub(crate) offers: Vec<Offer>,
    /// In place of the templates.
    pub(crate) empty: Option<Empty>,
}

/// A template that can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Offer {
    /// Where its title leads. Empty: nowhere.
    pub(crate) to: String,
    /// Sign.
    pub(crate) icon: Icon,
    /// Name for users.
    pub(crate) title: String,
    /// Sentence. Empty: none.
    pub(crate) text: String,
    /// Name of the object.
    pub(crate) name: String,
    /// Why not to use it, and what replaces it. Empty: it is current.
    pub(crate) deprecated: String,
    /// What can be done with it.
    pub(crate) actions: Vec<Action>,
}

/// The page `/templates/<name>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Render)]
#[template(path = "pages/templates/template.html")]
pub(crate) struct Template {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Sign.
    pub(crate) icon: Icon,
    /// Sentence. Empty: none.
    pub(crate) text: String,
    /// Name of the object.
    pub(crate) name: String,
    /// Why not to use it, and what replaces it. Empty: it is current.
    pub(crate) deprecated: String,
    /// Its images.
    pub(crate) images: Vec<Card>,
    /// Choices and bounds.
    pub(crate) bounds: Vec<Bounds>,
    /// Everything else, such as how many use it.
    pub(crate) facts: Vec<Fact>,
    /// Such as `New workspace from this template`.
    pub(crate) actions: Vec<Action>,
}

/// What a template allows for one value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Bounds {
    /// Such as `Memory`.
    pub(crate) label: String,
    /// Such as `1 to 8 GiB`.
    pub(crate) allowed: String,
    /// Such as `2 GiB`. Empty: none.
    pub(crate) default: String,
}
