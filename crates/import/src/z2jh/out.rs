//! Leaves and what becomes of them -> parts of a draft and words of the ledger (pure).

use serde_json::Value;

use super::items::Item;
use super::secrets::Secrets;
use super::traits::Leaf;
use super::{Hub, items};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::pod_template::remove_nulls;
use crate::table::is_empty;

/// Where parts and words go.
pub(super) struct Out<'o> {
    /// The values' number in the ledger.
    pub(super) object: usize,
    pub(super) hub: Hub,
    pub(super) ledger: &'o mut Ledger,
    pub(super) draft: &'o mut Draft,
    /// Variables whose values are credentials: name, and where the value is.
    pub(super) secrets: &'o mut Secrets,
    pub(super) judge: &'static Judge,
}

impl Out<'_> {
    /// Puts a leaf.
    pub(super) fn put(&mut self, leaf: &Leaf, to: Target, at: Path, value: impl Into<Value>) {
        let from: Vec<_> = leaf.from.iter().map(|path| (self.object, path.clone())).collect();
        self.draft.put(from, to, at, value);
    }

    /// Puts an item as a whole. `name`: its name here, if it has one.
    pub(super) fn put_whole(&mut self, item: &Item, name: Option<&str>, at: Path) {
        let mut value = item.value.clone();
        remove_nulls(&mut value);
        if let (Some(name), Some(fields)) = (name, value.as_object_mut()) {
            fields.insert("name".to_owned(), name.into());
        }
        let paths = item.leaves.iter().flat_map(|leaf| &leaf.from);
        let from: Vec<_> = paths.map(|path| (self.object, path.clone())).collect();
        self.draft.put(from, Target::Template, at, value);
    }

    /// Says what became of leaves that are not put.
    pub(super) fn tell<'l>(
        &mut self,
        leaves: impl IntoIterator<Item = &'l Leaf>,
        outcome: Outcome,
        text: &str,
    ) {
        for path in leaves.into_iter().flat_map(|leaf| &leaf.from) {
            self.ledger.tell(self.object, path, &Fate::new(outcome, text));
        }
    }

    pub(super) fn lose<'l>(&mut self, leaves: impl IntoIterator<Item = &'l Leaf>, why: &str) {
        self.tell(leaves, Outcome::Lost, why);
    }

    /// Moves leaves below a field.
    pub(super) fn shift<'l>(&mut self, leaves: impl IntoIterator<Item = &'l Leaf>, to: Target, at: &Path) {
        for leaf in leaves {
            if is_empty(&leaf.value) {
                self.tell([leaf], Outcome::SameByDefault, "it is empty");
            } else {
                self.put(leaf, to, at.then(leaf.below.iter().cloned()), leaf.value.clone());
            }
        }
    }
}

/// Items of a template's list, from an index on.
pub(super) fn list(leaves: &[Leaf], at: &Path, offset: usize, out: &mut Out<'_>) {
    for (index, item) in items::of(leaves).iter().enumerate() {
        out.shift(&item.leaves, Target::Template, &at.index(offset + index));
    }
    let others: Vec<_> = leaves.iter().filter(|leaf| leaf.below.is_empty()).collect();
    out.lose(
        others.into_iter().filter(|leaf| !is_empty(&leaf.value)),
        "must be a list",
    );
}
