//! `reference FILE` or `load FILE` -> a bare server, or requests, for `xtask bench-webhook` (IO).
//!
//! FILE is JSON, see [`reference::Plan`] and [`load::Plan`].

mod load;
mod reference;
mod wire;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;

fn main() -> anyhow::Result<()> {
    kit::tls::install_crypto_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["reference", plan] => reference::run(&read(plan)?),
        ["load", plan] => load::run(read(plan)?),
        // `cargo bench` and `cargo test --benches` run this without arguments. Only `xtask bench-webhook` measures.
        _ => {
            println!("usage: reference|load FILE, as `xtask bench-webhook` calls it");
            Ok(())
        }
    }
}

fn read<T: DeserializeOwned>(file: &str) -> anyhow::Result<T> {
    serde_json::from_str(&text(Path::new(file))?).with_context(|| file.to_owned())
}

fn text(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
