//! Objects of other systems -> files and tables, by golden pairs and by any shape (pure, but for the files of golden pairs).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod corpus;
mod golden;
mod refused;
mod shapes;

use import::{Error, Import, Input, Options, Source, convert};

fn kubeflow(text: &str) -> Result<Import, Error> {
    let input = Input {
        name: "source.yaml".to_owned(),
        text: text.to_owned(),
    };
    let options = Options {
        user_prefix: "oidc:".to_owned(),
    };
    convert(Source::Kubeflow, &[input], &options)
}
