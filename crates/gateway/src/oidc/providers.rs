//! the identity providers, each found in its own time (pure; `discovery` fills it).

use std::sync::OnceLock;

use super::Provider;
use super::admission::Admission;
use super::claims::Mapping;

/// All providers of the settings, in their order.
#[derive(Debug, Default)]
pub struct Providers(Vec<Registered>);

/// One provider: what the settings say of it, and the provider itself once it was found.
#[derive(Debug)]
pub struct Registered {
    /// Stands in addresses and in cookies of logins; no two have the same.
    pub name: String,
    /// What users call it.
    pub title: String,
    /// Its identifier.
    pub issuer: String,
    /// How its claims become Kubernetes names.
    pub mapping: Mapping,
    /// Whom it may admit.
    pub admission: Admission,
    /// Path on the auth host that it, and no other, sends browsers back to.
    pub callback: String,
    found: OnceLock<Provider>,
}

impl Registered {
    /// A provider that was not found yet, and admits everybody. `callback`: see the field.
    pub fn new(name: &str, title: &str, issuer: &str, mapping: Mapping, callback: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            issuer: issuer.to_owned(),
            mapping,
            admission: Admission::default(),
            callback: callback.to_owned(),
            found: OnceLock::new(),
        }
    }

    /// The same, admitting only these.
    #[must_use]
    pub fn admitting(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// The only provider of a gateway.
    pub fn only(issuer: &str, mapping: Mapping) -> Self {
        Self::new(MAIN, issuer, issuer, mapping, CALLBACK)
    }

    /// The provider, once it was found.
    pub fn get(&self) -> Option<&Provider> {
        self.found.get()
    }

    /// It was found. What was found first stays.
    pub fn set(&self, provider: Provider) {
        let _ = self.found.set(provider);
    }
}

/// Name of the provider that the settings `oidc-*` describe.
pub const MAIN: &str = "main";
/// The path that it sends browsers back to.
pub const CALLBACK: &str = "/callback";

impl Providers {
    /// These, in this order.
    pub fn new(list: Vec<Registered>) -> Self {
        Self(list)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Registered> {
        self.0.iter()
    }

    /// The one that there is no choice about.
    pub fn single(&self) -> Option<&Registered> {
        match &self.0[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The one of this name.
    pub fn by_name(&self, name: &str) -> Option<&Registered> {
        self.iter().find(|provider| provider.name == name)
    }

    /// The one with this issuer.
    pub fn by_issuer(&self, issuer: &str) -> Option<&Registered> {
        self.iter().find(|provider| provider.issuer == issuer)
    }
}
