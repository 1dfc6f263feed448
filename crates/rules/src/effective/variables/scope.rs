//! Workspace, its manager and settings -> variables and their values (pure).

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceManager};
use kube::ResourceExt as _;
use serde_json::Value;

use super::{VariableError, scan};
use crate::effective::{Effective, Home};
use crate::names;

/// Prefixes (before the first dot) of built-in variables. No workspace can override these variables.
const BUILT_IN: [&str; 6] = [
    "workspace",
    "owner",
    "service",
    "routing",
    "authentication",
    "pvcs",
];
/// Sample UID for a workspace that is not stored yet. It has the same format as a real UID.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// Whether `name` can name a variable: parts of letters, digits, `_` and `-`, joined by dots.
/// No part starts with a digit or `-`.
pub fn is_name(name: &str) -> bool {
    scan::is_name(name)
}

/// Whether `name` has the prefix of built-in variables.
pub fn is_built_in(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(first, _)| BUILT_IN.contains(&first))
}

/// All known variables and their values.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says how one kind of text is read, and they are independent"
)]
pub struct Scope {
    built_in: BTreeMap<String, Value>,
    given: BTreeMap<String, String>,
    typed: bool,
    strict: bool,
    sample: bool,
    /// Whether each name in braces is a variable, also one that nobody sets.
    is_closed: bool,
}

/// Variables that an identity may depend on.
const IDENTITY: [&str; 4] = ["workspace.uid", "workspace.namespace", "owner.name", "owner.slug"];
/// Variables that a token's audience may depend on: those that no user chooses.
pub(crate) const AUDIENCE: [&str; 2] = ["workspace.uid", "workspace.namespace"];

/// Variables of a template's objects, besides those that choices set.
const OBJECTS: [&str; 3] = ["workspace.name", "workspace.namespace", "workspace.uid"];

/// Built-in variables of every workspace, each with a sample value in its format.
const SAMPLES: [(&str, &str); 13] = [
    ("workspace.name", "sample"),
    ("workspace.namespace", "sample"),
    ("workspace.uid", NO_UID),
    ("workspace.host", "sample.example.org"),
    ("workspace.basePath", "/"),
    ("owner.name", "sample"),
    ("owner.slug", "sample-aaaaaaaaaaaaaaaa"),
    ("service.name", "workspace-sample"),
    ("service.port", "8888"),
    ("routing.baseDomain", "example.org"),
    ("routing.port", "443"),
    ("pvcs.home", "workspace-sample"),
    ("authentication.address", "https://auth.example.org/"),
];
/// Value of any other variable.
const SAMPLE: &str = "sample";

impl Scope {
    /// Sample variables, for validation without a workspace. Every name is known, except for unknown built-in names.
    pub fn sample() -> Self {
        let samples = SAMPLES.map(|(name, value)| (name.to_owned(), Value::from(value)));
        Self {
            built_in: samples.into(),
            given: BTreeMap::new(),
            typed: false,
            strict: false,
            sample: true,
            is_closed: false,
        }
    }

    /// Retains only variables that the author of a workspace cannot influence: `workspace.uid`, `workspace.namespace` and those of the
    /// owner.
    #[must_use]
    pub fn identity(self) -> Self {
        self.only(&IDENTITY)
    }

    /// Retains only `workspace.uid` and `workspace.namespace`.
    #[must_use]
    pub fn audience(self) -> Self {
        self.only(&AUDIENCE)
    }

    /// Retains only `workspace.name`, `workspace.namespace` and `workspace.uid`, and adds the fixed texts that choices set. Any other name in
    /// braces is an unknown variable: nobody knows which text of a foreign kind names a Secret.
    #[must_use]
    pub fn of_objects(self, of_choices: BTreeMap<String, String>) -> Self {
        Self {
            given: of_choices,
            // The template's author wrote these texts.
            strict: false,
            is_closed: true,
            ..self.only(&OBJECTS)
        }
    }

    fn only(mut self, names: &[&str]) -> Self {
        self.built_in.retain(|name, _| names.contains(&name.as_str()));
        self.without_workspace_variables().strict()
    }

