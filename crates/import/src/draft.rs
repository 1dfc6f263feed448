//! Leaves with their new places -> objects of ours; a broken rule -> its leaves (pure).

use std::collections::{BTreeMap, BTreeSet};

use rules::Violation;
use serde_json::{Map, Value};

use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::{Path, Step};
use crate::places::{Places, named_item, words};
use crate::schema::MISSING;
use crate::texts::{ARGUMENTS, COMMAND};

/// Into which object of ours a part goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Workspace,
    Template,
    Profile,
}

/// A value, where it goes, and the leaves that it comes from: objects' numbers and paths. Without leaves it is our own.
#[derive(Debug, Clone)]
struct Part {
    from: Vec<(usize, Path)>,
    to: Target,
    at: Path,
    value: Value,
    /// Why it is lost.
    loss: Option<String>,
}

/// The objects that one object of the source becomes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft(Vec<Part>);

impl Draft {
    /// Puts a value at a path. Lists keep the order of indices, which may have gaps.
    pub(crate) fn put(
        &mut self,
        from: impl IntoIterator<Item = (usize, Path)>,
        to: Target,
        at: Path,
        value: impl Into<Value>,
    ) {
        self.0.push(Part {
            from: from.into_iter().collect(),
            to,
            at,
            value: value.into(),
            loss: None,
        });
    }

    /// Changes the values that go into `to`; an error is the reason why one is lost. An item of a list of texts takes the others along:
    /// a command makes sense as a whole. So its texts are asked about as one, too. A value takes its name along.
    pub(crate) fn change(
        &mut self,
        to: Target,
        change: impl Fn(&Path, &Value) -> Result<Option<Value>, String>,
    ) {
        let mut lost = Vec::new();
        for (list, text) in self.lists(to) {
            if let Err(why) = change(&list, &Value::String(text)) {
                lost.push((list, why));
            }
        }
        for part in self.0.iter_mut().filter(|part| part.to == to) {
            match change(&part.at, &part.value) {
                Ok(None) => {}
                Ok(Some(value)) => part.value = value,
                Err(why) => {
                    if let Some((Step::Index(_), list)) = part.at.0.split_last()
                        && part.value.is_string()
                    {
                        lost.push((Path(list.to_vec()), why.clone()));
                    }
                    lost.extend(named_item(&part.at).map(|item| (item, why.clone())));
                    part.loss = Some(why);
                }
            }
        }
        for (list, why) in lost {
            let others = self.0.iter_mut().filter(|part| part.to == to);
            for part in others.filter(|part| part.at.below(&list).is_some()) {
                part.loss.get_or_insert_with(|| why.clone());
            }
        }
    }

    /// Lists of texts that are parts of their own, each as one text. Arguments follow their command.
    fn lists(&self, to: Target) -> Vec<(Path, String)> {
        let mut items: Vec<_> = self.0.iter().filter(|part| part.to == to).collect();
        items.sort_by(|a, b| a.at.cmp(&b.at));
        let mut lists: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for part in items {
            if let (Some((Step::Index(_), list)), Some(text)) = (part.at.0.split_last(), part.value.as_str())
            {
                lists.entry(list).or_default().push(text);
            }
        }
        let of_command = |list: &[Step]| {
            let (last, around) = list.split_last()?;
            let command = Path(around.to_vec()).key(COMMAND);
            (*last == Step::Key(ARGUMENTS.into())).then(|| lists.get(command.0.as_slice()))?
        };
        let joined = lists.iter().map(|(list, texts)| {
            let command = of_command(list).into_iter().flatten();
            let texts: Vec<_> = command.chain(texts).copied().collect();
            (Path(list.to_vec()), texts.join(" "))
        });
        joined.collect()
    }

    /// Whether something of the source goes to this field.
    pub(crate) fn has(&self, to: Target, field: &str) -> bool {
        let field = Path::of(field);
        let mut parts = self.0.iter();
        parts.any(|part| part.to == to && part.loss.is_none() && part.at.below(&field).is_some())
    }

    /// Why what goes to this field is lost.
    pub(crate) fn loss(&self, to: Target, field: &str) -> Option<&str> {
        let field = Path::of(field);
        let mut parts = self.0.iter().filter(|part| part.to == to && part.at == field);
        parts.find_map(|part| part.loss.as_deref())
    }

    /// The object, without gaps in its lists.
    pub(crate) fn build(&self, to: Target) -> Value {
        self.built(to).0
    }

