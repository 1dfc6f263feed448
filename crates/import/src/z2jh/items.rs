//! Leaves of a list, or of a map whose values count by order of keys -> its items (pure).

use serde_json::Value;

use super::traits::Leaf;
use crate::draft::{Draft, Target};
use crate::path::{Path, Step};

/// An item.
pub(super) struct Item {
    /// Its key or index.
    pub(super) key: Step,
    /// Its leaves, with their places in it.
    pub(super) leaves: Vec<Leaf>,
    pub(super) value: Value,
}

impl Item {
    /// Its field `name`.
    pub(super) fn name(&self) -> Option<&str> {
        self.value["name"].as_str().filter(|name| !name.is_empty())
    }

    /// The leaf at a path.
    pub(super) fn leaf(&self, at: &str) -> Option<&Leaf> {
        let at = Path::of(at);
        self.leaves.iter().find(|leaf| leaf.below == at.0)
    }

    /// The leaves at or below a path.
    pub(super) fn below(&self, at: &str) -> impl Iterator<Item = &Leaf> {
        let at = Path::of(at);
        self.leaves
            .iter()
            .filter(move |leaf| leaf.below.starts_with(&at.0))
    }
}

/// The items, in their order. Leaves that are in no item are left out.
pub(super) fn of(leaves: &[Leaf]) -> Vec<Item> {
    let mut found: Vec<(Step, Vec<Leaf>)> = Vec::new();
    for leaf in leaves {
        let Some((first, rest)) = leaf.below.split_first() else {
            continue;
        };
        let leaf = Leaf {
            below: rest.to_vec(),
            ..leaf.clone()
        };
        match found.iter_mut().find(|(step, _)| step == first) {
            Some((_, known)) => known.push(leaf),
            None => found.push((first.clone(), vec![leaf])),
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let items = found.into_iter().map(|(key, leaves)| Item {
        key,
        value: value(&leaves),
        leaves,
    });
    items.collect()
}

/// What leaves are together.
pub(super) fn value(leaves: &[Leaf]) -> Value {
    let mut draft = Draft::default();
    for leaf in leaves {
        draft.put([], Target::Template, Path(leaf.below.clone()), leaf.value.clone());
    }
    draft.build(Target::Template)
}
