//! One workspace, starting or running -> its page (pure).

use askama::Template;
use serde::Serialize;

use crate::pages::editor::Editor;
use crate::pages::explanation::view::{Events, Explanation, Progress};
use crate::views::{Action, Fact, Icon, Layout, Menu, Moment, Note, State, filters, part};

/// The page `/w/<namespace>/<name>`. Guests get one without `facts`, `pending`, `usage`, `access` and `events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/workspace.html")]
pub(crate) struct Workspace {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// The page opens the workspace once it runs: the address of the one that does not. Empty: it does not.
    pub(crate) stay: String,
    /// State, and what can be done.
    pub(crate) head: Head,
    /// Why it is as it is.
    pub(crate) explanation: Explanation,
    /// Steps of its start.
    pub(crate) progress: Progress,
    /// What waits for a restart.
    pub(crate) pending: Pending,
    /// Values and where they come from.
    pub(crate) facts: Option<Facts>,
    /// Use of resources.
    pub(crate) usage: Option<Usage>,
    /// Who may connect.
    pub(crate) access: Option<Access>,
    /// What happened.
    pub(crate) events: Option<Events>,
}

/// State, and what can be done (`id="head"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "head")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    /// State in words and sign.
    pub(crate) state: State,
    /// One sentence, such as `Stopped by alice. Your files are kept.` Empty: none.
    pub(crate) sentence: String,
    /// What is not known yet, such as rights. Empty: everything is.
    pub(crate) waiting: String,
    /// The last change is so new that the operator may not have seen it.
    pub(crate) applying: bool,
    /// Namespace and name.
    pub(crate) object: String,
    /// Its owner.
    pub(crate) owner: String,
    /// Sign of its image.
    pub(crate) icon: Icon,
    /// Since when it runs.
    pub(crate) since: Option<Moment>,
    /// When a rule stops it.
    pub(crate) stops: Option<Moment>,
    /// That rule, such as `maximum age`. Empty: none, or it is not known.
    pub(crate) stops_because: &'static str,
    /// That it is deleted, when, and what prevents it. Empty: it is not.
    pub(crate) deletion: String,
    /// Last known use.
    pub(crate) used: Option<Moment>,
    /// For a guest: end of the share.
    pub(crate) shared: Option<Moment>,
    /// Its address. Empty: it has none yet.
    pub(crate) url: String,
    /// What its link to VS Code needs once. `None`: there is no link.
    pub(crate) editor: Option<Editor>,
    /// What fits now first.
    pub(crate) actions: Vec<Action>,
    /// Other pages about it: edit, share, YAML, logs, delete.
    pub(crate) more: Vec<Action>,
}

/// What waits for a restart (`id="pending"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "pending")]
pub(crate) struct Pending {
    /// Labels or paths of fields. Empty: nothing waits.
    pub(crate) fields: Vec<String>,
    /// The button that applies them.
    pub(crate) action: Option<Action>,
}

impl Pending {
    /// How many changes wait.
    pub(crate) fn title(&self) -> String {
        match self.fields.len() {
            1 => "1 change takes effect at the next start".to_owned(),
            count => format!("{count} changes take effect at the next start"),
        }
    }
}

/// Values and where they come from (`id="facts"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "facts")]
pub(crate) struct Facts {
    /// Compute, disk, idle shutdown, access, everything else.
    pub(crate) values: Vec<Value>,
    /// The disk: size, class, what becomes of it.
    pub(crate) disk: Vec<Fact>,
}

/// A value that is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Value {
    /// Such as `Memory`.
    pub(crate) label: String,
    /// In force.
    pub(crate) effective: String,
    /// What the workspace itself says. Empty: nothing.
    pub(crate) chosen: String,
    /// Such as `Workspace`, `Template jupyterlab`, `Default`.
    pub(crate) from: String,
}

/// Use of resources (`id="usage"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "usage")]
pub(crate) struct Usage {
    /// One for each resource.
    pub(crate) meters: Vec<Meter>,
    /// When it was measured.
    pub(crate) measured: Option<Moment>,
    /// Why there is none. Empty: there is.
    pub(crate) absent: String,
}

/// Use of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Meter {
    /// Such as `CPU`.
    pub(crate) label: String,
    /// Such as `0.4 cores`.
    pub(crate) used: String,
    /// Such as `1 core`. Empty: none.
    pub(crate) request: String,
    /// Such as `2 cores`. Empty: none.
    pub(crate) limit: String,
    /// Of the limit, else of the request; 0 to 100. `None`: there is neither.
    pub(crate) percent: Option<u8>,
}

/// Who may connect (`id="access"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/workspace/parts.html", block = "access")]
pub(crate) struct Access {
    /// Who is in, by which rule, until when.
    pub(crate) rules: Vec<AccessRule>,
    /// Address of the page that shares it. Empty: the reader may not.
    pub(crate) share: String,
    /// What does not count, such as shares in mode Path.
    pub(crate) note: Option<Note>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AccessRule {
    /// Such as `alice@example.com` or `Everybody who is signed in`.
    pub(crate) who: String,
    /// Such as `Owner`, `Share`, `Role`.
    pub(crate) rule: String,
    /// Until when.
    pub(crate) until: Option<Moment>,
    /// Why it does not count now. Empty: it does.
    pub(crate) inactive: String,
    /// Makes it count again, for a user who may.
    pub(crate) action: Option<Action>,
}

part!(Head, Pending, Facts, Usage, Access);
