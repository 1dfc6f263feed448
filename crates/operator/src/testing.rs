//! Settings, valid workspaces and observed states for unit tests (pure).

use std::sync::Arc;

use api::Workspace;
use k8s_openapi::api::core::v1::Pod;
use rules::{References, Settings, ValidWorkspace};
use serde::Serialize;
use testkit::objects;

use crate::{
    cache::{
        observed::{Identity, Observed},
        stores::{Parsed, Trim},
    },
    plan::{self, ImagesNamespace, Installation},
};

pub(crate) fn settings() -> Settings {
    Settings::parse(
        "{defaultImage: uv, imageAliases: {uv: 'localhost/jk8s-application-jupyter-uv:1'}, recoveryImage: 'localhost/recovery:1'}",
    )
    .unwrap()
}

pub(crate) fn installation() -> Installation {
    Installation::new(
        "jupyter-k8s-system".to_owned(),
        "jupyter-k8s".to_owned(),
        &settings(),
    )
}

/// The namespace of images of the same installation.
pub(crate) fn images() -> ImagesNamespace {
    let image = "r.example.com/operator:1".to_owned();
    ImagesNamespace::new("images".to_owned(), image, &[], "jupyter-k8s", &settings())
}

pub(crate) fn admit(workspace: &Workspace) -> ValidWorkspace {
    rules::admit(
        workspace,
        &References::managed_by([&objects::manager("main")]),
        &settings(),
    )
    .unwrap()
}

pub(crate) fn valid() -> ValidWorkspace {
    admit(&objects::workspace("demo"))
}

pub(crate) fn identity() -> Identity {
    Identity::from_meta(&objects::workspace("demo").metadata)
}

/// Observed state without any child.
pub(crate) fn observed() -> Observed {
    Observed::empty(identity())
}

/// What a watch keeps of an object.
pub(crate) fn partial<K: Trim>(object: &impl Serialize) -> Arc<K> {
    let text = serde_json::to_string(object).unwrap();
    serde_json::from_str::<Parsed<K>>(&text).unwrap().read().unwrap()
}

/// The pod of a run, as the API server stores it: pending, without an address.
pub(crate) fn pod() -> Pod {
    objects::stored(plan::run(&valid(), &installation(), "run1"))
}

/// A started workspace: its pod is pending.
pub(crate) fn started() -> Observed {
    let lasting = plan::lasting(&valid());
    Observed {
        claim: lasting.claim.map(Into::into),
        service: lasting.service.map(Into::into),
        pods: vec![partial(&pod())],
        ..observed()
    }
}

/// A running workspace: its pod is ready.
pub(crate) fn running() -> Observed {
    Observed {
        pods: vec![partial(&objects::ready(pod(), "10.0.0.9"))],
        ..started()
    }
}

/// The pod of a running workspace is being deleted.
pub(crate) fn ending() -> Observed {
    let mut observed = running();
    let pod = Arc::make_mut(&mut observed.pods[0]);
    pod.metadata
        .deletion_timestamp
        .clone_from(&pod.metadata.creation_timestamp);
    observed
}
