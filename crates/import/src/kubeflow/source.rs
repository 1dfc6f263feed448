//! An object that says something about a pod -> its lists, and where their items go (pure).

use serde_json::Value;

use crate::draft::Target;
use crate::path::Path;
use crate::table::Place;

/// Space between the indices of items that come from different objects.
pub(super) const APART: usize = 100_000;

/// An object that says something about the pod.
pub(super) struct Source<'a> {
    /// Its number in the ledger.
    pub(super) object: usize,
    pub(super) value: &'a Value,
    /// Its place among those of the same pod: 0 is the Notebook.
    pub(super) order: usize,
    /// Where the fields of the main container are.
    pub(super) main: Path,
    /// Where the fields of the pod are.
    pub(super) pod: Path,
    /// Other containers that run beside the main one, with the index of the first.
    pub(super) sidecars: (Path, usize),
    /// Into which object its variables go, and where.
    pub(super) env: (Target, &'static str),
}

impl<'a> Source<'a> {
    pub(super) fn list(&self, at: &Path) -> &'a [Value] {
        at.get(self.value).as_array().map_or(&[], Vec::as_slice)
    }

    /// Its part below a root.
    pub(super) fn place<'p>(&self, root: &'p Path) -> Place<'p>
    where
        'a: 'p,
    {
        Place {
            object: self.object,
            value: self.value,
            root,
            offset: self.offset(),
        }
    }

    /// Where the labels and annotations of the pod are.
    pub(super) fn metadata(&self) -> Path {
        if self.order == 0 {
            Path::of("spec.template.metadata")
        } else {
            self.pod.clone()
        }
    }

    pub(super) fn offset(&self) -> usize {
        self.order * APART
    }
}
