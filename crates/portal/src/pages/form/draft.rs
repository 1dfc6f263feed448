//! What a user wrote, as form or as YAML -> a workspace, or what is wrong with it (pure).

use api::Workspace;
use rules::form::{Form, Values, filled, not_shown, values};
use rules::manifest::{self, Document, Finding};

use super::problems::Problems;
use super::sent::Sent;
use super::text;
use crate::views::Marks;

/// Which page a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Form,
    Yaml,
}

/// Fields of a form that are no controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    /// As what it was written.
    pub(super) written: Format,
    /// The page that the user requests. `None`: what was written counts.
    pub(super) next: Option<Format>,
    /// The text that was written, or the one that holds what the form has no field for. Empty: none.
    pub(super) text: String,
}

impl Hidden {
    /// Takes the fields out.
    pub(super) fn take(sent: &mut Sent) -> Result<Self, String> {
        let view = |text: String| match &*text {
            "" => Ok(None),
            "form" => Ok(Some(Format::Form)),
            "yaml" => Ok(Some(Format::Yaml)),
            other => Err(format!(
                "There is no view {other:?}: a workspace is shown as form or yaml."
            )),
        };
        Ok(Self {
            written: view(sent.take("written")?)?.unwrap_or(Format::Form),
            next: view(sent.take("view")?)?,
            text: sent.take("yaml")?,
        })
    }
}

/// What a user wrote.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) form: Form,
    /// Values of the form's controls, as they were written.
    pub(super) values: Values,
    /// What of it can be read. Of a text with findings: nothing.
    pub(super) workspace: Workspace,
    /// The text that was written, or the one that holds what the form has no field for.
    pub(super) text: Option<String>,
    pub(super) written: Format,
    /// What cannot be read of a form.
    pub(super) problems: Problems,
    /// What cannot be read of a text.
    pub(super) findings: Vec<Finding>,
    pub(super) document: Option<Document>,
}

impl Draft {
    /// A form that shows `workspace`.
    pub(super) fn new(form: Form, workspace: Workspace) -> Self {
        Self {
            values: values(&form, &workspace),
            form,
            workspace,
            text: None,
            written: Format::Form,
            problems: Problems::default(),
            findings: Vec::new(),
            document: None,
        }
    }

    /// A form that was sent. `base`: what it showed, and what it has no field for.
    pub(super) fn from_form(
        form: Form,
        base: &Workspace,
        text: Option<String>,
        sent: Sent,
    ) -> Result<Self, String> {
        // A control that was not sent shows what counts.
        let mut shown = values(&form, base);
        let filled = filled(&form, &sent.values(&form)?, base);
        shown.0.extend(filled.values.0);
        Ok(Self {
            values: shown,
            workspace: filled.workspace,
            text,
            problems: Problems::from_violations(&filled.errors),
            ..Self::new(form, Workspace::default())
        })
    }

    /// A text that was sent. `fixed`: fields that the page decides.
    pub(super) fn from_text(form: Form, text: String, fixed: &[(&str, &str)]) -> Self {
        let (workspace, document, findings) = match text::read(&text, fixed) {
            Ok(manifest) => (manifest.workspace, Some(manifest.document), Vec::new()),
            Err(findings) => (Workspace::default(), None, findings),
        };
        Self {
            text: Some(text),
            written: Format::Yaml,
            findings,
            document,
            ..Self::new(form, workspace)
        }
    }

    /// Whether all of it can be read.
    pub(super) fn is_readable(&self) -> bool {
        self.problems.is_empty() && self.findings.is_empty()
    }

    /// The same as the page that the user requests shows it. `None`: as it was written.
    pub(super) fn show_as(self, next: Option<Format>) -> Self {
        match next {
            None => self,
            Some(Format::Form) => Self {
                written: Format::Form,
                ..self
            },
            Some(Format::Yaml) => {
                let text = self.to_text();
                Self {
                    workspace: self.workspace,
                    ..Self::from_text(self.form, text, &[])
                }
            }
        }
    }

    /// The same as YAML: the text that was typed, if it says the same.
    pub(super) fn to_text(&self) -> String {
        let written = manifest::yaml(&self.form, &self.workspace);
        let says_the_same = |text: &&String| {
            let typed = manifest::workspace(text);
            typed.is_ok_and(|typed| manifest::yaml(&self.form, &typed.workspace) == written)
        };
        self.text
            .as_ref()
            .filter(says_the_same)
            .cloned()
            .unwrap_or(written)
    }

    /// The text to send along with the form of a new workspace: it holds what the form has no field for.
    pub(super) fn carried_text(&self) -> Option<String> {
        let is_needed = !self.not_shown().is_empty();
        self.text.clone().or_else(|| is_needed.then(|| self.to_text()))
    }

    /// What the form has no field for.
    pub(super) fn not_shown(&self) -> Vec<String> {
        not_shown(&self.form, &self.workspace)
    }

    /// What is wrong, at its places in the text.
    pub(super) fn marks(&self, problems: &Problems) -> Marks {
        let text = self.text.as_deref().unwrap_or_default();
        match &self.document {
            Some(document) => text::placed_marks(text, document, problems),
            None => text::marks(text, &self.findings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::form::sent::tests::sent;

    #[test]
    fn the_next_view_is_one_of_two() {
        let mut asked = sent(&[("written", "yaml"), ("view", "form"), ("yaml", "a: 1")]);
        let hidden = Hidden::take(&mut asked).unwrap();
        assert_eq!((hidden.written, hidden.next), (Format::Yaml, Some(Format::Form)));
        assert!(Hidden::take(&mut sent(&[("view", "picture")])).is_err());
        assert_eq!(Hidden::take(&mut sent(&[])).unwrap().written, Format::Form);
    }
}
