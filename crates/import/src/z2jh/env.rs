//! `environment` of a profile -> variables of template or hub; credentials -> Secrets (pure).

use serde_json::{Value, json};

use super::out::Out;
use super::secrets::SECRET;
use super::traits::Leaf;
use super::{Hub, items};
use crate::draft::Target;
use crate::ledger::Outcome;
use crate::path::{Path, Step};
use crate::secrets::is_credential;
use crate::table::is_empty;

/// Takes the variables, into the list `dest`.
pub(super) fn take(leaves: &[Leaf], dest: &Path, out: &mut Out<'_>) {
    for (index, item) in items::of(leaves).iter().enumerate() {
        let at = dest.index(index);
        let Some(name) = name(item) else {
            out.lose(&item.leaves, "a variable must have a name");
            continue;
        };
        let is_text = !item.value.is_object();
        if out.hub == Hub::Keep && is_text {
            let why = "unchanged: the hub gives it to the server; our spawner does not put it into an object";
            out.tell(&item.leaves, Outcome::Stays, why);
            continue;
        }
        for leaf in &item.leaves {
            let is_value = is_text || leaf.below == Path::of("value").0;
            if leaf.below == Path::of("name").0 {
                out.put(leaf, Target::Template, at.key("name"), name.as_str());
            } else if is_value {
                value(leaf, &name, &at, out);
            } else if is_empty(&leaf.value) {
                out.tell([leaf], Outcome::SameByDefault, "it is empty");
            } else {
                out.put(leaf, Target::Template, at.key("name"), name.as_str());
                out.put(
                    leaf,
                    Target::Template,
                    at.then(leaf.below.iter().cloned()),
                    leaf.value.clone(),
                );
            }
        }
        if out.hub == Hub::Keep {
            out.secrets.moved.insert(name);
        }
    }
    let others = leaves.iter().filter(|leaf| leaf.below.is_empty());
    let others: Vec<_> = others.filter(|leaf| !is_empty(&leaf.value)).collect();
    out.lose(others, "must be a value by name");
}

/// The name of a variable: the field `name`, or its key.
fn name(item: &items::Item) -> Option<String> {
    match (item.value["name"].as_str(), &item.key) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Step::Key(key)) => Some(key.to_string()),
        (None, Step::Index(_)) => None,
    }
}

/// The value of a variable: text, or a key of the Secret.
pub(super) fn value(leaf: &Leaf, name: &str, at: &Path, out: &mut Out<'_>) {
    let text = match &leaf.value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => leaf.value.to_string(),
        _ => return out.lose([leaf], "the value of a variable must be text"),
    };
    out.put(leaf, Target::Template, at.key("name"), name);
    if text.is_empty() || !is_credential(name, &text) {
        out.put(leaf, Target::Template, at.key("value"), text);
        return;
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || !name.bytes().all(is_plain) {
        let why =
            "it looks like a credential, and no key of a Secret can have its name: give it another name";
        return out.lose([leaf], why);
    }
    out.secrets.keys.insert(name.to_owned());
    let reference = json!({"secretKeyRef": {"name": SECRET, "key": name}});
    out.put(leaf, Target::Template, at.key("valueFrom"), reference);
}
