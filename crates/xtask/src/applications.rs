//! The chart's applications.yaml -> applications and their images (in memory).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// An application beside JupyterLab.
#[derive(Debug, Deserialize)]
pub(crate) struct Application {
    /// Entry of the chart's value `images`, folder in deploy/images, and alias.
    pub(crate) image: String,
    /// What the image holds.
    pub(crate) holds: String,
}

/// Applications by their names in the chart's value `applications`.
#[expect(
    clippy::expect_used,
    reason = "the file is part of the program, and tests read it"
)]
pub(crate) static APPLICATIONS: LazyLock<BTreeMap<String, Application>> = LazyLock::new(|| {
    let text = include_str!("../../../charts/jupyter-k8s/applications.yaml");
    serde_saphyr::from_str(text).expect("applications.yaml must have an image for each application")
});

/// Names of all images of applications.
pub(crate) fn images() -> Vec<&'static str> {
    APPLICATIONS
        .values()
        .map(|application| application.image.as_str())
        .collect()
}
