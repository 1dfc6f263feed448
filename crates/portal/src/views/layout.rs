//! Title and state -> what surrounds every page: navigation, notices, age of the data (pure).

use askama::Template;
use serde::Serialize;

use super::parts::{Moment, Note, part};

/// What surrounds every page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// The page's only `h1`, and its title in the browser.
    pub title: String,
    /// Name of the installation, such as `Jupyter`.
    pub product: String,
    /// A `data:` URI, if there is a logo.
    pub logo: Option<String>,
    /// Address and text of the link to help.
    pub help: Option<(String, String)>,
    /// Notice of the installation. Empty: none.
    pub notice: String,
    /// Name of the user as Kubernetes has it.
    pub user: String,
    /// Where in the navigation the page is.
    pub nav: Nav,
    /// Pages above this one: text and address.
    pub above: Vec<(String, String)>,
    /// Messages for this user: what was done, what is wrong.
    pub notes: Vec<Note>,
    /// Address of the stream of changes, such as `/events?view=list&page=2`. Empty: the page has none.
    pub live: String,
    /// How old the data is; a page without data has none.
    pub age: Option<Age>,
    /// Whether the data may be out of date.
    pub stale: Stale,
    /// Why nothing can be changed here. Empty: it can.
    pub read_only: String,
    /// Identifier of the request.
    pub request: String,
}

/// The navigation's entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Nav {
    /// None of them.
    #[default]
    None,
    /// `/`
    Workspaces,
    /// `/new`
    New,
    /// `/templates`
    Templates,
    /// `/account`
    Account,
}

impl Nav {
    /// Entry, address, text.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Workspaces, "/", "Workspaces"),
        (Self::New, "/new", "New"),
        (Self::Templates, "/templates", "Templates"),
        (Self::Account, "/account", "Account"),
    ];
}

/// How old the data of a page is (`id="age"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "age")]
#[serde(rename_all = "camelCase")]
pub struct Age {
    /// When it was true.
    pub moment: Moment,
    /// Where to read it again.
    pub reload: String,
}

/// Says above the title that the data may be out of date (`id="stale"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "stale")]
#[serde(rename_all = "camelCase")]
pub struct Stale {
    /// Why, such as `The API server does not answer.` Empty: the data is current.
    pub why: String,
    /// What to expect, such as `Changes may fail.`
    pub now: String,
}

part!(Age, Stale);
