//! Address of `/new` -> namespace, template and proposed values of a form (IO: as the user).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Workspace;
use api::names::{CREATED_BY, RESERVED_PREFIX};
use api::workspace::DesiredStatus;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use rules::manifest;

use super::{Address, NoForm, view};
use crate::app::Context;
use crate::pages::answers::note;
use crate::pages::form::draft::{Draft, Format, Hidden, Sent};
use crate::pages::form::fields::FormFields;
use crate::pages::form::place::{Place, copy_name, usable_namespace};
use crate::pages::form::problems::{Problems, read_text};
use crate::pages::form::quotas::quotas;
use crate::pages::form::view::{Edit, Form, Yaml};
use crate::pages::templates::{deprecation, usable_templates};
use crate::views::{Nav, Tone};

/// Buttons of the form.
const CREATE: &str = "Create";
const SHOW: &str = "Show the manifest";

/// What the address leads to.
pub(super) struct New {
    pub(super) place: Place,
    /// Address of the choice of another template or namespace; empty if there is no other.
    others: String,
    /// The workspace whose values are copied.
    from: Option<Arc<Workspace>>,
}

impl New {
    /// What the address leads to, or the page that asks for the rest of it.
    pub(super) async fn resolve(context: &Context, address: &Address) -> Result<Self, NoForm> {
        let Context {
            rights, user, app, ..
        } = context;
        let (namespaces, is_partial) = rights.to_create(user, &app.index, &address.namespace).await;
        // Without an answer there may be more.
        let unless = |is_partial, no_form| {
            if is_partial {
                NoForm::no_answer(context)
            } else {
                no_form
            }
        };
        if namespaces.is_empty() {
            return Err(unless(is_partial, NoForm::nowhere(context)));
        }
        let from = original(context, &address.from).await?;
        let mut namespace = namespace(context, address, from.as_deref(), &namespaces);
        if let Some(template) = address.template.as_deref().filter(|name| !name.is_empty())
            && address.namespace.is_empty()
        {
            namespace = usable_namespace(context, template, &namespace, &namespaces).await;
        }
        let address = Address {
            namespace,
            ..address.clone()
        };
        if !namespaces.contains(&address.namespace) {
            let not_there = view::not_there(context, &namespaces, &address);
            let not_there = NoForm::Choose(StatusCode::FORBIDDEN, Box::new(not_there));
            return Err(unless(is_partial, not_there));
        }
        let namespace = std::slice::from_ref(&address.namespace);
        let (templates, is_partial) = usable_templates(context, namespace).await;
        let of_copied = || from.as_ref().and_then(|from| from.spec.template_ref.clone());
        let wanted = address.template.clone().or_else(of_copied).unwrap_or_default();
        let found = match (&*wanted, &*templates) {
            ("", []) if is_partial => None,
            ("", _) => {
                let choose = view::templates(context, &namespaces, &address, &templates);
                return Err(NoForm::Choose(StatusCode::OK, Box::new(choose)));
            }
            (name, all) => all.iter().find(|template| template.name_any() == name).cloned(),
        };
        let others = Address {
            namespace: if namespaces.len() > 1 {
                String::new()
            } else {
                address.namespace.clone()
            },
            template: Some(String::new()),
            ..address.clone()
        };
        let Some(template) = found else {
            let not_usable = NoForm::not_usable(context, &wanted, &address.namespace, &others);
            return Err(unless(is_partial, not_usable));
        };
        let has_others = namespaces.len() > 1 || templates.len() > 1;
        Ok(Self {
            place: Place {
                namespace: address.namespace.clone(),
                template: Some(template),
            },
            others: if has_others { others.text() } else { String::new() },
            from,
        })
    }

    /// The workspace that the empty form shows.
    pub(super) fn proposal(&self, context: &Context) -> Workspace {
        let mut workspace = self.place.proposal(context);
        let Some(from) = &self.from else {
            return workspace;
        };
        workspace.spec = from.spec.clone();
        workspace.spec.template_ref = Some(self.place.template_name());
        workspace.spec.desired_status = DesiredStatus::Running;
        let template = self.place.template.as_deref();
        let has = |name: &String| {
            template.is_some_and(|it| it.spec.options.iter().any(|option| option.name == *name))
        };
        // Another template has other options.
        workspace.spec.options.retain(|name, _| has(name));
        // Two workspaces do not share a home.
        if let Some(storage) = &mut workspace.spec.storage {
            storage.claim_name = None;
        }
        let own = from
            .labels()
            .iter()
            .filter(|(name, _)| !name.starts_with(RESERVED_PREFIX));
        let own: BTreeMap<_, _> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        workspace.metadata.labels = (!own.is_empty()).then_some(own);
        let name = copy_name(&from.name_any(), |name| self.place.is_free(context, name));
        workspace.metadata.name = Some(name);
        workspace
    }

