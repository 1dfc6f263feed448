//! Values of zero-to-jupyterhub and claims -> files and tables (pure, but for the files of golden pairs).

mod choices;
mod corpus;
mod golden;
mod hubs;
mod refused;
mod servers;
mod shapes;

use import::{Entry, Error, Hub, Import, Input, Options, Outcome, Source, convert};

/// A claim of alice's default server.
const CLAIM: &str = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: claim-alice, namespace: team-a, \
                     annotations: {hub.jupyter.org/username: alice}}}";

/// Files, by name, in Helm's order.
pub(crate) fn z2jh(hub: Hub, files: &[(&str, &str)]) -> Result<Import, Error> {
    let inputs: Vec<_> = files
        .iter()
        .map(|(name, text)| Input {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    let options = Options {
        user_prefix: Some("oidc:".to_owned()),
        hub: Some(hub),
        slug_scheme: Some("safe".to_owned()),
        ..Options::default()
    };
    convert(Source::Z2jh, &inputs, &options)
}

/// The entries that are lost.
fn lost(import: &Import) -> impl Iterator<Item = &Entry> {
    import
        .entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Lost)
}
