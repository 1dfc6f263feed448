//! Pod modifications of an access strategy -> parts of a template (pure).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::metadata;
use crate::container::Out;
use crate::draft::Target;
use crate::ledger::{Fate, Outcome};
use crate::names::hash;
use crate::path::Path;
use crate::pod_template::{self, APPLICATION, field, name_application, put_whole, volume_name};
use crate::read::Object;
use crate::secrets::{Owner, Secrets, is_credential};
use crate::table::Place;

/// An object's number in the ledger, and the object.
pub(super) type Strategy<'a> = (usize, &'a Object);

const ROOT: &str = "spec.deploymentModifications.podModifications";
/// Variables follow those of the template.
const AFTER: usize = 10_000;

const EXPRESSION: &str = "it has an expression that no variable of a template says: write the variable into the template's environmentVariables";
const CREDENTIAL: &str = "it looks like a credential with an expression, or no key of a Secret can have its name: name a Secret in the template's environmentVariables";

/// Which strategy an object refers to: that of the namespace that it says, else of its own, else the only one of that name.
pub(super) fn find(strategies: &[Strategy<'_>], object: &Object, field: &str) -> Option<usize> {
    let (namespace, name) = metadata::reference(object, field)?;
    let wanted = namespace.unwrap_or(&object.namespace);
    let named = strategies
        .iter()
        .enumerate()
        .filter(|(_, (_, it))| it.name == name);
    let named: Vec<_> = named.collect();
    let exact = named.iter().find(|(_, (_, it))| it.namespace == wanted);
    let only = named.first().filter(|_| named.len() == 1);
    exact.or(only).map(|(index, _)| *index)
}

/// Whether it changes pods.
pub(super) fn changes_pods(strategy: &Object) -> bool {
    Path::of(ROOT).get(&strategy.value).is_object()
}

/// Says which Secret holds the credentials of a strategy. `into`: namespaces of the workspaces that have it.
pub(super) fn name_secret((number, object): &Strategy<'_>, into: &BTreeSet<&str>, secrets: &mut Secrets) {
    let owner = Owner {
        old: format!("workspaceaccessstrategies.{}/{}", object.group, object.name),
        uid: object.uid().map(str::to_owned),
        namespace: object.namespace.clone(),
        secret: format!("imported-strategy-{}", hash(&object.title())),
        into: into.iter().map(|it| (*it).to_owned()).collect(),
    };
    secrets.name(*number, owner);
}

/// Takes containers, volumes and variables over.
pub(super) fn take((number, object): &Strategy<'_>, out: &mut Out<'_>) {
    let root = Path::of(ROOT);
    let whole = Place::whole(*number, &object.value);
    let count = |list: &Path| list.get(&object.value).as_array().map_or(0, Vec::len);
    let name = |name: &str| metadata::own_volume(name).unwrap_or_else(|| volume_name(name));
    let list = root.key("volumes");
    for index in 0..count(&list) {
        let at = list.index(index);
        let given = at.key("name");
        let given = given.get(&object.value).as_str().map(volume_name);
        let dest = field("volumes").index(index);
        put_whole(&whole.at(&at), given.as_deref(), dest, out.ledger, out.draft);
    }
    for (from, to) in [
        ("additionalContainers", "containers"),
        ("initContainers", "initContainers"),
    ] {
        let list = root.key(from);
        for index in 0..count(&list) {
            let at = list.index(index);
            // The application's container is the first.
            let dest = field(to).index(index + 1);
            pod_template::container(&whole.at(&at), &dest, |it| Some(name(it)), &[], out);
        }
    }
    let main = root.key("primaryContainerModifications");
    let list = main.key("volumeMounts");
    for index in 0..count(&list) {
        let at = list.index(index);
        let given = at.key("name");
        let given = given.get(&object.value).as_str().map(name);
        let dest = Path::of(APPLICATION).key("volumeMounts").index(index);
        put_whole(&whole.at(&at), given.as_deref(), dest, out.ledger, out.draft);
    }
    let list = main.key("mergeEnv");
    for index in 0..count(&list) {
        variable(*number, object, &list.index(index), index, out);
    }
    name_application(out.draft);
}

/// A variable, whose value is a template of Go.
fn variable(number: usize, object: &Object, at: &Path, index: usize, out: &mut Out<'_>) {
    let (of_name, of_value) = (at.key("name"), at.key("valueTemplate"));
    let name = of_name.get(&object.value).as_str().unwrap_or_default();
    let text = of_value.get(&object.value).as_str().unwrap_or_default();
    let mut lose = |why: &str| {
        let fate = Fate::new(Outcome::Lost, why);
        out.ledger.tell(number, at, &fate);
    };
    let Some(written) = expand(text) else {
        return lose(EXPRESSION);
    };
    let dest = Path::of("spec.environmentVariables").index(AFTER + index);
    let (field, value): (&str, Value) = if text.is_empty() || !is_credential(name, text) {
        ("value", written.into())
    } else {
        let is_plain = written == text;
        let Some((secret, key)) = out.secrets.take(number, name, &of_value).filter(|_| is_plain) else {
            return lose(CREDENTIAL);
        };
        ("valueFrom", json!({"secretKeyRef": {"name": secret, "key": key}}))
    };
    let from = |leaf: Path| [(number, leaf)];
    out.draft
        .put(from(of_name), Target::Template, dest.key("name"), name);
    out.draft
        .put(from(of_value), Target::Template, dest.key(field), value);
}

/// The text with variables of templates for its expressions; `None`: one has none.
fn expand(text: &str) -> Option<String> {
    let mut parts = text.split("{{");
    let mut written = parts.next()?.to_owned();
    for part in parts {
        let (expression, rest) = part.split_once("}}")?;
        written.push_str(match expression.trim_matches(['-', ' ']) {
            ".Workspace.Name" => "{workspace.name}",
            ".Workspace.Namespace" => "{workspace.namespace}",
            _ => return None,
        });
        written.push_str(rest);
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_names_are_variables_of_templates() {
        for (text, expected) in [
            ("/x", Some("/x")),
            (
                "/w/{{ .Workspace.Namespace }}/{{.Workspace.Name}}/",
                Some("/w/{workspace.namespace}/{workspace.name}/"),
            ),
            ("{{ .AccessStrategy.Name }}", None),
            ("{{ .Workspace.Name", None),
        ] {
            assert_eq!(expand(text).as_deref(), expected, "{text}");
        }
    }
}
