//! A workspace and what a user wrote about it -> form, text, or how the newer version differs (IO).

use std::collections::BTreeMap;

use api::Workspace;
use api::names::LAST_UPDATED_BY;
use askama::Template;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use rules::form::{Form, Values, filled, values};
use serde::Serialize;
use serde_json::Value;

use super::editing::{Editing, Sending, command, parts, version};
use crate::app::Context;
use crate::pages::answers::note;
use crate::pages::form::draft::{Draft, Format};
use crate::pages::form::fields::FormFields;
use crate::pages::form::problems::Problems;
use crate::pages::form::quotas::quotas;
use crate::pages::form::view::{Edit, Form as FormView, Yaml};
use crate::pages::summary::{above, path};
use crate::views::{Layout, Nav, Tone, filters};

/// Another user changed the workspace meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/edit/conflict.html")]
pub(crate) struct Conflict {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Who changed it, and when; text between two backticks is shown as code.
    pub(crate) what: String,
    /// Each field that differs.
    pub(crate) differences: Vec<Difference>,
    /// Address of the form. The reader's own values go there once more, with the newer version.
    pub(crate) to: String,
    /// The reader's own values.
    pub(crate) hidden: Vec<(String, String)>,
}

/// A field that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// Label or path.
    pub(crate) label: String,
    /// What is stored.
    pub(crate) theirs: String,
    /// What the reader wrote.
    pub(crate) yours: String,
}

pub(super) fn layout(context: &Context, workspace: &Workspace) -> Layout {
    let mut layout = context.layout(format!("Change {}", workspace.spec.display_name), Nav::Workspaces);
    layout.above = above(workspace);
    layout
}

impl Editing {
    /// The page with form or text.
    pub(super) async fn page(
        &self,
        context: &Context,
        status: StatusCode,
        draft: &Draft,
        problems: &Problems,
    ) -> Response {
        let at = path(&self.stored);
        let mut hidden = vec![
            ("uid".to_owned(), self.stored.uid().unwrap_or_default()),
            ("seen".to_owned(), self.seen.clone()),
        ];
        let button = |value: &str, label: &str| ("do".to_owned(), value.to_owned(), label.to_owned());
        let command = context.command_instead(|| command(&self.stored, &draft.workspace));
        let buttons = match (command.is_empty(), self.runs()) {
            (false, _) => vec![button("save", "Show the command")],
            (true, true) => vec![button("save", "Save"), button("restart", "Save and restart")],
            (true, false) => vec![button("save", "Save"), button("start", "Save and start")],
        };
        let mut layout = layout(context, &self.stored);
        if self.runs() {
            let text = "A change of the pod counts at the next start, unless its field says otherwise. Save and restart applies it now: \
                        kernels and terminals end.";
            layout.notes.push(note(Tone::Calm, text));
        }
        let check = format!("{at}/edit/check");
        if draft.written == Format::Yaml {
            hidden.push(("written".to_owned(), "yaml".to_owned()));
            let view = Yaml {
                layout,
                to: format!("{at}/yaml"),
                check,
                hidden,
                text: draft.text.clone().unwrap_or_default(),
                marks: draft.marks(problems),
                buttons,
                form: true,
                cancel: at,
                command,
            };
            return context.page_with(status, &view);
        }
        let problems = &problems.clone().with_names(&draft.workspace);
        hidden.push(("written".to_owned(), "form".to_owned()));
        // Without a text, what the form has no field for stays as it is stored.
        hidden.extend(draft.text.clone().map(|text| ("yaml".to_owned(), text)));
        let before = values(&draft.form, &self.stored);
        let shown = FormFields {
            form: &draft.form,
            values: &draft.values,
            before: Some(&before),
            problems,
        };
        let view = Edit {
            layout,
            quotas: quotas(context, &self.place.namespace).await,
            form: FormView {
                to: format!("{at}/edit"),
                check,
                hidden,
                summary: problems.summary(&draft.form),
                sections: shown.sections(),
                buttons,
                yaml: true,
                cancel: at,
                command,
            },
            kept: draft.not_shown(),
            ..Edit::default()
        };
        context.page_with(status, &view)
    }
}

