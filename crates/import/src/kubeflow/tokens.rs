//! Mount of projected tokens, as for Kubeflow Pipelines -> tokens of an execution profile (pure).

use serde_json::Value;

use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::table::is_empty;

/// More tokens than a volume has.
const MOST: usize = 100;

/// The tokens of a volume that holds nothing else, each for an audience.
pub(super) fn of(volume: &Value) -> Option<Vec<&Value>> {
    let sources = volume["projected"]["sources"].as_array()?;
    let tokens = sources.iter().map(|source| {
        let token = &source["serviceAccountToken"];
        let is_alone = source.as_object().is_some_and(|fields| fields.len() == 1);
        (is_alone && token["audience"].is_string() && token["path"].is_string()).then_some(token)
    });
    let tokens: Option<Vec<_>> = tokens.collect();
    tokens.filter(|tokens| !tokens.is_empty() && tokens.len() < MOST)
}

/// Puts them. `mount` and `volume`: number of the object, and where it is there.
pub(super) fn put(
    tokens: &[&Value],
    [mount, volume]: [(usize, &Path, &Value); 2],
    order: usize,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    let folder = mount.2["mountPath"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches('/');
    let of_mount = |field: &str| (mount.0, mount.1.key(field));
    for (number, token) in tokens.iter().enumerate() {
        let at = Path::of("spec.projectedTokens").index(order * MOST + number);
        let source = volume
            .1
            .key("projected")
            .key("sources")
            .index(number)
            .key("serviceAccountToken");
        let of = |field: &str| (volume.0, source.key(field));
        let file = format!("{folder}/{}", token["path"].as_str().unwrap_or_default());
        let from = [
            of("path"),
            of_mount("mountPath"),
            of_mount("name"),
            (volume.0, volume.1.key("name")),
        ];
        draft.put(from, Target::Profile, at.key("path"), file);
        for field in ["audience", "expirationSeconds"] {
            if !is_empty(&token[field]) {
                draft.put([of(field)], Target::Profile, at.key(field), token[field].clone());
            }
        }
    }
    let mut same = vec![];
    if mount.2["readOnly"].is_boolean() {
        same.push(of_mount("readOnly"));
    }
    if volume.2["projected"]["defaultMode"].is_number() {
        same.push((volume.0, volume.1.key("projected").key("defaultMode")));
    }
    for (object, leaf) in same {
        let fate = Fate::new(Outcome::SameByDefault, "tokens are read-only files");
        ledger.tell(object, &leaf, &fate);
    }
}
