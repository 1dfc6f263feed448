//! When it stops, what it runs as, who may connect -> fields (pure).

use std::collections::BTreeSet;

use api::workspace::IdleShutdown;

use super::super::choices;
use super::super::model::{Field, Group, Kind, Source};
use super::Builder;
use crate::effective::DEFAULT_PORT;
use crate::effective::{expand, idle, limits};
use crate::validate::may_switch_idle_off;

/// A year in minutes.
const MAX_MINUTES: i32 = 525_600;
/// Most rows of environment variables, by the schema.
const MAX_ENV: usize = 64;

impl Builder<'_> {
    pub(super) fn lifetime(&self) -> Vec<Field> {
        let overrides = self
            .template
            .and_then(|template| template.idle_shutdown_overrides.as_ref());
        let never = "is the template's to decide: leave it out";
        let is_fixed = overrides.is_some_and(|overrides| !overrides.allow);
        let is_timeout_fixed = self.template.is_some_and(idle::is_timeout_fixed);
        let range = self.template.map(idle::bounds).unwrap_or_default();
        let values = match self.template {
            Some(template) if !may_switch_idle_off(template) => vec![true],
            _ => vec![true, false],
        };
        let on = self
            .blank
            .idle
            .as_ref()
            .is_some_and(|it| it.enabled == Some(true));
        let enabled = IdleShutdown {
            enabled: Some(true),
            ..IdleShutdown::default()
        };
        let minutes =
            idle::effective(Some(&enabled), self.template).and_then(|it| it.idle_timeout_in_minutes);
        let idle_from = if self
            .template
            .is_some_and(|template| template.default_idle_shutdown.is_some())
        {
            Source::Template
        } else {
            Source::Installation
        };
        let idle = [
            self.field(
                Group::Lifetime,
                "spec.idleShutdown.enabled",
                "Stop when idle",
                Kind::Toggle { values },
            )
            .default(Some(on.to_string()), idle_from),
            self.field(
                Group::Lifetime,
                "spec.idleShutdown.idleTimeoutInMinutes",
                "Minutes without use before the stop",
                Kind::Number {
                    min: range.min.unwrap_or(1),
                    max: range.max.unwrap_or(MAX_MINUTES),
                    unit: "minutes",
                },
            )
            .default(minutes.map(|minutes| minutes.to_string()), idle_from),
        ];
        let mut fields: Vec<_> = idle
            .into_iter()
            .zip([is_fixed, is_timeout_fixed])
            .map(|(it, is_fixed)| if is_fixed { it.fixed(never) } else { it })
            .collect();
        let bounds = self.template.map(limits::bounds).unwrap_or_default();
        let start = self.blank.limits.start_timeout_minutes;
        fields.push(
            self.field(
                Group::Lifetime,
                "spec.limits.startTimeoutMinutes",
                "Minutes for a start",
                Kind::Number {
                    min: bounds.min.unwrap_or(1),
                    max: bounds.max.unwrap_or(MAX_MINUTES),
                    unit: "minutes",
                },
            )
            .help("A start that takes longer counts as failed. Empty: no limit of its own.")
            .default(start.map(|minutes| minutes.to_string()), Source::Template)
            .further(),
        );
        fields.push(
            self.field(
                Group::Lifetime,
                "spec.updatePolicy",
                "Changes of a running workspace",
                choices::update_policy(),
            )
            .default(Some("OnStop".to_owned()), Source::Installation)
            .further(),
        );
        fields
    }

    pub(super) fn runtime(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        let profiles = choices::profiles(self.offer, self.workspace);
        if !profiles.is_empty() {
            let default = self
                .template
                .and_then(|template| template.execution_profile_ref.clone());
            let path = "spec.executionProfileRef";
            fields.push(
                self.field(Group::Runtime, path, "Execution profile", Kind::Choice(profiles))
                    .help("What the pod runs as.")
                    .default(default, Source::Template),
            );
        }
        let given = self.given.variables.keys().cloned();
        let names: BTreeSet<String> = self
            .template
            .map(expand::names)
            .unwrap_or_default()
            .into_iter()
            .chain(given)
            .collect();
        for name in names {
            let kind = Kind::Text {
                max_length: 1024,
                rule: None,
            };
            let path = format!("spec.variables[{}]", name.escape_debug());
            let field = self
                .field(Group::Runtime, path, format!("Variable {name}"), kind)
                .help("The template uses this variable.");
            // Only a dotted name in braces is always a variable.
            fields.push(if name.contains('.') {
                field.required()
            } else {
                field.further()
            });
        }
        let kind = Kind::Env {
            max: MAX_ENV,
            rules: choices::env_rules(self.template),
        };
        fields.push(self.field(Group::Runtime, "spec.env", "Environment variables", kind));
        let (port, from) = match self.template.and_then(|template| template.default_port) {
            Some(port) => (port, Source::Template),
            None => (DEFAULT_PORT, Source::Installation),
        };
        let kind = Kind::Number {
            min: 1024,
            max: 65535,
            unit: "",
        };
        fields.push(
            self.field(Group::Runtime, "spec.port", "Port of the application", kind)
                .default(Some(port.to_string()), from)
                .further(),
        );
        fields
    }

    pub(super) fn access(&self) -> Vec<Field> {
        let theirs = |is_set: bool| {
            if is_set {
                Source::Template
            } else {
                Source::Installation
            }
        };
        let access = self
            .template
            .is_some_and(|template| template.default_access_type.is_some());
        let ownership = self
            .template
            .is_some_and(|template| template.default_ownership_type.is_some());
        vec![
            self.field(
                Group::Access,
                "spec.accessType",
                "Who may connect",
                choices::access(),
            )
            .default(Some(format!("{:?}", self.blank.access)), theirs(access))
            .further(),
            self.field(
                Group::Access,
                "spec.ownershipType",
                "Who may change it",
                choices::ownership(),
            )
            .default(Some(format!("{:?}", self.blank.ownership)), theirs(ownership))
            .further(),
        ]
    }
}
