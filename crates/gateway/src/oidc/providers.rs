//! providers in the settings -> those available, as `discovery` finds them (in memory).

use std::sync::OnceLock;

use super::Provider;
use super::admission::Admission;
use super::claims::Mapping;

/// All providers of the settings, in their order.
#[derive(Debug, Default)]
pub struct Providers(Vec<Registered>);

/// One provider: its settings, and the provider itself after its discovery.
#[derive(Debug)]
pub struct Registered {
    /// Used in addresses and in login cookies; unique.
    pub name: String,
    /// Name for users.
    pub title: String,
    /// Issuer identifier.
    pub issuer: String,
    /// How its claims become Kubernetes names.
    pub mapping: Mapping,
    /// Which users are admitted.
    pub admission: Admission,
    /// Redirect path on the auth host. No two providers share one.
    pub callback: String,
    found: OnceLock<Provider>,
}

impl Registered {
    /// A provider before its discovery, which admits every user. `callback`: see the field.
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

    /// The only provider of a gateway.
    pub fn only(issuer: &str, mapping: Mapping) -> Self {
        Self::new(MAIN, issuer, issuer, mapping, CALLBACK)
    }

    /// The provider, after its discovery.
    pub fn get(&self) -> Option<&Provider> {
        self.found.get()
    }

    /// Stores the discovered provider. The first one stays.
    pub fn set(&self, provider: Provider) {
        let _ = self.found.set(provider);
    }
}

/// Name of the provider that the settings `oidc-*` describe.
pub const MAIN: &str = "main";
/// Redirect path of that provider.
pub const CALLBACK: &str = "/callback";

impl Providers {
    /// These providers, in this order.
    pub fn new(list: Vec<Registered>) -> Self {
        Self(list)
    }

    /// All providers.
    pub fn iter(&self) -> impl Iterator<Item = &Registered> {
        self.0.iter()
    }

    /// The provider, if there is exactly one.
    pub fn single(&self) -> Option<&Registered> {
        match &self.0[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The provider of this name.
    pub fn by_name(&self, name: &str) -> Option<&Registered> {
        self.iter().find(|provider| provider.name == name)
    }

    /// The provider of this issuer.
    pub fn by_issuer(&self, issuer: &str) -> Option<&Registered> {
        self.iter().find(|provider| provider.issuer == issuer)
    }
}
