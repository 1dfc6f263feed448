//! Template, settings and workspace -> the fields of the form (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::template::MinutesRange;
use api::workspace::{DesiredStatus, IdleShutdown, UpdatePolicy};
use api::{Workspace, WorkspaceSpec, WorkspaceTemplateSpec};

use super::Offer;
use super::amounts::{BYTES, CPUS, DEVICES, quantity};
use super::choices;
use super::model::{Change, Field, Form, Kind};
use super::options::{control, default, option_path, sentences, shown};
use crate::checks::resources::{GPU, bounds_of, field as path_of};
use crate::effective::options::{Offered, apply, resolve};
use crate::effective::{Effective, Home, effective, expand, idle};
use crate::validate::may_switch_idle_off;

/// A year in minutes.
const MAX_MINUTES: i32 = 525_600;

const OPTIONS: &str = "Options";
const SIZE: &str = "Size";
const STOP: &str = "Stop";
const ASKED: &str = "Asked by the template";
const NAME_RULE: &str = "lower-case letters, digits and '-', starting with a letter";
const NAME_STAYS: &str = "cannot change: create another workspace of that name";
const TEMPLATE_DECIDES: &str = "is the template's to decide: leave it out";

pub(super) fn form(offer: &Offer<'_>, workspace: Option<&Workspace>) -> Form {
    let raw = offer.template.map(|template| &template.spec);
    let chosen = raw.map(|raw| resolve(raw, offer.options).chosen);
    let chosen = chosen.unwrap_or_default();
    let laid = raw.map(|raw| apply(raw, &chosen));
    let template = laid.as_deref();
    let given = workspace
        .map(|workspace| workspace.spec.clone())
        .unwrap_or_default();
    let table = Table {
        offer,
        template,
        variables: chosen
            .iter()
            .filter_map(|chosen| chosen.choice.set.as_ref())
            .flat_map(|set| &set.variables)
            .collect(),
        now: effective(&given, template, offer.settings),
        blank: effective(&WorkspaceSpec::default(), template, offer.settings),
        given,
        of_pod: of_pod(workspace),
    };
    Form {
        fields: table.fields(),
    }
}

/// When a change of the pod takes effect.
fn of_pod(workspace: Option<&Workspace>) -> Change {
    let Some(workspace) = workspace else {
        return Change::New;
    };
    let has_started = workspace
        .status
        .as_ref()
        .is_some_and(|it| it.started_at.is_some());
    match (workspace.spec.desired_status, workspace.spec.update_policy) {
        (DesiredStatus::Stopped, _) => Change::NextStart,
        (DesiredStatus::Running, UpdatePolicy::Always) => Change::RestartsNow,
        (DesiredStatus::Running, UpdatePolicy::OnStop) if has_started => Change::NextStart,
        (DesiredStatus::Running, UpdatePolicy::OnStop) => Change::Now,
    }
}

struct Table<'a> {
    offer: &'a Offer<'a>,
    /// With what the chosen options set as its defaults.
    template: Option<&'a WorkspaceTemplateSpec>,
    /// Variables that the chosen options set. Of two of one name, the later counts.
    variables: BTreeMap<&'a String, &'a String>,
    /// The workspace's own values; a new one has none.
    given: WorkspaceSpec,
    /// The effective values.
    now: Effective,
    /// The effective values if the workspace had none of its own but chosen options.
    blank: Effective,
    of_pod: Change,
}

