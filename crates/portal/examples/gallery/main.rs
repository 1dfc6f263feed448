//! A folder -> every page with sample data in it, as files that a browser can show (IO).
//!
//! `cargo run -p portal --example gallery -- DIR`

mod samples;

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

use portal::assets;

fn main() -> io::Result<()> {
    let Some(folder) = env::args().nth(1) else {
        return Err(io::Error::other(
            "name a folder: cargo run -p portal --example gallery -- DIR",
        ));
    };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder.join("assets"))?;
    for name in ["portal.css", "portal.js", "idiomorph.js"] {
        let url = assets::url(name);
        let asset = assets::find(url).ok_or_else(|| io::Error::other(format!("no asset {name}")))?;
        fs::write(folder.join(url.trim_start_matches('/')), &asset.bytes)?;
    }
    let mut index =
        String::from("<!doctype html><html lang=\"en\"><title>Gallery</title><h1>Gallery</h1><ul>");
    for (name, html) in samples::pages(&str::to_owned) {
        // Files have no root.
        let html = html.replace("=\"/assets/", "=\"assets/");
        fs::write(folder.join(format!("{name}.html")), html)?;
        let _ = write!(index, "<li><a href=\"{name}.html\">{name}</a></li>");
    }
    fs::write(folder.join("index.html"), index + "</ul></html>")
}
