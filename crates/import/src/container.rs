//! Container of a pod -> amounts, variables and mounts of ours (pure).

use api::names::APPLICATION_CONTAINER;
use rules::Quantity;
use serde_json::{Value, json};

use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::secrets::{Secrets, is_credential};
use crate::table::{Place, is_empty, move_all};

/// Variables that are so here without being written: name and why.
pub(crate) type Known = [(&'static str, &'static str)];

/// Why a mount is lost whose volume does not come over.
pub(crate) const NO_VOLUME: &str = "its volume is none that this container can mount here";
/// Why an amount is lost.
pub(crate) const NO_QUANTITY: &str = "must be a quantity such as 500m or 2Gi in requests or limits";

/// Why a container is lost that runs as root.
pub(crate) const ROOT: &str = "it needs root or privileges, which no container has here: the disk is written by its group (fsGroup), and what else it does belongs into the image";

/// Whether a container does its work by root or privileges. Without them it would end each start.
pub(crate) fn needs_root(container: &Value) -> bool {
    let context = &container["securityContext"];
    context["runAsUser"] == 0 || context["privileged"] == true
}

/// Where the parts of a container go.
pub(crate) struct Out<'o> {
    pub(crate) secrets: &'o mut Secrets,
    pub(crate) ledger: &'o mut Ledger,
    pub(crate) draft: &'o mut Draft,
}

/// Requests and limits. Where one of both is unset, Kubernetes takes the limit as the request; here each container has limits.
pub(crate) fn resources(place: &Place<'_>, to: Target, dest: &Path, draft: &mut Draft) {
    let given = place.root.get(place.value);
    for (map, other) in [("requests", "limits"), ("limits", "requests")] {
        for (name, amount) in given[map].as_object().into_iter().flatten() {
            let Some(text) = quantity(amount) else {
                continue;
            };
            let from = (place.object, place.root.key(map).key(name));
            draft.put([from.clone()], to, dest.key(map).key(name), text.clone());
            if is_empty(&given[other][name.as_str()]) {
                draft.put([from], to, dest.key(other).key(name), text);
            }
        }
    }
}

/// The variables of the place's list. Credentials become references to Secrets.
pub(crate) fn variables(place: &Place<'_>, (to, dest): (Target, &Path), known: &Known, out: &mut Out<'_>) {
    let list = place.root.get(place.value).as_array();
    for (index, variable) in list.into_iter().flatten().enumerate() {
        let at = place.root.index(index);
        let name = variable["name"].as_str().unwrap_or_default();
        if let Some((_, why)) = known.iter().find(|(known, _)| *known == name) {
            let fate = Fate::new(Outcome::SameByDefault, *why);
            out.ledger.tell(place.object, &at, &fate);
            continue;
        }
        let dest = dest.index(place.offset + index);
        let value = at.key("value");
        let text = variable["value"].as_str().unwrap_or_default();
        if !text.is_empty() && is_credential(name, text) {
            let Some((secret, key)) = out.secrets.take(place.object, name, &value) else {
                let why = "it looks like a credential, and no key of a Secret can have its name: give it another name";
                let fate = Fate::new(Outcome::Lost, why);
                out.ledger.tell(place.object, &at, &fate);
                continue;
            };
            let name_leaf = (place.object, at.key("name"));
            out.draft.put([name_leaf], to, dest.key("name"), name);
            let reference = json!({"secretKeyRef": {"name": secret, "key": key}});
            out.draft
                .put([(place.object, value)], to, dest.key("valueFrom"), reference);
        } else {
            move_all(&place.at(&at), to, &dest, &[], out.ledger, out.draft);
        }
    }
}

/// An init container, or one that runs beside the application (`stays`). `volumes`: what a volume that it may mount is called here.
pub(crate) fn container(
    place: &Place<'_>,
    (to, dest): (Target, &Path),
    stays: bool,
    volumes: impl Fn(&str) -> Option<String>,
    known: &Known,
    out: &mut Out<'_>,
) {
    let [env, mounts, amounts, name] =
        ["env", "volumeMounts", "resources", "name"].map(|field| place.root.key(field));
    let mut apart = vec![env.clone(), mounts.clone(), name.clone()];
    apart.extend(["requests", "limits"].map(|map| amounts.key(map)));
    move_all(place, to, dest, &apart, out.ledger, out.draft);
    let given = name.get(place.value);
    let renamed = given.as_str().filter(|name| *name == APPLICATION_CONTAINER);
    let renamed = renamed.map(|name| Value::from(format!("imported-{name}")));
    if !is_empty(given) {
        let value = renamed.unwrap_or_else(|| given.clone());
        out.draft
            .put([(place.object, name.clone())], to, dest.key("name"), value);
    }
    let list = Place {
        offset: 0,
        ..place.at(&env)
    };
    variables(&list, (to, &dest.key("env")), known, out);
    amounts_of(&place.at(&amounts), (to, &dest.key("resources")), out);
    if stays {
        out.draft
            .put([(place.object, name)], to, dest.key("restartPolicy"), "Always");
    }
    let list = mounts.get(place.value).as_array();
    for (index, mount) in list.into_iter().flatten().enumerate() {
        let (at, dest) = (mounts.index(index), dest.key("volumeMounts").index(index));
        let Some(name) = mount["name"].as_str().and_then(&volumes) else {
            let fate = Fate::new(Outcome::Lost, NO_VOLUME);
            out.ledger.tell(place.object, &at, &fate);
            continue;
        };
        let of_name = at.key("name");
        let from = (place.object, of_name.clone());
        out.draft.put([from], to, dest.key("name"), name);
        move_all(&place.at(&at), to, &dest, &[of_name], out.ledger, out.draft);
    }
}

/// Requests and limits of a container beside the application, as they are.
fn amounts_of(place: &Place<'_>, (to, dest): (Target, &Path), out: &mut Out<'_>) {
    for map in ["requests", "limits"] {
        let list = place.root.key(map);
        for (name, value) in list.get(place.value).as_object().into_iter().flatten() {
            let at = list.key(name);
            match quantity(value) {
                Some(text) => {
                    let dest = dest.key(map).key(name);
                    out.draft.put([(place.object, at)], to, dest, text);
                }
                None if is_empty(value) => {}
                None => out
                    .ledger
                    .tell(place.object, &at, &Fate::new(Outcome::Lost, NO_QUANTITY)),
            }
        }
    }
}

/// A quantity, as text.
pub(crate) fn quantity(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    text.parse::<Quantity>().is_ok().then_some(text)
}
