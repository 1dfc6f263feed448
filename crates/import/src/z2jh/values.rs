//! Values files, in Helm's order -> the chart's values, and what of each does not count (pure).

use serde_json::{Map, Value};

use crate::Error;
use crate::path::Path;
use crate::read::{self, Object};

/// Keys of the chart that tell where its values are.
const KEYS: [&str; 6] = ["hub", "singleuser", "proxy", "cull", "scheduling", "prePuller"];
/// Key of the chart's values where it is another chart's dependency.
const BELOW: &str = "jupyterhub";

/// The values that count.
pub(super) struct Values {
    /// All of them, also those of other charts.
    pub(super) object: Object,
    /// Where those of the chart are.
    pub(super) root: Path,
    /// Of each file, what another one replaces.
    pub(super) replaced: Vec<Object>,
}

type Fields = Map<String, Value>;

/// Merges files as Helm does: maps by key, anything else as a whole, the last one counts.
pub(super) fn merge(files: read::Values) -> Result<Values, Error> {
    let names: Vec<_> = files.iter().map(|(name, _)| name.clone()).collect();
    let mut below: Option<Path> = None;
    let mut parts: Vec<(String, Fields, Fields)> = Vec::new();
    for (name, value) in files {
        let mut places = places(&value);
        let place = places.pop();
        if !places.is_empty()
            || place
                .as_ref()
                .is_some_and(|it| below.as_ref().is_some_and(|below| below != it))
        {
            let words = "must have the chart's values where the others have them, in one place: all below the key jupyterhub, or all without it";
            return Err(Error::Unreadable(format!("{name}: {words}")));
        }
        below = below.or(place);
        let Value::Object(value) = value else { continue };
        let mut own = Map::new();
        for (_, earlier, replaced) in &mut parts {
            split(earlier, &value, replaced, &mut own);
        }
        parts.push((name, value, own));
    }
    let mut merged = Value::Object(Map::new());
    let mut replaced = Vec::new();
    for (name, value, gone) in parts {
        lay(&mut merged, Value::Object(value));
        if !gone.is_empty() {
            replaced.push(object(name, Value::Object(gone)));
        }
    }
    Ok(Values {
        object: object(names.join(", "), merged),
        root: below.unwrap_or_default(),
        replaced,
    })
}

/// Where values of the chart are: here, below its key, or below that of a chart which has it as a dependency.
fn places(value: &Value) -> Vec<Path> {
    let is_chart = |value: &Value| KEYS.iter().any(|key| !value[*key].is_null());
    let mut found = Vec::new();
    if is_chart(value) {
        found.push(Path::default());
    }
    if value[BELOW].is_object() {
        found.push(Path::default().key(BELOW));
    }
    let others = value.as_object().into_iter().flatten();
    let others = others.filter(|(_, inner)| is_chart(&inner[BELOW]));
    found.extend(others.map(|(key, _)| Path::default().key(key).key(BELOW)));
    found
}

/// Moves from `mine` to `gone` what `over` replaces; `own` gets the empty maps of `over`, which replace nothing.
fn split(
    mine: &mut Map<String, Value>,
    over: &Map<String, Value>,
    gone: &mut Map<String, Value>,
    own: &mut Map<String, Value>,
) {
    for (key, theirs) in over {
        match (mine.get_mut(key), theirs) {
            (None, _) => {}
            (Some(Value::Object(inner)), Value::Object(theirs)) if !inner.is_empty() => {
                if theirs.is_empty() {
                    own.insert(key.clone(), Value::Object(Map::new()));
                    continue;
                }
                let [mut lost, mut empty] = [child(gone, key), child(own, key)];
                split(inner, theirs, &mut lost, &mut empty);
                for (map, inner) in [(&mut *gone, lost), (&mut *own, empty)] {
                    if !inner.is_empty() {
                        map.insert(key.clone(), Value::Object(inner));
                    }
                }
                if inner.is_empty() {
                    mine.remove(key);
                }
            }
            (Some(_), _) => {
                let value = mine.remove(key).unwrap_or_default();
                lay(gone.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

/// What is at a key already.
fn child(map: &Map<String, Value>, key: &str) -> Map<String, Value> {
    map.get(key)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// Lays a value over another one.
fn lay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, over) in over {
                lay(under.entry(key).or_insert(Value::Null), over);
            }
        }
        (under, over) => *under = over,
    }
}

fn object(name: String, value: Value) -> Object {
    Object {
        origin: name.clone(),
        value,
        group: String::new(),
        kind: "Values".to_owned(),
        namespace: String::new(),
        name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn files(all: &[Value]) -> Vec<(String, Value)> {
        let named = all.iter().enumerate();
        named
            .map(|(at, value)| (format!("{at}.yaml"), value.clone()))
            .collect()
    }

    #[test]
    fn the_last_file_counts_and_what_it_replaces_is_kept_by_file() {
        let values = merge(files(&[
            json!({"singleuser": {"a": {"x": 1, "y": 2}, "list": [1, 2], "e": {}}}),
            json!({"singleuser": {"a": {"x": 3}, "list": [4], "e": {"f": 1}}}),
            json!({"singleuser": {"a": null}}),
        ]))
        .unwrap();
        assert_eq!(
            values.object.value,
            json!({"singleuser": {"a": null, "list": [4], "e": {"f": 1}}})
        );
        let replaced: Vec<_> = values
            .replaced
            .iter()
            .map(|it| (it.name.as_str(), &it.value))
            .collect();
        assert_eq!(
            replaced,
            [
                (
                    "0.yaml",
                    &json!({"singleuser": {"a": {"x": 1, "y": 2}, "list": [1, 2], "e": {}}})
                ),
                ("1.yaml", &json!({"singleuser": {"a": {"x": 3}}})),
            ]
        );
    }

    #[test]
    fn values_below_the_key_of_the_chart_and_beside_it_are_not_mixed() {
        let (below, beside) = (json!({"jupyterhub": {"hub": {"a": 1}}}), json!({"hub": {"a": 1}}));
        assert_eq!(
            merge(files(&[below.clone(), json!({"global": 1})])).unwrap().root,
            Path::of("jupyterhub")
        );
        assert_eq!(
            merge(files(std::slice::from_ref(&beside))).unwrap().root,
            Path::default()
        );
        let deeper = json!({"parent": {"jupyterhub": {"hub": {"a": 1}}, "other": {"jupyterhub": 1}}});
        assert_eq!(
            merge(files(&[json!({"a": {"jupyterhub": {"b": 1}}}), deeper.clone()]))
                .unwrap()
                .root,
            Path::of("parent.jupyterhub")
        );
        for mixed in [
            vec![deeper, below.clone()],
            vec![json!({"a": {"jupyterhub": {"hub": 1}}, "b": {"jupyterhub": {"hub": 1}}})],
            vec![below.clone(), beside.clone()],
            vec![json!({"jupyterhub": {"hub": 1}, "hub": {}})],
        ] {
            assert!(merge(files(&mixed)).is_err(), "{mixed:?}");
        }
    }
}