impl Table<'_> {
    /// Every field in the order of the page: heading, path, label, control with unit and bound of the template, default.
    fn fields(&self) -> Vec<Field> {
        let image = self
            .template
            .map_or(&self.offer.settings.default_image, |it| &it.default_image);
        let images = choices::images(self.template, self.offer.settings);
        let access = format!("{:?}", self.blank.access);
        let mut fields = vec![
            Field {
                change: self.unless_fixed(Some(NAME_STAYS).filter(|_| self.of_pod != Change::New)),
                ..self
                    .row("", "metadata.name", "Name", text(Some(NAME_RULE)))
                    .require()
            },
            self.row("", "spec.displayName", "Display name", text(None))
                .require(),
            self.of_pod("", "spec.image", "Image", images)
                .or(Some(image.clone())),
        ];
        fields.extend(self.options());
        fields.extend(self.resources());
        fields.extend(self.disk());
        fields.extend(self.idle());
        fields.push(
            self.row("Access", "spec.accessType", "Who may connect", choices::access())
                .or(Some(access)),
        );
        fields.extend(self.requirements());
        fields
    }

    /// A field whose change needs no restart.
    fn row(
        &self,
        section: &'static str,
        path: impl Into<String>,
        label: impl Into<String>,
        kind: Kind,
    ) -> Field {
        Field {
            path: path.into(),
            section,
            label: label.into(),
            help: String::new(),
            kind,
            default: None,
            is_required: false,
            change: self.unless_fixed(None),
        }
    }

    /// A field of the pod.
    fn of_pod(
        &self,
        section: &'static str,
        path: impl Into<String>,
        label: impl Into<String>,
        kind: Kind,
    ) -> Field {
        Field {
            change: self.of_pod.clone(),
            ..self.row(section, path, label, kind)
        }
    }

    fn unless_fixed(&self, why: Option<&str>) -> Change {
        match (why, &self.of_pod) {
            (Some(why), _) => Change::Refused(why.to_owned()),
            (None, Change::New) => Change::New,
            (None, _) => Change::Now,
        }
    }

    /// The template's options that are offered beside what is chosen.
    fn options(&self) -> Vec<Field> {
        let Some(template) = self.offer.template else {
            return Vec::new();
        };
        let field = |option: &Offered<'_>| {
            let default = default(&template.spec, self.offer.options, option.name);
            let path = option_path(option.name);
            Field {
                help: sentences(option.description, option.deprecated),
                is_required: default.is_none(),
                ..self
                    .of_pod(OPTIONS, path, option.display_name, control(option))
                    .or(default)
            }
        };
        let shown = shown(&template.spec, &self.given.options, self.offer.options);
        shown.iter().map(field).collect()
    }

    /// CPUs, memory, and the devices that template or workspace name.
    fn resources(&self) -> Vec<Field> {
        let bounds = self
            .template
            .and_then(|template| template.resource_bounds.as_ref());
        let defaults = self
            .template
            .and_then(|template| template.default_resources.as_ref());
        let amounts = [
            self.given.resources.as_ref(),
            defaults,
            Some(&self.offer.settings.default_resources),
        ];
        let named = amounts.into_iter().flatten().flat_map(|it| it.limits.keys());
        let bounded = bounds.into_iter().flat_map(|bounds| bounds.resources.keys());
        let of_gpus = bounds.and_then(|bounds| bounds.gpu.as_ref()).map(|_| GPU);
        let devices: BTreeSet<&str> = named
            .chain(bounded)
            .map(String::as_str)
            .chain(of_gpus)
            .filter(|name| name.contains('/'))
            .collect();
        let field = |(name, units)| {
            let bounds = bounds_of(bounds, name);
            let kind = quantity(bounds.iter().map(|it| (it.min.as_ref(), it.max.as_ref())), units);
            if matches!(&kind, Kind::Quantity { max: Some(max), .. } if max.is_zero()) {
                return None;
            }
            let label = match name {
                "cpu" => "CPUs",
                "memory" => "Memory",
                GPU => "GPUs",
                name => name,
            };
            let default = self
                .blank
                .resources
                .limits
                .get(name)
                .map(|amount| amount.0.clone());
            Some(
                self.of_pod(SIZE, path_of("spec.resources", "limits", name), label, kind)
                    .or(default),
            )
        };
        let devices = devices.into_iter().map(|name| (name, DEVICES));
        [("cpu", CPUS), ("memory", BYTES)]
            .into_iter()
            .chain(devices)
            .filter_map(field)
            .collect()
    }

    /// The size of the disk. A claim that a user names as home has its own.
    fn disk(&self) -> Option<Field> {
        if matches!(self.now.home, Home::Claim { .. }) {
            return None;
        }
        let disk = self
            .template
            .and_then(|template| template.primary_storage.as_ref());
        let kind = quantity(disk.map(|it| (it.min_size.as_ref(), it.max_size.as_ref())), BYTES);
        let (default, help) = match &self.blank.home {
            Home::Disk { size, .. } => (Some(size.0.clone()), "It can grow later, but not shrink."),
            _ => (None, "Without a disk, a stop deletes the files."),
        };
        let (section, path, label) = ("Disk", "spec.storage.size", "Home disk");
        let row = if matches!(self.now.home, Home::Ephemeral { .. }) {
            self.of_pod(section, path, label, kind)
        } else {
            self.row(section, path, label, kind)
        };
        Some(Field {
            help: help.to_owned(),
            ..row.or(default)
        })
    }

    fn idle(&self) -> [Field; 3] {
        let overrides = self
            .template
            .and_then(|template| template.idle_shutdown_overrides.as_ref());
        let is_fixed = overrides.is_some_and(|overrides| !overrides.allow);
        let fixed = |is_fixed: bool| self.unless_fixed(is_fixed.then_some(TEMPLATE_DECIDES));
        let is_on = self
            .blank
            .idle
            .as_ref()
            .is_some_and(|it| it.enabled == Some(true));
        let enabled = IdleShutdown {
            enabled: Some(true),
            ..IdleShutdown::default()
        };
        let effective = idle::effective(Some(&enabled), self.template).unwrap_or(enabled);
        let number = |range: MinutesRange, min| Kind::Number {
            min: range.min.unwrap_or(min),
            max: range.max.unwrap_or(MAX_MINUTES),
            unit: "minutes",
        };
        let timeout_range = self.template.map(idle::bounds).unwrap_or_default();
        let open_tab_range = self.template.map(idle::open_tab_bounds).unwrap_or_default();
        let toggle = choices::yes_or_no(self.template.is_none_or(may_switch_idle_off));
        let (is_enabled, timeout, open_tab) = (
            "spec.idleShutdown.enabled",
            "spec.idleShutdown.idleTimeoutInMinutes",
            "spec.idleShutdown.openTabMinutes",
        );
        let minutes = |path, label, range: MinutesRange, min, default: Option<i32>| Field {
            change: fixed(
                self.template
                    .is_some_and(|template| idle::is_fixed(template, range)),
            ),
            ..self
                .row(STOP, path, label, number(range, min))
                .or(default.map(|it| it.to_string()))
        };
        [
            Field {
                change: fixed(is_fixed),
                ..self
                    .row(STOP, is_enabled, "Stop when idle", toggle)
                    .or(Some(is_on.to_string()))
            },
            minutes(
                timeout,
                "Minutes without use before the stop",
                timeout_range,
                1,
                effective.idle_timeout_in_minutes,
            ),
            Field {
                help: "After the last act. Then the minutes without use begin.".to_owned(),
                ..minutes(
                    open_tab,
                    "Minutes for which an open page counts as use",
                    open_tab_range,
                    0,
                    effective.open_tab_minutes,
                )
            },
        ]
    }

    /// Labels and variables that the template requires and gives no value.
    fn requirements(&self) -> Vec<Field> {
        let Some(template) = self.template else {
            return Vec::new();
        };
        let labels = template.label_requirements.iter().filter(|asked| {
            asked.required && template.base_labels.iter().all(|label| label.name != asked.name)
        });
        let labels = labels.map(|asked| {
            let path = format!("metadata.labels[{}]", asked.name.escape_debug());
            self.row(
                ASKED,
                path,
                format!("Label {}", asked.name),
                text(asked.regex.as_deref()),
            )
        });
        let env = template.env_requirements.iter().filter(|asked| {
            asked.required
                && template
                    .environment_variables
                    .iter()
                    .all(|it| it.name != asked.name)
        });
        let env = env.map(|asked| {
            let path = format!("spec.env[{}]", asked.name.escape_debug());
            self.of_pod(
                ASKED,
                path,
                format!("Environment variable {}", asked.name),
                text(asked.regex.as_deref()),
            )
        });
        // Only a dotted name in braces is always a variable.
        let variables = expand::names(template)
            .into_iter()
            .filter(|name| name.contains('.'));
        let variables = variables.map(|name| {
            let path = format!("spec.variables[{}]", name.escape_debug());
            let given = self.variables.get(&name).map(|value| (*value).clone());
            Field {
                is_required: given.is_none(),
                ..self
                    .of_pod(ASKED, path, format!("Variable {name}"), text(None))
                    .or(given)
            }
        });
        let asked = labels.chain(env).map(Field::require);
        asked.chain(variables).collect()
    }
}

fn text(rule: Option<&str>) -> Kind {
    Kind::Text {
        rule: rule.map(str::to_owned),
    }
}

impl Field {
    /// With a default.
    fn or(self, default: Option<String>) -> Self {
        Self { default, ..self }
    }

    /// A new workspace needs a value. An existing one has it, or needs none.
    fn require(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }
}
