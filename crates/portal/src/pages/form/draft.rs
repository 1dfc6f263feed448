//! Body of a form or a text -> a workspace, or what is wrong with it (pure).

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceTemplate, WorkspaceTemplateSpec};
use rules::form::{Form, Kind, Values, choose, filled, not_shown, option_path, values};
use rules::manifest::{self, Document, Finding};

use super::problems::{self, Problems};
use super::view::Marks;
use crate::pages::extract::sent_twice;

/// The value of the card for another image.
pub(in crate::pages) const OTHER: &str = "other";

/// A form as the browser sent it: names and values in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pages) struct Sent(pub(in crate::pages) Vec<(String, String)>);

impl Sent {
    /// Takes out a field that is no control, such as `namespace`. Empty if it was not sent.
    pub(in crate::pages) fn take(&mut self, name: &str) -> Result<String, String> {
        let mut found = self
            .0
            .extract_if(.., |(sent, _)| sent == name)
            .map(|(_, value)| value);
        let first = found.next();
        if found.next().is_some() {
            return Err(sent_twice("field", name));
        }
        Ok(first.unwrap_or_default())
    }

    /// Takes out what was chosen of the template's options: an option that another choice hides has no control any more.
    fn take_options(&mut self, template: &WorkspaceTemplateSpec) -> Result<BTreeMap<String, String>, String> {
        let mut chosen = BTreeMap::new();
        for option in &template.options {
            let path = option_path(&option.name);
            if self.0.iter().any(|(sent, _)| *sent == path) {
                chosen.insert(option.name.clone(), self.take(&path)?);
            }
        }
        Ok(chosen)
    }

    /// The values of the controls.
    pub(in crate::pages) fn values(self, form: &Form) -> Result<Values, String> {
        let mut values = BTreeMap::new();
        for (name, value) in self.0 {
            if !is_control(form, &name) {
                return Err(format!(
                    "This form has no field {name:?}. The template may have changed since the form was opened."
                ));
            }
            if values.insert(name.clone(), value).is_some() {
                return Err(sent_twice("field", &name));
            }
        }
        other_images(form, &mut values);
        Ok(Values(values))
    }
}

fn is_control(form: &Form, name: &str) -> bool {
    if form.field(name).is_some() {
        return true;
    }
    name.strip_suffix(".other")
        .and_then(|path| form.field(path))
        .is_some_and(|field| matches!(field.kind, Kind::Image { custom: true, .. }))
}

/// The text counts if the card for another image is chosen.
fn other_images(form: &Form, values: &mut BTreeMap<String, String>) {
    for field in form
        .fields
        .iter()
        .filter(|field| matches!(field.kind, Kind::Image { .. }))
    {
        let typed = values.remove(&format!("{}.other", field.path));
        if let (Some(value), Some(typed)) = (values.get_mut(&field.path), typed)
            && value == OTHER
        {
            *value = typed;
        }
    }
}

/// Which page a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pages) enum Format {
    Form,
    Yaml,
}

/// Fields of a form that are no controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pages) struct Hidden {
    /// As what it was written.
    pub(in crate::pages) written: Format,
    /// The page that the user requests. `None`: what was written counts.
    pub(in crate::pages) next: Option<Format>,
    /// The text that was written, or the one that holds what the form has no field for. Empty: none.
    pub(in crate::pages) text: String,
}

impl Hidden {
    /// Takes the fields out.
    pub(in crate::pages) fn take(sent: &mut Sent) -> Result<Self, String> {
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
pub(in crate::pages) struct Draft {
    pub(in crate::pages) form: Form,
    /// Values of the form's controls, as they were written.
    pub(in crate::pages) values: Values,
    /// What of it can be read. Of a text with findings: nothing.
    pub(in crate::pages) workspace: Workspace,
    /// The text that was written, or the one that holds what the form has no field for.
    pub(in crate::pages) text: Option<String>,
    pub(in crate::pages) written: Format,
    /// What cannot be read of a form.
    pub(in crate::pages) problems: Problems,
    /// What cannot be read of a text.
    pub(in crate::pages) findings: Vec<Finding>,
    pub(in crate::pages) document: Option<Document>,
}

impl Draft {
    /// A form that shows `workspace`.
    pub(in crate::pages) fn new(form: Form, workspace: Workspace) -> Self {
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

    /// A form that was sent. `base`: what it showed, and what it has no field for. `form`: chosen options -> the form.
    pub(in crate::pages) fn from_form(
        (template, form): (
            Option<&WorkspaceTemplate>,
            impl FnOnce(&BTreeMap<String, String>) -> Form,
        ),
        mut base: Workspace,
        text: Option<String>,
        mut sent: Sent,
    ) -> Result<Self, String> {
        let mut errors = Vec::new();
        if let Some(template) = template {
            let chosen = choose(
                &template.spec,
                &base.spec.options,
                &sent.take_options(&template.spec)?,
            );
            base.spec.options = chosen.options;
            errors = chosen.cleared;
        }
        let form = form(&base.spec.options);
        // A control that was not sent shows what counts.
        let mut shown = values(&form, &base);
        let filled = filled(&form, &sent.values(&form)?, &base);
        shown.0.extend(filled.values.0);
        errors.extend(filled.errors);
        Ok(Self {
            values: shown,
            workspace: filled.workspace,
            text,
            problems: Problems::from_violations(&errors),
            ..Self::new(form, Workspace::default())
        })
    }

    /// A text that was sent. `fixed`: fields that the page decides. `form`: chosen options -> the form.
    pub(in crate::pages) fn from_text(
        form: impl FnOnce(&BTreeMap<String, String>) -> Form,
        text: String,
        fixed: &[(&str, &str)],
    ) -> Self {
        let (workspace, document, findings) = match problems::read_text(&text, fixed) {
            Ok(manifest) => (manifest.workspace, Some(manifest.document), Vec::new()),
            Err(findings) => (Workspace::default(), None, findings),
        };
        Self {
            text: Some(text),
            written: Format::Yaml,
            findings,
            document,
            ..Self::new(form(&workspace.spec.options), workspace)
        }
    }

    /// Whether all of it can be read.
    pub(in crate::pages) fn is_readable(&self) -> bool {
        self.problems.is_empty() && self.findings.is_empty()
    }

    /// The same as the page that the user requests shows it. `None`: as it was written.
    pub(in crate::pages) fn show_as(self, next: Option<Format>) -> Self {
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
                    ..Self::from_text(|_| self.form, text, &[])
                }
            }
        }
    }

