//! Template, settings and workspace -> the fields of the form (pure).
//!
//! - this file: names, labels, image
//! - `compute`: requests, limits, shared memory
//! - `storage`: the home disk and further disks
//! - `running`: when it stops, what it runs as, who may connect

mod compute;
mod running;
mod storage;

use api::{Workspace, WorkspaceSpec, WorkspaceTemplateSpec};
use kube::ResourceExt as _;

use super::Offer;
use super::changes::Changes;
use super::choices;
use super::model::{By, Change, Field, Form, Group, Kind, Source};
use crate::effective::{Effective, effective};
use crate::quantity::Quantity;

pub(super) fn form(offer: &Offer<'_>, workspace: Option<&Workspace>) -> Form {
    let builder = Builder::of(offer, workspace);
    let mut fields = builder.general();
    fields.extend(builder.image());
    fields.extend(builder.resources());
    fields.extend(builder.storage());
    fields.extend(builder.lifetime());
    fields.extend(builder.runtime());
    fields.extend(builder.access());
    Form {
        template: match (offer.template, workspace) {
            (Some(template), _) => Some(template.name_any()),
            (None, Some(workspace)) => workspace.spec.template_ref.clone(),
            (None, None) => None,
        },
        fields,
    }
}

struct Builder<'a> {
    offer: &'a Offer<'a>,
    workspace: Option<&'a Workspace>,
    template: Option<&'a WorkspaceTemplateSpec>,
    /// The workspace's own values; a new one has none.
    given: WorkspaceSpec,
    /// The effective values.
    now: Effective,
    /// The effective values if the workspace had none of its own.
    blank: Effective,
    changes: Changes,
}

impl<'a> Builder<'a> {
    fn of(offer: &'a Offer<'a>, workspace: Option<&'a Workspace>) -> Self {
        let template = offer.template.map(|template| &template.spec);
        let given = workspace.map_or_else(WorkspaceSpec::default, |workspace| workspace.spec.clone());
        let now = effective(&given, template, offer.settings);
        Self {
            offer,
            workspace,
            template,
            blank: effective(&WorkspaceSpec::default(), template, offer.settings),
            changes: Changes::of(workspace, &now),
            given,
            now,
        }
    }

    fn field(&self, group: Group, path: impl Into<String>, label: impl Into<String>, kind: Kind) -> Field {
        let path = path.into();
        Field {
            change: self.changes.of_field(&path),
            path,
            group,
            is_further: false,
            label: label.into(),
            help: "",
            kind,
            default: None,
            default_from: Source::Installation,
            is_required: false,
        }
    }

    fn general(&self) -> Vec<Field> {
        let name = Kind::Text {
            max_length: api::names::MAX_WORKSPACE_NAME,
            rule: Some("lower-case letters, digits and '-', starting with a letter".to_owned()),
        };
        let title = Kind::Text {
            max_length: 100,
            rule: None,
        };
        let mut fields = vec![
            self.field(Group::General, "metadata.name", "Name", name)
                .required(),
            self.field(Group::General, "spec.displayName", "Display name", title)
                .required(),
        ];
        let Some(template) = self.template else {
            return fields;
        };
        for asked in &template.label_requirements {
            let default = template.base_labels.iter().find(|label| label.name == asked.name);
            let kind = Kind::Text {
                max_length: 63,
                rule: asked.regex.clone(),
            };
            let path = format!("metadata.labels[{}]", asked.name.escape_debug());
            let field = self
                .field(Group::General, path, format!("Label {}", asked.name), kind)
                .help("The template asks for this label.")
                .default(default.map(|label| label.value.clone()), Source::Template);
            let is_required = asked.required && default.is_none();
            fields.push(if is_required {
                field.required()
            } else {
                field.further()
            });
        }
        fields
    }

    fn image(&self) -> Vec<Field> {
        let kind = choices::images(self.template, self.offer.settings);
        let (image, source) = match self.template {
            Some(template) => (&template.default_image, Source::Template),
            None => (&self.offer.settings.default_image, Source::Installation),
        };
        vec![
            self.field(Group::Image, "spec.image", "Image", kind)
                .default(Some(image.clone()), source),
        ]
    }
}

/// Sets parts of a field.
impl Field {
    fn further(self) -> Self {
        Self {
            is_further: true,
            ..self
        }
    }

    fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    fn default(self, default: Option<String>, default_from: Source) -> Self {
        Self {
            default,
            default_from,
            ..self
        }
    }

    /// A new workspace needs a value. An existing one has it, or needs none.
    fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    /// A quantity needs a value if its default is outside of the template's bounds.
    fn required_without_default(self) -> Self {
        let default = self.default.as_deref().unwrap_or("0").parse::<Quantity>();
        let (Kind::Quantity { min, max, .. }, Ok(default)) = (&self.kind, default) else {
            return self;
        };
        let is_below = min.by == By::Template && default < min.value;
        let is_above = max.by == By::Template && default > max.value;
        if !is_below && !is_above {
            return self;
        }
        Self {
            default: None,
            is_required: true,
            ..self
        }
    }

    fn fixed(self, because: &str) -> Self {
        Self {
            change: Change::Refused(because.to_owned()),
            ..self
        }
    }
}
