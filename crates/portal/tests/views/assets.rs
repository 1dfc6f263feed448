//! Style sheet and scripts -> sizes, checksums, contrast.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use portal::assets::{self, Asset};
use sha2::{Digest as _, Sha256};

use crate::samples;

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

#[test]
fn a_first_load_stays_within_its_budget() {
    let script = asset("portal.js").gzip.len() + asset("idiomorph.js").gzip.len();
    let style = asset("portal.css").gzip.len();
    assert!(script <= 20 * KIB && style <= 15 * KIB, "{script} {style}");
    let (_, page) = samples::pages(&str::to_owned)
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

/// Relative luminance, as WCAG defines it.
fn luminance(colour: &str) -> f64 {
    let digits = colour.trim_start_matches('#');
    let digits = if digits.len() == 3 {
        digits.chars().flat_map(|digit| [digit, digit]).collect()
    } else {
        digits.to_owned()
    };
    let linear = |at: usize| {
        let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(0) + 0.7152 * linear(2) + 0.0722 * linear(4)
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

/// The style sheets of the default theme, and of accents of each hue that are as close to the backgrounds as a theme allows.
fn style_sheets() -> Vec<String> {
    let theme = |light: &str, dark: &str| {
        let settings = theme::ThemeSettings {
            accent_color: light.to_owned(),
            accent_color_dark: dark.to_owned(),
            ..theme::ThemeSettings::default()
        };
        theme::Theme::new(&settings, None).map(|theme| theme.css().to_owned())
    };
    let mut all = vec![theme("", "").unwrap()];
    for hue in 1..8u8 {
        // Parts of the hue are as light as possible, or the others as dark.
        let colour = |own: u8, other: u8| {
            let part = |bit: u8| if hue & bit == 0 { other } else { own };
            format!("#{:02x}{:02x}{:02x}", part(1), part(2), part(4))
        };
        let dark = (0..=255).find_map(|other| theme("", &colour(255, other)).ok());
        let light = (0..=255).rev().find_map(|own| theme(&colour(own, 0), "").ok());
        all.extend([light, dark].into_iter().flatten());
    }
    all
}

#[test]
fn texts_and_borders_have_contrast_in_both_modes_with_any_accent() {
    let all = style_sheets();
    assert_eq!(all.len(), 15, "one of each hue in both modes");
    for style in &all {
        assert_contrast(style);
    }
}

fn assert_contrast(style: &str) {
    for dark in [false, true] {
        let variables = variables(style, dark);
        let check = |front: &str, back: &str, least: f64| {
            let (one, two) = (
                luminance(&variables[front]) + 0.05,
                luminance(&variables[back]) + 0.05,
            );
            let contrast = one.max(two) / one.min(two);
            assert!(
                contrast >= least,
                "dark {dark}: {front} on {back} has {contrast:.2}: {style}"
            );
        };
        for back in ["page", "card", "hover", "bad-soft", "ok-soft", "warn-soft"] {
            for front in ["text", "soft", "accent"] {
                check(front, back, 4.5);
            }
        }
        for (front, back) in [
            ("bad", "card"),
            ("bad", "page"),
            ("bad", "bad-soft"),
            ("good", "card"),
            ("wait", "card"),
            ("wait", "page"),
            ("wait", "warn-soft"),
            ("on-accent", "accent"),
            ("card", "bad"),
            ("card", "good"),
        ] {
            check(front, back, 4.5);
        }
        for back in ["page", "card"] {
            check("edge", back, 3.0);
        }
    }
}
