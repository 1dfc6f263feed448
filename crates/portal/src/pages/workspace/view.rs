//! One workspace, starting or running -> its page (pure).

use askama::Template;
use serde::Serialize;

use crate::pages::editor::Editor;
use crate::pages::explanation::view::{Events, Explanation, Progress};
use crate::views::{Action, Fact, Icon, Layout, Menu, Moment, Note, State, filters, part};

/// The page `/w/<namespace>/<name>`. Guests get one without `facts`, `pending`, `usage`, `access` and `events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/workspace.html")]
pub struct Workspace {
    /// What surrounds it.
    pub layout: Layout,
    /// The page opens the workspace once it runs: the address of the one that does not. Empty: it does not.
    pub stay: String,
    /// State, and what can be done.
    pub head: Head,
    /// Why it is as it is.
    pub explanation: Explanation,
    /// Steps of its start.
    pub progress: Progress,
    /// What waits for a restart.
    pub pending: Pending,
    /// Values and where they come from.
    pub facts: Option<Facts>,
    /// Use of resources.
    pub usage: Option<Usage>,
    /// Who may connect.
    pub access: Option<Access>,
    /// What happened.
    pub events: Option<Events>,
}

/// State, and what can be done (`id="head"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "head")]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// State in words and sign.
    pub state: State,
    /// One sentence, such as `Stopped by alice. Your files are kept.` Empty: none.
    pub sentence: String,
    /// What is not known yet, such as rights. Empty: everything is.
    pub waiting: String,
    /// The last change is so new that the operator may not have seen it.
    pub applying: bool,
    /// Namespace and name.
    pub object: String,
    /// Its owner.
    pub owner: String,
    /// Sign of its image.
    pub icon: Icon,
    /// Since when it runs.
    pub since: Option<Moment>,
    /// When a rule stops it.
    pub stops: Option<Moment>,
    /// That rule, such as `maximum age`. Empty: none, or it is not known.
    pub stops_because: &'static str,
    /// Last known use.
    pub used: Option<Moment>,
    /// For a guest: end of the share.
    pub shared: Option<Moment>,
    /// Its address. Empty: it has none yet.
    pub url: String,
    /// What its link to VS Code needs once. `None`: there is no link.
    pub editor: Option<Editor>,
    /// What fits now first.
    pub actions: Vec<Action>,
    /// Other pages about it: edit, share, YAML, logs, delete.
    pub more: Vec<Action>,
}

/// What waits for a restart (`id="pending"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "pending")]
pub struct Pending {
    /// Labels or paths of fields. Empty: nothing waits.
    pub fields: Vec<String>,
    /// The button that applies them.
    pub action: Option<Action>,
}

impl Pending {
    /// How many changes wait.
    pub fn title(&self) -> String {
        match self.fields.len() {
            1 => "1 change takes effect at the next start".to_owned(),
            count => format!("{count} changes take effect at the next start"),
        }
    }
}

/// Values and where they come from (`id="facts"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "facts")]
pub struct Facts {
    /// Compute, disk, idle shutdown, access, everything else.
    pub values: Vec<Value>,
    /// The disk: size, class, what becomes of it.
    pub disk: Vec<Fact>,
}

/// A value that is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Such as `Memory`.
    pub label: String,
    /// In force.
    pub effective: String,
    /// What the workspace itself says. Empty: nothing.
    pub chosen: String,
    /// Such as `Workspace`, `Template jupyterlab`, `Default`.
    pub from: String,
}

/// Use of resources (`id="usage"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "usage")]
pub struct Usage {
    /// One for each resource.
    pub meters: Vec<Meter>,
    /// When it was measured.
    pub measured: Option<Moment>,
    /// Why there is none. Empty: there is.
    pub absent: String,
}

/// Use of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Meter {
    /// Such as `CPU`.
    pub label: String,
    /// Such as `0.4 cores`.
    pub used: String,
    /// Such as `1 core`. Empty: none.
    pub request: String,
    /// Such as `2 cores`. Empty: none.
    pub limit: String,
    /// Of the limit, else of the request; 0 to 100. `None`: there is neither.
    pub percent: Option<u8>,
}

/// Who may connect (`id="access"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "access")]
pub struct Access {
    /// Who is in, by which rule, until when.
    pub rules: Vec<AccessRule>,
    /// Address of the page that shares it. Empty: the reader may not.
    pub share: String,
    /// What does not count, such as shares in mode Path.
    pub note: Option<Note>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccessRule {
    /// Such as `alice@example.com` or `Everybody who is signed in`.
    pub who: String,
    /// Such as `Owner`, `Share`, `Role`.
    pub rule: String,
    /// Until when.
    pub until: Option<Moment>,
    /// Why it does not count now. Empty: it does.
    pub inactive: String,
    /// Makes it count again, for a user who may.
    pub action: Option<Action>,
}

part!(Head, Pending, Facts, Usage, Access);
