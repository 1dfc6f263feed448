//! Manifest -> the object that it describes: kind and name (pure).

use serde_json::Value;

use crate::settings::ObjectKind;
use crate::violation::Violation;

/// Kind and name of an object of one namespace.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) kind: ObjectKind,
    /// As written, with variables, or with their values.
    pub(crate) name: String,
}

impl Identity {
    /// Returns `None` for a manifest without kind. `usual`: the name of one without name.
    pub(crate) fn from_manifest(manifest: &Value, usual: &str) -> Option<Self> {
        let name = manifest["metadata"]["name"].as_str().unwrap_or(usual);
        Some(Self {
            kind: kind_of(manifest)?,
            name: name.to_owned(),
        })
    }

    /// Whether both are one object of the API server, which shows it in each version of its kind.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.kind.is_version_of(&other.kind)
    }
}

/// The kind of a manifest, if it has one.
pub fn kind_of(manifest: &Value) -> Option<ObjectKind> {
    let text = |key: &str| manifest[key].as_str().map(str::to_owned);
    Some(ObjectKind {
        api_version: text("apiVersion")?,
        kind: text("kind")?,
    })
}

/// The objects that manifests described so far.
#[derive(Debug, Default)]
pub(crate) struct Described(Vec<Identity>);

impl Described {
    /// Adds the object of a manifest. Returns the violation of one that an earlier manifest describes as well.
    pub(crate) fn add(&mut self, path: &str, identity: Identity) -> Option<Violation> {
        let violation = second(path, &identity, self.0.iter());
        self.0.push(identity);
        violation
    }
}

/// The violation of a manifest whose object an earlier one describes as well: the two would replace each other at each reconcile.
pub(super) fn second<'a>(
    path: &str,
    identity: &Identity,
    mut earlier: impl Iterator<Item = &'a Identity>,
) -> Option<Violation> {
    let rule = "is the second manifest of this kind and name: give it a metadata.name of its own";
    earlier
        .any(|other| other.is_same(identity))
        .then(|| Violation::new(path, &identity.name, rule))
}
