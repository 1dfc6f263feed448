//! Manifest -> its kind and name (pure).

use serde_json::Value;

use crate::settings::ObjectKind;

/// Kind and name of a manifest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) kind: ObjectKind,
    /// As written; `None`: the default name.
    pub(crate) name: Option<String>,
}

impl Identity {
    /// Returns `None` for an invalid manifest.
    pub(crate) fn from_manifest(manifest: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            kind: ObjectKind {
                api_version: text(&manifest["apiVersion"])?,
                kind: text(&manifest["kind"])?,
            },
            name: text(&manifest["metadata"]["name"]),
        })
    }
}

/// The kind of a manifest, if it has one.
pub fn kind_of(manifest: &Value) -> Option<ObjectKind> {
    Some(Identity::from_manifest(manifest)?.kind)
}
