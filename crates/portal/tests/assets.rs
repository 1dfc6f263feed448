//! Style sheet and scripts -> sizes, checksums, contrast.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use portal::assets::{self, Asset};
use sha2::{Digest as _, Sha256};

use crate::every_page;

const KIB: usize = 1024;

fn file(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(path)).unwrap()
}

fn asset(name: &str) -> &'static Asset {
    assets::find(assets::url(name)).unwrap()
}

#[test]
fn an_asset_is_found_by_its_hashed_address_alone() {
    let style = asset("portal.css");
    assert!(
        style.url.starts_with("/assets/portal.")
            && style
                .url
                .trim_start_matches("/assets/portal.")
                .trim_end_matches(".css")
                .len()
                == 16
            && style.url.len() == 35,
        "{}",
        style.url
    );
    assert_eq!(style.content_type, "text/css; charset=utf-8");
    assert!(assets::find("/assets/portal.css").is_none());
    assert!(assets::find("/assets/../Cargo.toml").is_none());
    assert_eq!(assets::url("other.css"), "");
    let mut whole = Vec::new();
    GzDecoder::new(style.gzip.as_slice())
        .read_to_end(&mut whole)
        .unwrap();
    assert_eq!(whole, style.bytes);
}

#[tokio::test]
async fn a_first_load_stays_within_its_budget() {
    let script = asset("portal.js").gzip.len() + asset("idiomorph.js").gzip.len();
    let style = asset("portal.css").gzip.len();
    assert!(script <= 20 * KIB && style <= 15 * KIB, "{script} {style}");
    let (_, page) = every_page::pages(&str::to_owned)
        .await
        .into_iter()
        .find(|(name, _)| *name == "list")
        .unwrap();
    // 50 rows in place of the sample's five; uncompressed they would be ten times as much.
    let row = page
        .split_once("<tbody")
        .unwrap()
        .1
        .split_once("</tbody>")
        .unwrap()
        .0;
    let page = page.replacen(row, &row.repeat(10), 1);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, page.as_bytes()).unwrap();
    let page = encoder.finish().unwrap().len();
    assert!(script + style + page <= 60 * KIB, "{script} {style} {page}");
    let script = String::from_utf8(file("portal.js")).unwrap();
    assert!(script.lines().count() <= 400, "{}", script.lines().count());
}

#[test]
fn the_vendored_script_is_the_one_of_its_package() {
    let sums = String::from_utf8(file("vendor/idiomorph/SHA256SUMS")).unwrap();
    let mut compared = 0;
    for line in sums.lines().filter(|line| !line.starts_with('#')) {
        let (sum, name) = line.split_once("  ").unwrap();
        let actual = Sha256::digest(file(&format!("vendor/idiomorph/{name}")));
        let actual = actual
            .iter()
            .fold(String::new(), |sum, byte| format!("{sum}{byte:02x}"));
        assert_eq!(actual, sum, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn markup_becomes_elements_through_the_policy_alone() {
    let script = String::from_utf8(file("portal.js")).unwrap();
    for sink in [
        "innerHTML",
        "parseFromString(",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ] {
        for line in script
            .lines()
            .filter(|line| line.contains(sink) && !line.contains("morphStyle"))
        {
            assert!(line.contains("trusted.createHTML("), "{line}");
        }
    }
    assert_eq!(script.matches("createPolicy(").count(), 1);
}

#[test]
fn a_style_sheet_loads_nothing_from_elsewhere() {
    let style = String::from_utf8(asset("portal.css").bytes.clone()).unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
    let (open, close) = (style.matches('{').count(), style.matches('}').count());
    assert_eq!(open, close);
}

/// The variables of `:root` in one mode: those of the light one, then those that the dark one changes.
fn variables(style: &str, dark: bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let rules = style
        .replace("}@media", "}\n@media")
        .replace("}:root", "}\n:root");
    for line in rules.lines().filter(|line| line.contains(":root{")) {
        if line.starts_with("@media") && !dark {
            continue;
        }
        let body = line.split_once(":root{").unwrap().1;
        let pairs = body
            .split(['}', ';'])
            .filter_map(|pair| pair.strip_prefix("--")?.split_once(':'));
        found.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    found
}

#[test]
fn colours_are_those_of_the_gateway_s_pages_and_written_once() {
    let style = String::from_utf8(asset("portal.css").bytes.clone()).unwrap();
    let theme = theme::Theme::default();
    let own = style.strip_prefix(theme.css()).unwrap();
    assert!(!own.contains(":root"), "a second place for colours");
    let known = variables(theme.css(), true);
    for used in own.split("var(--").skip(1) {
        let name = used.split([',', ')']).next().unwrap();
        // Set by the classes of tones.
        let is_of_tone = ["tone", "tint"].contains(&name);
        assert!(is_of_tone || known.contains_key(name), "--{name}");
    }
}
