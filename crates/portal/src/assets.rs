//! Name of an asset -> its address with a hash, and its bytes (pure).

use std::io::Write as _;
use std::sync::{LazyLock, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// A file that browsers load.
#[derive(Debug)]
pub struct Asset {
    /// Its address, `/assets/<name>.<hash>.<extension>`: immutable.
    pub url: String,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// As it is.
    pub bytes: Vec<u8>,
    /// Compressed.
    pub gzip: Vec<u8>,
}

/// Names and contents; one that loads another would come after it.
const FILES: [(&str, &str); 3] = [
    ("portal.css", include_str!("../assets/portal.css")),
    ("portal.js", include_str!("../assets/portal.js")),
    (
        "idiomorph.js",
        include_str!("../assets/vendor/idiomorph/idiomorph.min.js"),
    ),
];

static THEME: OnceLock<String> = OnceLock::new();
static ASSETS: LazyLock<Vec<(&str, Asset)>> = LazyLock::new(|| {
    let theme = THEME.get_or_init(|| theme::Theme::default().css().to_owned());
    let files = FILES.iter();
    files
        .map(|(name, text)| (*name, asset(name, text, theme)))
        .collect()
});

/// Sets the colours of the installation, once and before the first page: what [`theme::Theme::css`] has. Without it they are the default ones.
pub fn install(theme: String) {
    let _ = THEME.set(theme);
}

/// The address of an asset, such as `url("portal.css")`; empty for what is none.
pub fn url(name: &str) -> &'static str {
    let assets = &*ASSETS;
    let found = assets.iter().find(|(own, _)| *own == name);
    found.map_or("", |(_, asset)| asset.url.as_str())
}

/// The asset at a path, such as `/assets/portal.0123456789abcdef.css`.
pub fn find(path: &str) -> Option<&'static Asset> {
    let assets = &*ASSETS;
    let found = assets.iter().find(|(_, asset)| asset.url == path);
    found.map(|(_, asset)| asset)
}

fn asset(name: &str, text: &str, theme: &str) -> Asset {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let (content_type, bytes) = match extension {
        "css" => ("text/css; charset=utf-8", format!("{theme}{text}").into_bytes()),
        _ => ("text/javascript; charset=utf-8", text.as_bytes().to_vec()),
    };
    let hash = Sha256::digest(&bytes);
    Asset {
        url: format!("/assets/{stem}.{hash:.16x}.{extension}"),
        content_type,
        gzip: compress(&bytes),
        bytes,
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // A Vec takes every byte.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