    /// The object, and where in it each part is.
    fn built(&self, to: Target) -> (Value, Vec<(usize, Path)>) {
        let mut parts: Vec<_> = self.0.iter().enumerate().collect();
        parts.retain(|(_, part)| part.to == to && part.loss.is_none());
        parts.sort_by(|a, b| a.1.at.cmp(&b.1.at));
        let mut object = Value::Object(Map::new());
        let mut places = Vec::new();
        // Of each list, by its path with gaps: the indices so far.
        let mut lists: BTreeMap<&[Step], Vec<usize>> = BTreeMap::new();
        for (number, part) in parts {
            let mut dense = Vec::new();
            for (place, step) in part.at.0.iter().enumerate() {
                dense.push(match step {
                    Step::Key(key) => Step::Key(key.clone()),
                    Step::Index(index) => {
                        let known = lists.entry(&part.at.0[..place]).or_default();
                        if known.last() != Some(index) {
                            known.push(*index);
                        }
                        Step::Index(known.len() - 1)
                    }
                });
            }
            insert(&mut object, &dense, part.value.clone());
            places.push((number, Path(dense)));
        }
        (object, places)
    }

    /// Drops what breaks rules, until no rule is broken. An error is a broken rule about nothing of the source.
    pub(crate) fn settle(
        &mut self,
        to: Target,
        check: impl Fn(&Value) -> Vec<Violation>,
    ) -> Result<(), Violation> {
        // Why each field was dropped: what needs it is dropped for the same reason.
        let mut reasons: BTreeMap<String, String> = BTreeMap::new();
        loop {
            let (object, places) = self.built(to);
            let places = Places::new(places);
            let found = check(&object);
            let mut dropped = BTreeSet::new();
            for violation in &found {
                let field = words(&violation.field);
                let first = reasons.get(&field).filter(|_| violation.message == MISSING);
                let own = || format!("{}: {}", violation.field, violation.message);
                let why = first.cloned().unwrap_or_else(own);
                reasons.insert(field, why.clone());
                for number in places.about(&violation.field) {
                    for number in self.with_name(number) {
                        if !self.0[number].from.is_empty() && dropped.insert(number) {
                            self.0[number].loss = Some(why.clone());
                        }
                    }
                }
            }
            match found.into_iter().next() {
                None => return Ok(()),
                Some(first) if dropped.is_empty() => return Err(first),
                Some(_) => {}
            }
        }
    }

    /// A part, and if it is the value of a list's item, the others of that item: a name without its value says something else.
    fn with_name(&self, number: usize) -> Vec<usize> {
        let (to, item) = (self.0[number].to, named_item(&self.0[number].at));
        let is_beside = |part: &Part| item.as_ref().is_some_and(|item| part.at.below(item).is_some());
        let others = self.0.iter().enumerate();
        let others = others.filter(|(_, part)| part.to == to && part.loss.is_none() && is_beside(part));
        std::iter::once(number)
            .chain(others.map(|(other, _)| other).filter(|other| *other != number))
            .collect()
    }

    /// Takes our own parts at or below a field away, if nothing of the source is left there.
    pub(crate) fn prune(&mut self, to: Target, field: &str) {
        let field = Path::of(field);
        let is_there = |part: &Part| part.to == to && part.at.below(&field).is_some();
        let is_of_source = |part: &Part| part.loss.is_none() && !part.from.is_empty();
        if !self.0.iter().any(|part| is_there(part) && is_of_source(part)) {
            self.0.retain(|part| !is_there(part) || !part.from.is_empty());
        }
    }

    /// All parts are lost.
    pub(crate) fn lose(&mut self, why: &str) {
        for part in &mut self.0 {
            part.loss.get_or_insert_with(|| why.to_owned());
        }
    }

    /// Says of each leaf where it is; `name`: of our objects.
    pub(crate) fn tell(&self, ledger: &mut Ledger, name: impl Fn(Target) -> String) {
        for part in &self.0 {
            let fate = match (&part.loss, part.to) {
                (Some(why), _) => Fate::new(Outcome::Lost, why),
                (None, Target::Template) => Fate::new(Outcome::Template, place(&name(part.to), &part.at)),
                (None, to) => Fate::new(Outcome::Became, place(&name(to), &part.at)),
            };
            for (object, leaf) in &part.from {
                ledger.tell(*object, leaf, &fate);
            }
        }
    }
}

/// The object with the field, without the indices, which have gaps.
fn place(object: &str, at: &Path) -> String {
    let steps = at.0.iter().take_while(|step| matches!(step, Step::Key(_)));
    format!("{object} {}", Path(steps.cloned().collect()))
}

