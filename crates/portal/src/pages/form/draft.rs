//! What a user wrote, as form or as YAML -> a workspace, or what is wrong with it (pure).

use api::Workspace;
use rules::form::{Form, Values, filled, not_shown, values};
use rules::manifest::{self, Document, Finding};

use super::problems::Problems;
use super::sent::Sent;
use super::text;
use crate::views::{Marks, Note};

/// Which page a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Form,
    Yaml,
}

/// Fields of a form that are no controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    /// As what it was written.
    pub(super) written: View,
    /// The page that the user requests. `None`: what was written counts.
    pub(super) next: Option<View>,
    /// The text that was written, or the one that holds what the form has no field for. Empty: none.
    pub(super) text: String,
    /// Another workspace to stop before the form is shown again, as [`super::room::stop`] takes it. Empty: none.
    pub(super) stop: String,
    /// All fields that were sent, to send them again.
    pub(super) all: Vec<(String, String)>,
}

impl Hidden {
    /// Takes the fields out.
    pub(super) fn take(sent: &mut Sent) -> Result<Self, String> {
        let all = sent.0.clone();
        let view = |text: String| match &*text {
            "" => Ok(None),
            "form" => Ok(Some(View::Form)),
            "yaml" => Ok(Some(View::Yaml)),
            other => Err(format!(
                "There is no view {other:?}: a workspace is shown as form or yaml."
            )),
        };
        let written = view(sent.take("written")?)?.unwrap_or(View::Form);
        let next = view(sent.take("view")?)?;
        let stop = sent.take("stop")?;
        Ok(Self {
            written,
            next: next.or_else(|| (!stop.is_empty()).then_some(View::Form)),
            text: sent.take("yaml")?,
            stop,
            all,
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
    pub(super) written: View,
    /// What cannot be read of a form.
    pub(super) problems: Problems,
    /// What cannot be read of a text.
    pub(super) findings: Vec<Finding>,
    pub(super) document: Option<Document>,
    /// What was done besides, said above the page.
    pub(super) said: Option<Note>,
}

impl Draft {
    /// A form that shows `workspace`.
    pub(super) fn of(form: Form, workspace: Workspace) -> Self {
        Self {
            values: values(&form, &workspace),
            form,
            workspace,
            text: None,
            written: View::Form,
            problems: Problems::default(),
            findings: Vec::new(),
            document: None,
            said: None,
        }
    }

    /// A form that was sent. `base`: what it showed, and what it has no field for.
    pub(super) fn of_form(
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
            problems: Problems::of_violations(&filled.errors),
            ..Self::of(form, Workspace::default())
        })
    }

    /// A text that was sent. `fixed`: fields that the page decides.
    pub(super) fn of_text(form: Form, text: String, fixed: &[(&str, &str)]) -> Self {
        let (workspace, document, findings) = match text::read(&text, fixed) {
            Ok(manifest) => (manifest.workspace, Some(manifest.document), Vec::new()),
            Err(findings) => (Workspace::default(), None, findings),
        };
        Self {
            text: Some(text),
            written: View::Yaml,
            findings,
            document,
            ..Self::of(form, workspace)
        }
    }

    /// Whether all of it can be read.
    pub(super) fn is_readable(&self) -> bool {
        self.problems.is_empty() && self.findings.is_empty()
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
    pub(super) fn carried(&self) -> Option<String> {
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
            Some(document) => text::placed(text, document, problems),
            None => text::marks(text, &self.findings),
        }
    }
}

#[cfg(test)]
mod tests {
    use rules::Settings;
    use rules::form::Offer;
    use serde_json::json;

    use super::*;

    fn form() -> Form {
        let settings = Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap();
        let template = testkit::objects::template("jupyterlab");
        let offer = Offer {
            template: Some(&template),
            settings: &settings,
        };
        rules::form::form(&offer, None)
    }

    fn workspace() -> Workspace {
        let object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "lab", "namespace": "team"},
            "spec": {
                "displayName": "Lab", "templateRef": "jupyterlab", "nodeSelector": {"zone": "a"},
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            },
        });
        serde_json::from_value(object).unwrap()
    }

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Sent(pairs.iter().map(owned).collect())
    }

    #[test]
    fn what_the_form_has_no_field_for_survives_the_way_to_yaml_and_back() {
        let first = Draft::of(form(), workspace());
        assert_eq!(first.not_shown(), ["spec.env", "spec.nodeSelector"]);
        let text = format!("# why this zone\n{}", first.to_text());
        let typed = Draft::of_text(form(), text.clone(), &[]);
        assert!(typed.is_readable(), "{:?}", typed.findings);
        let base = typed.workspace.clone();
        let same = Draft::of_form(
            form(),
            &base,
            typed.carried(),
            sent(&[("spec.displayName", "Lab")]),
        )
        .unwrap();
        assert_eq!(
            same.to_text(),
            text,
            "nothing changed, so the comment is still there"
        );
        let other = Draft::of_form(
            form(),
            &base,
            typed.carried(),
            sent(&[("spec.displayName", "Other")]),
        )
        .unwrap();
        let again = manifest::workspace(&other.to_text()).unwrap().workspace;
        assert_eq!(again.spec.display_name, "Other");
        assert_eq!(again.spec.node_selector, workspace().spec.node_selector);
    }

    #[test]
    fn what_was_typed_is_shown_again_also_if_it_cannot_be_read() {
        let typed = [
            ("spec.resources.limits.memory", "much"),
            ("spec.displayName", "Lab"),
        ];
        let draft = Draft::of_form(form(), &workspace(), None, sent(&typed)).unwrap();
        assert!(!draft.is_readable());
        assert_eq!(draft.values.get("spec.resources.limits.memory"), Some("much"));
        assert_eq!(
            draft.problems.at(&form(), "spec.resources.limits.memory").len(),
            1
        );
    }

    #[test]
    fn the_next_view_is_one_of_two() {
        let mut asked = sent(&[("written", "yaml"), ("view", "form"), ("yaml", "a: 1")]);
        let hidden = Hidden::take(&mut asked).unwrap();
        assert_eq!((hidden.written, hidden.next), (View::Yaml, Some(View::Form)));
        assert!(Hidden::take(&mut sent(&[("view", "picture")])).is_err());
        assert_eq!(Hidden::take(&mut sent(&[])).unwrap().written, View::Form);
        let stops = Hidden::take(&mut sent(&[("stop", "lab/u")])).unwrap();
        assert_eq!((stops.written, stops.next), (View::Form, Some(View::Form)));
    }
}
