//! Objects -> files (pure).

use serde_json::Value;

use crate::Error;

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, without folder.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

/// A file with these objects; `None`: there are none.
pub(crate) fn file(name: &'static str, objects: &[Value]) -> Result<Option<File>, Error> {
    let documents = objects.iter().map(serde_saphyr::to_string);
    let documents: Result<Vec<_>, _> = documents.collect();
    let documents = documents.map_err(|error| Error::Bug(format!("{name}: {error}")))?;
    Ok((!documents.is_empty()).then(|| File {
        name,
        text: documents.join("---\n"),
    }))
}
