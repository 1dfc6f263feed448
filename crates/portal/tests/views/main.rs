//! Pages with sample data -> what must hold for each of them: structure, labels, and that texts of others stay texts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod assets;
mod pages;
#[path = "../../examples/gallery/samples/mod.rs"]
mod samples;
mod texts;
