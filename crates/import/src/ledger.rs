//! Leaves of the source and what became of each -> table, each leaf once (pure).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::path::{Path, leaves};
use crate::read::Object;

/// Places of one leaf that are listed; the others are counted.
const LISTED: usize = 3;

/// Why a leaf is lost that neither table nor code names.
pub(crate) const NO_FIELD: &str =
    "no field here says it: put what it does into the image, or into the template by hand";

/// What became of a leaf. A later one counts more: what is lost for one object is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It belongs to the server or the old system, and stays there.
    Stays,
    /// It is so here without being written.
    SameByDefault,
    /// It is in a template.
    Template,
    /// It is in another object of ours.
    Became,
    /// It is nowhere.
    Lost,
}

impl Outcome {
    /// The words of the table.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stays => "stays",
            Self::SameByDefault => "same by default",
            Self::Template => "template",
            Self::Became => "became",
            Self::Lost => "lost",
        }
    }
}

/// A leaf's outcome, with the place or the reason. It never holds a value of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) outcome: Outcome,
    pub(crate) texts: Vec<String>,
}

impl Fate {
    pub(crate) fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Self {
            outcome,
            texts: vec![text.into()],
        }
    }

    fn text(&self) -> String {
        let more = self.texts.len().saturating_sub(LISTED);
        let listed = self.texts[..self.texts.len().min(LISTED)].join("; ");
        if more == 0 {
            listed
        } else {
            format!("{listed}; and {more} more")
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Kind, namespace and name of the object.
    pub object: String,
    /// Path of the leaf; empty: the object as a whole.
    pub path: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Where it is, or why and what to do.
    pub text: String,
}

/// Every leaf of the source.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<(String, BTreeMap<Path, Option<Fate>>)>);

impl Ledger {
    /// Takes in all leaves of an object; returns its number.
    pub(crate) fn open(&mut self, object: &Object) -> usize {
        let whole = ["status", "metadata.managedFields"].map(Path::of);
        let leaves = leaves(&object.value, &whole);
        let leaves = leaves.into_iter().map(|path| (path, None)).collect();
        self.0.push((object.title(), leaves));
        self.0.len() - 1
    }

    /// Takes in an object as one leaf.
    pub(crate) fn whole(&mut self, object: &Object, fate: Fate) {
        let leaf = BTreeMap::from([(Path::default(), Some(fate))]);
        self.0.push((object.title(), leaf));
    }

    /// Takes in an object that stays as it is.
    pub(crate) fn stays(&mut self, object: &Object, why: &str) {
        let number = self.open(object);
        self.tell(number, &Path::default(), &Fate::new(Outcome::Stays, why));
    }

    /// Paths of an object's leaves at or below `at`.
    pub(crate) fn leaves(&self, object: usize, at: &Path) -> Vec<Path> {
        let below = self.0[object].1.range(at.clone()..);
        let below = below.take_while(|(path, _)| path.below(at).is_some());
        below.map(|(path, _)| path.clone()).collect()
    }

    /// Says what became of the leaves at or below `at`. Of several outcomes the one that counts more stays.
    pub(crate) fn tell(&mut self, object: usize, at: &Path, fate: &Fate) {
        let below = self.0[object].1.range_mut(at.clone()..);
        for (_, told) in below.take_while(|(path, _)| path.below(at).is_some()) {
            match told {
                Some(before) if before.outcome > fate.outcome => {}
                Some(before) if before.outcome == fate.outcome => {
                    let new = fate.texts.iter().filter(|text| !before.texts.contains(text));
                    before.texts.extend(new.cloned().collect::<Vec<_>>());
                }
                _ => *told = Some(fate.clone()),
            }
        }
    }

    /// Says what became of the leaves that nothing was said about.
    pub(crate) fn tell_rest(&mut self, object: usize, fate: impl Fn(&Path) -> Fate) {
        for (path, told) in &mut self.0[object].1 {
            told.get_or_insert_with(|| fate(path));
        }
    }

    /// The table, in the order of the source.
    pub(crate) fn entries(self) -> Vec<Entry> {
        let objects = self.0.into_iter();
        let lines = objects.flat_map(|(object, leaves)| {
            leaves.into_iter().map(move |(path, told)| {
                let fate = told.unwrap_or_else(|| Fate::new(Outcome::Lost, NO_FIELD));
                Entry {
                    object: object.clone(),
                    path: path.to_string(),
                    outcome: fate.outcome,
                    text: fate.text(),
                }
            })
        });
        lines.collect()
    }
}