    /// Adds sample values for the manager's variables while the manager is unknown.
    #[must_use]
    pub fn with_sample_manager(mut self) -> Self {
        let of_manager = [
            "workspace.host",
            "workspace.basePath",
            "routing.baseDomain",
            "routing.port",
        ];
        for (name, value) in SAMPLES.into_iter().filter(|(name, _)| of_manager.contains(name)) {
            self.built_in.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The variables of the workspace alone: `workspace.name`, `workspace.namespace`, `workspace.uid`, `service.name`, and
    /// `spec.variables`.
    /// With an owner, also `owner.name` and `owner.slug`.
    pub fn for_workspace(workspace: &Workspace) -> Self {
        let name = workspace.name_any();
        let uid = workspace.uid().filter(|uid| !uid.is_empty());
        let scope = Self {
            built_in: BTreeMap::new(),
            given: workspace.spec.variables.clone(),
            typed: false,
            strict: false,
            sample: false,
            is_closed: false,
        }
        .with("service.name", names::child(&name))
        .with("workspace.name", name)
        .with("workspace.namespace", workspace.namespace().unwrap_or_default())
        .with("workspace.uid", uid.unwrap_or_else(|| NO_UID.to_owned()));
        match api::names::owner(&workspace.metadata) {
            Some(owner) => scope
                .with("owner.name", owner)
                .with("owner.slug", names::owner_slug(owner)),
            None => scope,
        }
    }

    /// Adds variables of the effective workspace: `service.port`, `pvcs.home` (the claim of the home, if it is a disk), and
    /// `pvcs.<name>` for each additional disk, named or of its own.
    #[must_use]
    pub fn with_effective(mut self, effective: &Effective) -> Self {
        let home = match &effective.home {
            Home::Disk { .. } => Some(self.text_of("service.name")),
            Home::Claim { name, .. } => Some(name.clone()),
            Home::Ephemeral { .. } => None,
        };
        if let Some(claim) = home {
            self = self.with("pvcs.home", claim);
        }
        for volume in &effective.volumes {
            let name = format!("pvcs.{}", volume.name);
            self = self.with(&name, volume.persistent_volume_claim_name.as_str());
        }
        for claim in &effective.volume_claims {
            let value = names::further_claim(&claim.name, &self.text_of("workspace.name"));
            self = self.with(&format!("pvcs.{}", claim.name), value);
        }
        self.with("service.port", effective.port)
    }

    /// Adds variables of the manager: `routing.port`, `workspace.basePath` and, with a base domain, `routing.baseDomain`, `workspace.host`.
    /// For a forward-auth service, it also adds `authentication.address`, `authentication.responseHeaders` and
    /// `authentication.requestHeaders`.
    #[must_use]
    pub fn with_manager(mut self, manager: &WorkspaceManager) -> Self {
        let routing = &manager.spec.routing;
        let (host, folder) = names::place(
            routing,
            &self.text_of("workspace.namespace"),
            &self.text_of("workspace.name"),
            &self.text_of("workspace.uid"),
        );
        if let Some(service) = &manager.spec.authentication.forward_auth {
            self = self
                .with("authentication.address", service.address.as_str())
                .with(
                    "authentication.responseHeaders",
                    service.auth_response_headers.clone(),
                )
                .with(
                    "authentication.requestHeaders",
                    service.auth_request_headers.clone(),
                );
        }
        if !routing.base_domain.is_empty() {
            self = self
                .with("workspace.host", host)
                .with("routing.baseDomain", routing.base_domain.as_str());
        }
        self.with("workspace.basePath", folder + "/")
            .with("routing.port", routing.external_port())
    }

    /// Adds one built-in variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.built_in.insert(name.to_owned(), value.into());
        self
    }

    /// Makes a string of exactly one variable become that variable's value: a number or a list.
    #[must_use]
    pub fn typed(mut self) -> Self {
        self.typed = true;
        self
    }

    /// For texts in another language, such as the rules of a proxy. Values with quotes, spaces or brackets are refused there,
    /// because they might have a meaning.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Removes the variables that the workspace sets itself, for texts that its author must not influence.
    #[must_use]
    pub fn without_workspace_variables(mut self) -> Self {
        self.given.clear();
        self.sample = false;
        self
    }

    /// Whether `{name}` is a variable. A name without a dot is one only if the workspace sets it, or if every name is.
    pub(super) fn claims(&self, name: &str) -> bool {
        name.contains('.') || self.sample || self.is_closed || self.given.contains_key(name)
    }

    /// The value for a string of exactly this variable, if it must be text.
    pub(super) fn whole(&self, name: &str) -> Option<Value> {
        self.built_in
            .get(name)
            .filter(|value| self.typed && !value.is_string())
            .cloned()
    }

    pub(super) fn text(&self, name: &str) -> Result<String, VariableError> {
        if let Some(value) = self.built_in.get(name) {
            return self.check(name, plain(value));
        }
        let guessed = self.sample && (!is_built_in(name) || name.starts_with("pvcs."));
        match self.given.get(name).filter(|_| !is_built_in(name)) {
            Some(value) => self.check(name, value.clone()),
            None if guessed => Ok(SAMPLE.to_owned()),
            None => Err(VariableError::Unknown {
                name: name.to_owned(),
                known: self.known(),
            }),
        }
    }

    fn check(&self, name: &str, value: String) -> Result<String, VariableError> {
        let harmless = |c: char| c.is_ascii_alphanumeric() || "._-:/@%+=~".contains(c);
        // A value from an administrator may contain any character.
        let theirs = self.given.contains_key(name) || name.starts_with("owner.");
        if self.strict && theirs && !value.chars().all(harmless) {
            let name = name.to_owned();
            return Err(VariableError::Unsafe { name, value });
        }
        Ok(value)
    }

    fn text_of(&self, name: &str) -> String {
        self.built_in.get(name).map(plain).unwrap_or_default()
    }

    fn known(&self) -> String {
        let given = self.given.keys().filter(|name| !is_built_in(name));
        let names: Vec<_> = self.built_in.keys().chain(given).map(String::as_str).collect();
        names.join(", ")
    }
}

/// Formats a value within a text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
