//! Pod of a Notebook and what `PodDefaults` add to it -> parts of our objects (pure).

use serde_json::Value;

use super::source::{APART, Source};
use super::table::{MAIN, POD};
use super::volumes::volumes;
use crate::container::{Known, Out, container, resources, variables};
use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::secrets::{Secrets, check_text};
use crate::table::apply;

/// Variable by which Kubeflow's images know their path.
const KNOWN: &Known = &[(
    "NB_PREFIX",
    "the template's environmentVariables set it to the workspace's own path",
)];

/// Takes the whole pod over.
pub(super) fn take(sources: &[Source<'_>], secrets: &mut Secrets, ledger: &mut Ledger, draft: &mut Draft) {
    for source in sources {
        for (table, root) in [(MAIN, &source.main), (POD, &source.pod)] {
            apply(&[table], &source.place(root), ledger, draft);
        }
        let amounts = source.main.key("resources");
        let dest = Path::of("spec.resources");
        resources(&source.place(&amounts), Target::Workspace, &dest, draft);
        token(source, ledger, draft);
        let (to, dest) = source.env;
        let mut out = Out {
            secrets,
            ledger,
            draft,
        };
        let list = source.main.key("env");
        variables(&source.place(&list), (to, &Path::of(dest)), KNOWN, &mut out);
    }
    let names = volumes(sources, ledger, draft);
    for source in sources {
        let (sidecars, first) = &source.sidecars;
        let init = source.pod.key("initContainers");
        for (list, from, stays) in [(&init, 0, false), (sidecars, *first, true)] {
            for index in from..source.list(list).len() {
                let shift = source.offset() + if stays { APART / 2 } else { 0 };
                let dest = Path::of("spec.defaultInitContainers").index(shift + index);
                let mut out = Out {
                    secrets,
                    ledger,
                    draft,
                };
                container(
                    &source.place(&list.index(index)),
                    (Target::Template, &dest),
                    stays,
                    |name| names.get(name).cloned(),
                    KNOWN,
                    &mut out,
                );
            }
        }
    }
}

/// Kubernetes gives a pod its account's token unless it says no.
fn token(source: &Source<'_>, ledger: &mut Ledger, draft: &mut Draft) {
    let field = source.pod.key("automountServiceAccountToken");
    let account = source.pod.key("serviceAccountName");
    let has_account = account.get(source.value).is_string();
    match field.get(source.value).as_bool() {
        Some(false) => {
            let fate = Fate::new(
                Outcome::SameByDefault,
                "no pod has a token unless its execution profile says so",
            );
            ledger.tell(source.object, &field, &fate);
        }
        given if has_account => {
            let leaf = if given.is_some() { field } else { account };
            let at = Path::of("spec.automountToken");
            draft.put([(source.object, leaf)], Target::Profile, at, true);
        }
        _ => {}
    }
}

/// Labels and annotations of the pod, as lists of name and value.
pub(super) fn metadata(object: usize, value: &Value, at: &Path, offset: usize, draft: &mut Draft) {
    for (map, field) in [
        ("labels", "spec.baseLabels"),
        ("annotations", "spec.baseAnnotations"),
    ] {
        let entries = at.key(map).get(value).as_object().into_iter().flatten();
        for (index, (key, text)) in entries.enumerate() {
            let dest = Path::of(field).index(offset + index);
            let leaf = (object, at.key(map).key(key));
            draft.put([leaf.clone()], Target::Template, dest.key("name"), key.as_str());
            draft.put([leaf], Target::Template, dest.key("value"), text.clone());
        }
    }
}

/// Texts of a template: Kubeflow's path of the Notebook is that of the workspace here, and a credential is nowhere.
pub(super) fn text(value: &Value, prefix: &str) -> Result<Option<Value>, String> {
    let Some(text) = value.as_str() else {
        return Ok(None);
    };
    check_text(text)?;
    let base = "{workspace.basePath}";
    let written = text.replace(&format!("{prefix}/"), base);
    let written = match written.strip_suffix(prefix) {
        Some(start) => format!("{start}{base}"),
        None => written,
    };
    Ok((written.as_str() != text).then_some(Value::String(written)))
}
