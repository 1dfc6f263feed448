//! Times, states, actions and notes -> parts of many pages (pure).

use std::fmt;

use askama::Template;
use serde::Serialize;

use super::text::filters;

/// A time. Scripts show it in the reader's zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "moment")]
pub(crate) struct Moment {
    /// RFC 3339, in UTC, such as `2026-11-22T16:02:00Z`.
    pub(crate) exact: String,
    /// Without scripts, such as `22 Nov 2026, 16:02 UTC`.
    pub(crate) text: String,
    /// Scripts show the distance only (`3 h ago`); else the local time and the distance.
    pub(crate) short: bool,
}

/// How something is, for its colour and sign. Words always say it too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Tone {
    /// Nothing to do.
    #[default]
    Calm,
    /// As wanted.
    Good,
    /// Under way.
    Wait,
    /// Something is to be done soon.
    Warn,
    /// Something is wrong.
    Bad,
}

impl Tone {
    /// The class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// The state of a workspace in words and sign.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "state")]
pub(crate) struct State {
    /// Colour and sign.
    pub(crate) tone: Tone,
    /// Such as `Running`.
    pub(crate) word: String,
}

/// One thing that can be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "action")]
pub(crate) struct Action {
    /// Such as `Start`.
    pub(crate) label: String,
    /// Name of the object, for screen readers, where a page has many buttons with this label. Empty: none.
    pub(crate) of: String,
    /// How.
    pub(crate) way: Way,
    /// It is what most users want now.
    pub(crate) primary: bool,
    /// It deletes something.
    pub(crate) danger: bool,
    /// It has the focus once the page is loaded.
    pub(crate) focus: bool,
}

/// How something is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Way {
    /// Goes to another page.
    Link {
        /// Its address.
        to: String,
    },
    /// Goes to a page that asks; with scripts, shown as a dialog. The page must be a [`super::Confirm`].
    Dialog {
        /// Its address.
        to: String,
    },
    /// Changes something.
    Post {
        /// Where the form goes.
        to: String,
        /// Hidden fields, such as `resourceVersion`.
        hidden: Vec<(String, String)>,
    },
    /// Cannot be done here; this command does it.
    Command {
        /// For a shell.
        command: String,
    },
    /// Must not be done by this user.
    #[default]
    None,
}

/// A sentence in a box.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "note")]
pub(crate) struct Note {
    /// Its colour and sign.
    pub(crate) tone: Tone,
    /// What; text between two backticks is shown as code.
    pub(crate) text: String,
}

/// In place of a list that is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/parts.html", block = "empty")]
pub(crate) struct Empty {
    /// Such as `You have no workspace yet`.
    pub(crate) title: String,
    /// Sentences; text between two backticks is shown as code.
    pub(crate) text: Vec<String>,
    /// Something to copy, such as one's exact name. Empty: nothing.
    pub(crate) copy: String,
    /// What to do next.
    pub(crate) actions: Vec<Action>,
}

/// A sign of the built-in set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Icon {
    /// JupyterLab.
    Jupyterlab,
    /// A code editor.
    Code,
    /// Python.
    Python,
    /// R.
    R,
    /// Julia.
    Julia,
    /// A terminal.
    Terminal,
    /// A GPU.
    Gpu,
    /// Anything else.
    #[default]
    Generic,
}

impl Icon {
    /// The class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Jupyterlab => "i-jupyterlab",
            Self::Code => "i-code",
            Self::Python => "i-python",
            Self::R => "i-r",
            Self::Julia => "i-julia",
            Self::Terminal => "i-terminal",
            Self::Gpu => "i-gpu",
            Self::Generic => "i-generic",
        }
    }
}

impl From<api::template::Icon> for Icon {
    fn from(icon: api::template::Icon) -> Self {
        use api::template::Icon;
        match icon {
            Icon::JupyterLab => Self::Jupyterlab,
            Icon::Code => Self::Code,
            Icon::Python => Self::Python,
            Icon::R => Self::R,
            Icon::Julia => Self::Julia,
            Icon::Terminal => Self::Terminal,
            Icon::Gpu => Self::Gpu,
            Icon::Generic => Self::Generic,
        }
    }
}

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<span class=\"icon {}\" aria-hidden=\"true\"></span>",
            self.class()
        )
    }
}

/// A name and a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Fact {
    /// Such as `Size`.
    pub(crate) label: String,
    /// Such as `10 GiB`.
    pub(crate) text: String,
}

/// The name of an object in a button's label, for screen readers.
#[derive(Template)]
#[template(path = "views/parts.html", block = "aside")]
pub(super) struct Aside<'a> {
    of: &'a str,
}

impl Action {
    fn aside(&self) -> Aside<'_> {
        Aside { of: &self.of }
    }

    /// Classes of the button.
    fn class(&self) -> &'static str {
        match (self.danger, self.primary) {
            (true, _) => "danger",
            (false, true) => "primary",
            (false, false) => "plain",
        }
    }
}

/// Further actions behind a button.
#[derive(Template)]
#[template(path = "views/parts.html", block = "menu")]
pub(crate) struct Menu<'a> {
    more: &'a [Action],
    of: &'a str,
    id: &'a str,
}

impl<'a> Menu<'a> {
    /// `of`: the name of the object, if the page has several; `id`: what is unique on the page.
    pub(crate) fn new(more: &'a [Action], of: &'a str, id: &'a str) -> Self {
        Self { more, of, id }
    }
}

/// Parts render as markup inside of pages: their own templates have escaped everything.
macro_rules! part {
    ($($name:ty),+ $(,)?) => { $(impl askama::filters::HtmlSafe for $name {})+ };
}
pub(crate) use part;

part!(Moment, State, Action, Note, Empty, Icon, Aside<'_>, Menu<'_>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_said_in_words() {
        let state = State {
            tone: Tone::Bad,
            word: "Failed".to_owned(),
        };
        assert_eq!(
            state.render().unwrap(),
            "<span class=\"state bad\"><bdi>Failed</bdi></span>"
        );
    }
}
