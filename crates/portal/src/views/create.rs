//! Form of a new or changed workspace -> its page: template, fields, conflict (pure).

use askama::Template;
use serde::Serialize;

use super::form::{Form, Quotas};
use super::layout::Layout;
use super::parts::{Action, Empty, Icon};
use super::text::filters;

/// The page `/new`: where, and from which template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "choose.html")]
pub struct Choose {
    /// What surrounds it.
    pub layout: Layout,
    /// Namespaces in which the reader may create: name and address of this page for it.
    pub namespaces: Vec<(String, String)>,
    /// The chosen one. Empty: none yet.
    pub namespace: String,
    /// Templates that the reader may use there; deprecated ones last.
    pub offers: Vec<Offer>,
    /// In place of the offers.
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

/// The pages `/new?template=…` and `…/edit`, and short forms about a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "edit.html")]
pub struct Edit {
    /// What surrounds it.
    pub layout: Layout,
    /// Of a new workspace: the name of its template.
    pub template: String,
    /// Address of the choice of another. Empty: there is none.
    pub change_template: String,
    /// Quotas.
    pub quotas: Option<Quotas>,
    /// The form.
    pub form: Form,
    /// Values that the form has no field for, which are kept.
    pub kept: Vec<String>,
}

/// Another user changed the workspace meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "conflict.html")]
pub struct Conflict {
    /// What surrounds it.
    pub layout: Layout,
    /// Who changed it, and when; text between two backticks is shown as code.
    pub what: String,
    /// Each field that differs.
    pub differences: Vec<Difference>,
    /// Address of the form. The reader's own values go there once more, with the newer version.
    pub to: String,
    /// The reader's own values.
    pub hidden: Vec<(String, String)>,
}

/// A field that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Label or path.
    pub label: String,
    /// What is stored.
    pub theirs: String,
    /// What the reader wrote.
    pub yours: String,
}
