//! Objects of other systems -> files and tables, by golden pairs and by any shape (pure, but for the files of golden pairs).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod calls;
mod commands;
mod corpus;
mod golden;
mod jupyter_k8s;
mod refused;
mod shapes;
mod z2jh;

use import::{Error, Import, Input, Options, Source, convert};

fn kubeflow(text: &str) -> Result<Import, Error> {
    from(Source::Kubeflow, text)
}

fn jupyter_k8s(text: &str) -> Result<Import, Error> {
    from(Source::JupyterK8s, text)
}

fn from(source: Source, text: &str) -> Result<Import, Error> {
    let input = Input {
        name: "source.yaml".to_owned(),
        text: text.to_owned(),
    };
    let options = Options {
        user_prefix: Some("oidc:".to_owned()),
        ..Options::default()
    };
    convert(source, &[input], &options)
}

/// The text of a file of the result.
fn text<'a>(import: &'a Import, name: &str) -> &'a str {
    &import.files.iter().find(|file| file.name == name).unwrap().text
}