    /// What was sent, over what the form has no field for.
    pub(super) fn draft(&self, context: &Context, hidden: &Hidden, sent: Sent) -> Result<Draft, String> {
        let form = |options: &BTreeMap<_, _>| self.place.form(context, None, options);
        let template = self.place.template_name();
        let fixed = [
            ("metadata.namespace", &*self.place.namespace),
            ("spec.templateRef", &*template),
        ];
        if hidden.written == Format::Yaml {
            if let Some((name, _)) = sent.0.first() {
                return Err(format!("A YAML text must be sent without the field {name:?}."));
            }
            return Ok(Draft::from_text(form, hidden.text.clone(), &fixed));
        }
        let text = (!hidden.text.is_empty()).then(|| hidden.text.clone());
        let base = match &text {
            None => Workspace::default(),
            // The page made it, or checked it before.
            Some(text) => {
                read_text(text, &fixed)
                    .map_err(|_| "The values that the form has no field for cannot be read.".to_owned())?
                    .workspace
            }
        };
        let base = self.complete(context, &base);
        Draft::from_form((self.place.template.as_deref(), form), base, text, sent)
    }

    /// With what the page decides.
    pub(super) fn complete(&self, context: &Context, workspace: &Workspace) -> Workspace {
        let mut workspace = workspace.clone();
        workspace.metadata.namespace = Some(self.place.namespace.clone());
        workspace.spec.template_ref = Some(self.place.template_name());
        if !context.app.index.has_webhook() {
            // No webhook writes it there, and a policy lets users name only themselves.
            let owner = (CREATED_BY.to_owned(), context.user.name.clone());
            workspace
                .metadata
                .annotations
                .get_or_insert_default()
                .extend([owner]);
        }
        workspace
    }

    /// The page with form or text.
    pub(super) async fn page(
        &self,
        context: &Context,
        status: StatusCode,
        draft: &Draft,
        problems: &Problems,
    ) -> Response {
        let wanted = self.complete(context, &draft.workspace);
        let mut hidden = Vec::from(self.place.hidden());
        let why_read_only = context.read_only_in(&self.place.namespace);
        let read_only = why_read_only.is_some();
        let button = if read_only { SHOW } else { CREATE };
        let buttons = vec![(String::new(), String::new(), button.to_owned())];
        let mut layout = context.layout("New workspace", Nav::New);
        layout.read_only = why_read_only.unwrap_or_default();
        if let Some(deprecated) = self.place.template.as_deref().map(deprecation)
            && !deprecated.is_empty()
        {
            layout.notes.push(note(Tone::Warn, deprecated));
        }
        let manifest = || match draft.written {
            Format::Yaml => draft.text.clone().unwrap_or_default(),
            Format::Form if wanted.name_any().is_empty() => String::new(),
            Format::Form => manifest::yaml(&draft.form, &wanted),
        };
        let command = if read_only {
            apply_command(&manifest())
        } else {
            String::new()
        };
        if draft.written == Format::Yaml {
            hidden.push(("written".to_owned(), "yaml".to_owned()));
            let view = Yaml {
                layout,
                to: "/new".to_owned(),
                check: "/new/check".to_owned(),
                hidden,
                text: draft.text.clone().unwrap_or_default(),
                marks: draft.marks(problems),
                buttons,
                form: true,
                cancel: "/".to_owned(),
                command,
            };
            return context.page_with(status, &view);
        }
        let problems = &problems.clone().with_names(&draft.workspace);
        hidden.push(("written".to_owned(), "form".to_owned()));
        hidden.extend(draft.carried_text().map(|text| ("yaml".to_owned(), text)));
        let shown = FormFields {
            form: &draft.form,
            values: &draft.values,
            before: None,
            problems,
        };
        let view = Edit {
            layout,
            template: self.place.template_name(),
            change_template: self.others.clone(),
            quotas: quotas(context, &self.place.namespace).await,
            form: Form {
                to: "/new".to_owned(),
                check: "/new/check".to_owned(),
                hidden,
                summary: problems.summary(&draft.form),
                sections: shown.sections(),
                buttons,
                yaml: true,
                cancel: "/".to_owned(),
                command,
            },
            kept: draft.not_shown(),
        };
        context.page_with(status, &view)
    }
}

/// The workspace to copy, `<namespace>/<name>`, if the user sees its values. Empty: none.
async fn original(context: &Context, from: &str) -> Result<Option<Arc<Workspace>>, NoForm> {
    if from.is_empty() {
        return Ok(None);
    }
    let seen = match from.split_once('/') {
        Some((namespace, name)) => context.readable_workspace(namespace, name).await,
        None => None,
    };
    let seen = seen.ok_or_else(|| NoForm::nothing_to_copy(context))?;
    Ok(Some(seen.workspace))
}

/// The namespace that the user chose, else one that they use.
fn namespace(
    context: &Context,
    address: &Address,
    from: Option<&Workspace>,
    namespaces: &BTreeSet<String>,
) -> String {
    if !address.namespace.is_empty() {
        return address.namespace.clone();
    }
    let of_copied = from
        .and_then(kube::ResourceExt::namespace)
        .filter(|of| namespaces.contains(of));
    if let Some(namespace) = of_copied {
        return namespace;
    }
    let workspaces = context.app.index.workspaces();
    let own = workspaces
        .iter()
        .filter(|it| api::names::owner(&it.metadata) == Some(&*context.user.name));
    let used = own
        .filter_map(|it| it.namespace())
        .filter(|of| namespaces.contains(of))
        .min();
    used.or_else(|| namespaces.first().cloned()).unwrap_or_default()
}

/// `kubectl apply` with this manifest.
fn apply_command(manifest: &str) -> String {
    format!("kubectl apply -f - <<'EOF'\n{}\nEOF", manifest.trim_end())
}