fn insert(object: &mut Value, at: &[Step], value: Value) {
    let Some((step, rest)) = at.split_first() else {
        *object = value;
        return;
    };
    let inner = match step {
        Step::Key(key) => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            &mut object[&**key]
        }
        Step::Index(index) => {
            if !object.is_array() {
                *object = Value::Array(Vec::new());
            }
            if let Value::Array(items) = object
                && items.len() <= *index
            {
                items.resize(index + 1, Value::Null);
            }
            &mut object[*index]
        }
    };
    insert(inner, rest, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn draft() -> Draft {
        let mut draft = Draft::default();
        let from = |leaf: &str| [(0, Path::of(leaf))];
        for (at, value) in [
            ("spec.env[7].name", "B"),
            ("spec.env[7].value", "2"),
            ("spec.env[3].name", "A"),
            ("spec.limits[a.b/gpu]", "1"),
        ] {
            draft.put(from(at), Target::Workspace, Path::of(at), value);
        }
        draft.put([], Target::Workspace, Path::of("spec.own"), true);
        draft
    }

    #[test]
    fn lists_are_closed_up_in_the_order_of_their_indices() {
        let expected = json!({"spec": {
            "env": [{"name": "A"}, {"name": "B", "value": "2"}], "limits": {"a.b/gpu": "1"}, "own": true,
        }});
        assert_eq!(draft().build(Target::Workspace), expected);
    }

    #[test]
    fn texts_of_a_command_are_asked_about_as_one() {
        let words = |lists: &[(&str, &str)]| {
            let mut draft = Draft::default();
            for (at, text) in lists {
                draft.put([(0, Path::of(at))], Target::Template, Path::of(at), *text);
            }
            draft.change(Target::Template, |_, value| match value.as_str() {
                Some(text) if text.contains("mysql -u x -p") => Err("no".to_owned()),
                _ => Ok(None),
            });
            let lost = draft.0.iter().filter(|part| part.loss.is_some());
            lost.map(|part| part.at.to_string()).collect::<Vec<_>>()
        };
        let all = [
            ("spec.a[0]", "mysql"),
            ("spec.a[1]", "-u"),
            ("spec.a[2]", "x"),
            ("spec.a[3]", "-px"),
        ];
        assert_eq!(words(&all), all.map(|(at, _)| at));
        assert!(words(&all[..3]).is_empty());
        let apart = [
            ("c.command[0]", "mysql"),
            ("c.args[0]", "-u x"),
            ("c.args[1]", "-px"),
        ];
        assert_eq!(words(&apart), ["c.args[0]", "c.args[1]"]);
    }

    #[test]
    fn what_lacks_a_dropped_field_is_dropped_for_the_same_reason() {
        let mut draft = draft();
        let check = |object: &Value| {
            let first = &object["spec"]["env"][0];
            let violation = |what| Violation::new("spec.env[0].name", "", what);
            match (first["name"].as_str(), first["value"].as_str()) {
                (Some("B"), _) => vec![violation("must be lower case")],
                (None, Some(_)) => vec![violation(MISSING)],
                _ => Vec::new(),
            }
        };
        draft.0.retain(|part| part.at != Path::of("spec.env[3].name"));
        draft.settle(Target::Workspace, check).unwrap();
        let losses: Vec<_> = draft.0.iter().filter_map(|part| part.loss.as_deref()).collect();
        assert_eq!(losses, ["spec.env[0].name: must be lower case"; 2]);
    }

    #[test]
    fn an_object_of_a_list_is_lost_alone_and_a_value_with_its_name() {
        let mut draft = draft();
        for at in ["spec.mounts[0]", "spec.mounts[1]"] {
            let mount = json!({"path": at});
            draft.put([(0, Path::of(at))], Target::Workspace, Path::of(at), mount);
        }
        draft.change(Target::Workspace, |at, value| {
            let is_wrong = value == "2" || *at == Path::of("spec.mounts[0]");
            if is_wrong { Err("no".to_owned()) } else { Ok(None) }
        });
        let expected = json!({"spec": {
            "env": [{"name": "A"}], "limits": {"a.b/gpu": "1"}, "own": true, "mounts": [{"path": "spec.mounts[1]"}],
        }});
        assert_eq!(draft.build(Target::Workspace), expected);
    }

    #[test]
    fn what_breaks_a_rule_is_dropped_and_the_rest_stays() {
        for (field, gone) in [
            ("spec.env[1].value", json!({"env": [{"name": "A"}]})),
            ("spec.env[1].valueFrom.key", json!({"env": [{"name": "A"}]})),
            (
                "spec.limits[a.b/gpu]",
                json!({"env": [{"name": "A"}, {"name": "B", "value": "2"}]}),
            ),
            (
                "spec.limits.a.b/gpu",
                json!({"env": [{"name": "A"}, {"name": "B", "value": "2"}]}),
            ),
        ] {
            let (mut draft, before) = (draft(), draft().build(Target::Workspace));
            let violation = || Violation::new(field, "secret", "must not be");
            let check = |object: &Value| {
                if *object == before {
                    vec![violation()]
                } else {
                    Vec::new()
                }
            };
            draft.settle(Target::Workspace, check).unwrap();
            let spec = draft.build(Target::Workspace)["spec"].clone();
            for (name, value) in gone.as_object().unwrap() {
                assert_eq!(&spec[name], value, "{field}");
            }
            let losses: Vec<_> = draft.0.iter().filter_map(|part| part.loss.as_deref()).collect();
            assert!(
                !losses.is_empty() && losses.iter().all(|why| !why.contains("secret")),
                "{losses:?}"
            );
        }
        let of_own = |_: &Value| vec![Violation::new("spec.own", "", "must not be")];
        assert!(draft().settle(Target::Workspace, of_own).is_err());
    }
}
