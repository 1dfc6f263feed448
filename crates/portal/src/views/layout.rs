//! Title and state -> what surrounds every page: navigation, notices, age of the data (pure).

use askama::Template;
use serde::Serialize;

use super::parts::{Moment, Note, part};

/// What surrounds every page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout {
    /// The page's only `h1`, and its title in the browser.
    pub(crate) title: String,
    /// Name of the installation, such as `Jupyter`.
    pub(crate) product: String,
    /// A `data:` URI, if there is a logo.
    pub(crate) logo: Option<String>,
    /// Address and text of the link to help.
    pub(crate) help: Option<(String, String)>,
    /// Notice of the installation. Empty: none.
    pub(crate) notice: String,
    /// Name of the user as Kubernetes has it.
    pub(crate) user: String,
    /// Where in the navigation the page is.
    pub(crate) nav: Nav,
    /// Pages above this one: text and address.
    pub(crate) above: Vec<(String, String)>,
    /// Messages for this user: what was done, what is wrong.
    pub(crate) notes: Vec<Note>,
    /// Address of the stream of changes, such as `/events?view=list&page=2`. Empty: the page has none.
    pub(crate) live: String,
    /// How old the data is; a page without data has none.
    pub(crate) age: Option<Age>,
    /// Whether the data may be out of date.
    pub(crate) stale: Stale,
    /// Why nothing can be changed here. Empty: it can.
    pub(crate) read_only: String,
    /// Identifier of the request.
    pub(crate) request: String,
}

/// The navigation's entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Nav {
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
pub(crate) struct Age {
    /// When it was true.
    pub(crate) moment: Moment,
    /// Where to read it again.
    pub(crate) reload: String,
}

/// Says above the title that the data may be out of date (`id="stale"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "stale")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stale {
    /// Why, such as `The API server does not answer.` Empty: the data is current.
    pub(crate) why: String,
    /// What to expect, such as `Changes may fail.`
    pub(crate) now: String,
}

part!(Age, Stale);