    /// The same as YAML: the text that was typed, if it says the same.
    pub(in crate::pages) fn to_text(&self) -> String {
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
    pub(in crate::pages) fn carried_text(&self) -> Option<String> {
        let is_needed = !self.not_shown().is_empty();
        self.text.clone().or_else(|| is_needed.then(|| self.to_text()))
    }

    /// What the form has no field for.
    pub(in crate::pages) fn not_shown(&self) -> Vec<String> {
        not_shown(&self.form, &self.workspace)
    }

    /// What is wrong, at its places in the text.
    pub(in crate::pages) fn marks(&self, problems: &Problems) -> Marks {
        let text = self.text.as_deref().unwrap_or_default();
        match &self.document {
            Some(document) => problems::marks_at_fields(text, document, problems),
            None => problems::marks(text, &self.findings),
        }
    }
}

#[cfg(test)]
mod tests {
    use rules::form::{Change, Field};

    use super::*;

    fn field(path: &str, kind: Kind) -> Field {
        Field {
            path: path.to_owned(),
            section: "",
            label: path.to_owned(),
            help: String::new(),
            kind,
            default: None,
            is_required: false,
            change: Change::New,
        }
    }

    fn form() -> Form {
        let text = Kind::Text { rule: None };
        let image = Kind::Image {
            choices: Vec::new(),
            custom: true,
        };
        Form {
            fields: vec![field("metadata.name", text), field("spec.image", image)],
        }
    }

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Sent(pairs.iter().map(owned).collect())
    }

    fn values(pairs: &[(&str, &str)]) -> Result<Values, String> {
        sent(pairs).values(&form())
    }

    #[test]
    fn a_field_that_the_form_lacks_or_that_comes_twice_is_refused() {
        for name in [
            "spec.hostNetwork",
            "metadata.name.other",
            "spec.env[0].name",
            "spec.tolerations[0].key",
        ] {
            let unknown = values(&[(name, "true")]).unwrap_err();
            assert!(unknown.contains(&format!("{name:?}")), "{unknown}");
        }
        let twice = values(&[("metadata.name", "a"), ("metadata.name", "b")]).unwrap_err();
        assert!(twice.contains("more than once"), "{twice}");
        let mut twice = sent(&[("namespace", "a"), ("namespace", "b")]);
        assert!(twice.take("namespace").is_err());
    }

    #[test]
    fn a_field_beside_the_controls_is_taken_out() {
        let mut sent = sent(&[("namespace", "team"), ("metadata.name", "a")]);
        assert_eq!(sent.take("namespace").unwrap(), "team");
        assert_eq!(sent.take("template").unwrap(), "");
        assert_eq!(sent.0.len(), 1);
    }

    #[test]
    fn the_text_for_another_image_counts_if_its_card_is_chosen() {
        let image = |chosen| {
            let values = values(&[("spec.image", chosen), ("spec.image.other", "r/other:1")]).unwrap();
            assert_eq!(values.0.len(), 1);
            values.get("spec.image").unwrap().to_owned()
        };
        assert_eq!(image("uv"), "uv");
        assert_eq!(image(""), "");
        assert_eq!(image(OTHER), "r/other:1");
    }

    #[test]
    fn the_next_view_is_one_of_two() {
        let mut asked = sent(&[("written", "yaml"), ("view", "form"), ("yaml", "a: 1")]);
        let hidden = Hidden::take(&mut asked).unwrap();
        assert_eq!((hidden.written, hidden.next), (Format::Yaml, Some(Format::Form)));
        assert!(Hidden::take(&mut sent(&[("view", "picture")])).is_err());
        assert_eq!(Hidden::take(&mut sent(&[])).unwrap().written, Format::Form);
    }
}