impl Sending {
    pub(super) async fn page(&self, context: &Context, status: StatusCode, problems: &Problems) -> Response {
        self.editing.page(context, status, &self.draft, problems).await
    }

    /// The page that shows the newer version and what the user wrote.
    pub(super) fn newer_page(&self, context: &Context) -> Response {
        let stored = &self.editing.stored;
        let who = stored
            .annotations()
            .get(LAST_UPDATED_BY)
            .filter(|who| **who != context.user.name);
        let what = match who {
            Some(who) => format!("`{who}` changed this workspace after you opened it."),
            None => "This workspace was changed after you opened it.".to_owned(),
        };
        let mut hidden = self.again.clone();
        hidden.retain(|(name, _)| name != "seen");
        hidden.push(("seen".to_owned(), version(stored)));
        let conflict = Conflict {
            layout: layout(context, stored),
            what,
            differences: differences(&self.editing.form, stored, &self.draft.workspace),
            hidden,
            to: self.at.clone(),
        };
        context.page_with(StatusCode::CONFLICT, &conflict)
    }
}

/// The fields in which the two differ: those of the form, and others by their path.
pub(super) fn differences(form: &Form, stored: &Workspace, yours: &Workspace) -> Vec<Difference> {
    let [theirs, mine] = [stored, yours].map(|workspace| values(form, workspace));
    let of_field = |values: &Values, path: &str| values.get(path).unwrap_or_default().to_owned();
    let fields = form.fields.iter().map(|field| Difference {
        label: field.label.clone(),
        theirs: of_field(&theirs, &field.path),
        yours: of_field(&mine, &field.path),
    });
    let empty: BTreeMap<_, _> = form
        .fields
        .iter()
        .map(|field| (field.path.clone(), String::new()))
        .collect();
    let empty = Values(empty);
    let [theirs, mine] = [stored, yours].map(|workspace| parts(&filled(form, &empty, workspace).workspace));
    let of_path =
        |object: &Value, path: &str| object.pointer(path).map(ToString::to_string).unwrap_or_default();
    let others = json_patch::diff(&theirs, &mine).0;
    let others = others.iter().map(|operation| {
        let path = operation.path();
        let tokens: Vec<_> = path.tokens().map(|token| token.decoded().into_owned()).collect();
        Difference {
            label: tokens.join("."),
            theirs: of_path(&theirs, path.as_str()),
            yours: of_path(&mine, path.as_str()),
        }
    });
    fields
        .filter(|one| one.theirs != one.yours)
        .chain(others)
        .collect()
}

#[cfg(test)]
mod tests {
    use rules::Settings;
    use rules::form::{Offer, form};
    use serde_json::json;

    use super::*;

    fn workspace(spec: &Value) -> Workspace {
        let mut object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "lab", "namespace": "team"}, "spec": {"displayName": "lab", "image": "a"},
        });
        json_patch::merge(&mut object["spec"], spec);
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn each_field_that_differs_is_shown_with_and_without_control() {
        let settings = Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap();
        let offer = Offer {
            template: None,
            settings: &settings,
            options: &BTreeMap::new(),
        };
        let theirs = workspace(&json!({"image": "b", "tolerations": [{"key": "gpu"}]}));
        let mut yours = workspace(&json!({"image": "c", "resources": {"limits": {"memory": "1Gi"}}}));
        yours.metadata.annotations = Some([("example.org/a~b".to_owned(), "c".to_owned())].into());
        let found = differences(&form(&offer, Some(&theirs)), &theirs, &yours);
        let shown: Vec<_> = found
            .iter()
            .map(|it| [&*it.label, &*it.theirs, &*it.yours])
            .collect();
        assert_eq!(
            shown,
            [
                ["Image", "b", "c"],
                ["Memory", "", "1Gi"],
                ["metadata.annotations.example.org/a~b", "", "\"c\""],
                ["spec.tolerations", "[{\"key\":\"gpu\"}]", ""]
            ]
        );
    }
}
