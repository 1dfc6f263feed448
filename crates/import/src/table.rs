//! Path of a leaf -> what becomes of it, by a table per source (pure).

use serde_json::Value;

use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, NO_FIELD, Outcome};
use crate::path::{Path, Step, matches};

const EMPTY: &str = "it is empty";

/// What becomes of the leaves at or below a pattern.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// They move to this field.
    To(Target, &'static str),
    /// They move below this field, with their whole path.
    Below(Target, &'static str),
    /// The same by default where it is one of these values, else they move to this field.
    SameOr(&'static [&'static str], Target, &'static str),
    /// The source's own code says it.
    Code,
    /// It is so here without being written.
    Same(&'static str),
    /// The same by default where it is one of these values, else lost with this reason.
    SameIf(&'static [&'static str], &'static str),
    /// It stays with the old system or the server.
    Stays(&'static str),
    /// It is lost.
    Lost(&'static str),
}

/// Pattern and rule; the first that matches counts.
pub(crate) type Table = [(&'static str, Rule)];

/// Why an object stays that no source reads.
pub(crate) const NOT_READ: &str = "objects of this kind are not read";
/// Why a claim stays.
pub(crate) const CLAIM: &str = "the claim stays as it is";
/// Why a leaf stays that the API server writes.
pub(crate) const SERVERS: &str = "the API server's own";

/// What every object has.
pub(crate) const COMMON: &Table = &[
    ("apiVersion", Rule::Stays("names the old kind")),
    ("kind", Rule::Stays("names the old kind")),
    ("status", Rule::Stays("the old controller's")),
    ("metadata.uid", Rule::Stays(SERVERS)),
    ("metadata.resourceVersion", Rule::Stays(SERVERS)),
    ("metadata.generation", Rule::Stays(SERVERS)),
    ("metadata.creationTimestamp", Rule::Stays(SERVERS)),
    ("metadata.deletionTimestamp", Rule::Stays(SERVERS)),
    ("metadata.deletionGracePeriodSeconds", Rule::Stays(SERVERS)),
    ("metadata.selfLink", Rule::Stays(SERVERS)),
    ("metadata.generateName", Rule::Stays(SERVERS)),
    ("metadata.managedFields", Rule::Stays(SERVERS)),
    ("metadata.finalizers", Rule::Stays("the old controller's")),
    (
        "metadata.ownerReferences",
        Rule::Stays("the old owner's; steps.md says what to do with that of a claim"),
    ),
    (
        "metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]",
        Rule::Stays("kubectl's record of the old object"),
    ),
];

/// Where a table is applied.
pub(crate) struct Place<'a> {
    /// The object's number in the ledger.
    pub(crate) object: usize,
    pub(crate) value: &'a Value,
    /// What the table's patterns are below.
    pub(crate) root: &'a Path,
    /// What is added to the index of a moved item, so that lists of several objects follow each other.
    pub(crate) offset: usize,
}

/// The way to a whole object.
static WHOLE: Path = Path(Vec::new());

impl<'a> Place<'a> {
    /// A whole object, of this number in the ledger.
    pub(crate) fn whole(object: usize, value: &'a Value) -> Self {
        Self {
            object,
            value,
            root: &WHOLE,
            offset: 0,
        }
    }

    /// The same object below another root.
    pub(crate) fn at<'b>(&self, root: &'b Path) -> Place<'b>
    where
        'a: 'b,
    {
        Place {
            object: self.object,
            value: self.value,
            root,
            offset: self.offset,
        }
    }
}

/// Applies tables, one after the other, to the leaves below the place's root.
pub(crate) fn apply(tables: &[&Table], place: &Place<'_>, ledger: &mut Ledger, draft: &mut Draft) {
    for leaf in ledger.leaves(place.object, place.root) {
        let Some(below) = leaf.below(place.root) else {
            continue;
        };
        let mut rules = tables.iter().copied().flatten();
        let Some((pattern, rule)) = rules.find(|(pattern, _)| matches(pattern, below)) else {
            continue;
        };
        let value = leaf.get(place.value);
        let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let is_one_of = |values: &[&str]| values.contains(&text().as_str());
        let fate = match rule {
            Rule::Code => continue,
            _ if is_empty(value) => Fate::new(Outcome::SameByDefault, EMPTY),
            Rule::SameIf(values, _) | Rule::SameOr(values, ..) if is_one_of(values) => {
                Fate::new(Outcome::SameByDefault, "it is so here")
            }
            Rule::Below(target, field) => {
                let at = Path::of(field).then(below.iter().cloned());
                draft.put([(place.object, leaf.clone())], *target, at, value.clone());
                continue;
            }
            Rule::To(target, field) | Rule::SameOr(_, target, field) => {
                let rest = &below[Path::of(pattern).0.len()..];
                let mut shifted = false;
                let rest = rest.iter().cloned().map(|step| match step {
                    Step::Index(index) if !std::mem::replace(&mut shifted, true) => {
                        Step::Index(index + place.offset)
                    }
                    step => step,
                });
                let at = Path::of(field).then(rest);
                draft.put([(place.object, leaf.clone())], *target, at, value.clone());
                continue;
            }
            Rule::Same(why) => Fate::new(Outcome::SameByDefault, *why),
            Rule::Stays(why) => Fate::new(Outcome::Stays, *why),
            Rule::Lost(why) | Rule::SameIf(_, why) => Fate::new(Outcome::Lost, *why),
        };
        ledger.tell(place.object, &leaf, &fate);
    }
}

/// Moves all leaves at or below the place's root, except those at or below `others`. Lists keep their indices.
pub(crate) fn move_all(
    place: &Place<'_>,
    to: Target,
    dest: &Path,
    others: &[Path],
    ledger: &Ledger,
    draft: &mut Draft,
) {
    for leaf in ledger.leaves(place.object, place.root) {
        let Some(below) = leaf.below(place.root) else {
            continue;
        };
        let value = leaf.get(place.value);
        if !is_empty(value) && !others.iter().any(|other| leaf.below(other).is_some()) {
            let at = dest.then(below.iter().cloned());
            draft.put([(place.object, leaf.clone())], to, at, value.clone());
        }
    }
}

/// Whether nothing is said: null, an empty list, an empty object.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// What is said of a leaf that neither table nor code named: it is lost, for the reason of the first pattern that matches.
pub(crate) fn rest(
    value: &Value,
    reasons: &'static [(&'static str, &'static str)],
) -> impl Fn(&Path) -> Fate {
    |path| {
        if is_empty(path.get(value)) {
            return Fate::new(Outcome::SameByDefault, EMPTY);
        }
        let reason = reasons.iter().find(|(pattern, _)| matches(pattern, &path.0));
        Fate::new(Outcome::Lost, reason.map_or(NO_FIELD, |(_, reason)| reason))
    }
}
