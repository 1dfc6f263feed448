//! Texts of others -> the same elements and attributes as of harmless ones.

use std::fs;
use std::path::Path;

use scraper::{Html, Node};

use crate::every_page::pages;

/// Not ASCII, as the hostile ones: such sentences are isolated.
const HARMLESS: &str = " é";

const HOSTILE: [&str; 6] = [
    "é\"'><script>alert(1)</script><img src=x onerror=alert(1)>",
    "é{{7731*7919}}{% include \"/etc/passwd\" %}${7731*7919}<%= 7731*7919 %>",
    "é</textarea></title></pre></option></select></details><form action=//evil>",
    "é\u{202e}txet\u{2066} \u{0}\u{1b}[31m\r\n<!--",
    "é' autofocus onfocus=alert(1) x=' \" autofocus onfocus=alert(1) x=\"",
    "é&lt;b&gt;&#60;b&#62;]]><svg onload=alert(1)><base href=//evil>",
];

/// Names of the elements in their order, each with the names of its attributes.
fn structure(html: &str) -> Vec<String> {
    let parsed = Html::parse_document(html);
    let nodes = parsed.tree.nodes().filter_map(|node| match node.value() {
        Node::Element(element) => {
            let mut names: Vec<_> = element.attrs().map(|(name, _)| name).collect();
            names.sort_unstable();
            Some(format!("{} {}", element.name(), names.join(" ")))
        }
        Node::Comment(_) => Some("comment".to_owned()),
        _ => None,
    });
    nodes.collect()
}

#[tokio::test]
async fn a_hostile_text_adds_no_element_and_no_attribute() {
    let harmless = pages(&|text| format!("{text}{HARMLESS}")).await;
    let mut changed = Vec::new();
    for hostile in HOSTILE {
        let pages = pages(&|text| format!("{text}{hostile}")).await;
        for ((name, page), (_, expected)) in pages.iter().zip(&harmless) {
            let (actual, expected) = (structure(page), structure(expected));
            let first = actual.iter().zip(&expected).find(|(one, other)| one != other);
            if actual != expected {
                changed.push(format!("{name}, {hostile:?}: {first:?}"));
            }
            assert!(!page.contains("61221789"), "{name}: a template was evaluated");
        }
    }
    assert!(changed.is_empty(), "{changed:#?}");
}

#[tokio::test]
async fn a_text_of_100_kib_is_shown_whole_and_adds_nothing() {
    let long = "é<b>".repeat(25 * 1024);
    let harmless = pages(&|text| format!("{text}{HARMLESS}")).await;
    let pages = pages(&|text| {
        if text.contains("Back-off") || text.contains("forbidden") {
            format!("{text}{long}")
        } else {
            format!("{text}{HARMLESS}")
        }
    })
    .await;
    for ((name, page), (_, expected)) in pages.iter().zip(&harmless) {
        assert!(structure(page) == structure(expected), "{name}");
    }
    let (_, workspace) = pages
        .iter()
        .find(|(name, _)| *name == "workspace-failed")
        .unwrap();
    assert!(workspace.len() > 100 * 1024);
}

#[tokio::test]
async fn a_title_has_no_marks_of_direction() {
    for (name, page) in pages(&|text| format!("{text}\u{202e}\u{2066}")).await {
        let title = page
            .split_once("<title>")
            .unwrap()
            .1
            .split_once("</title>")
            .unwrap()
            .0;
        assert!(!title.contains(['\u{202e}', '\u{2066}']), "{name}: {title}");
    }
}

#[tokio::test]
async fn a_text_with_marks_of_direction_is_isolated() {
    let mut open = Vec::new();
    for (name, page) in pages(&|text| format!("{text}\u{202e}")).await {
        let parsed = Html::parse_document(&page);
        for node in parsed.tree.nodes() {
            let Node::Text(text) = node.value() else { continue };
            if !text.contains('\u{202e}') {
                continue;
            }
            let above: Vec<_> = node
                .ancestors()
                .filter_map(|above| {
                    above
                        .value()
                        .as_element()
                        .map(|element| element.name().to_owned())
                })
                .collect();
            // What is alone in its box: a textarea, a preformatted text, a line of a choice.
            let isolated = above
                .iter()
                .any(|name| matches!(name.as_str(), "bdi" | "textarea" | "pre" | "code" | "option"));
            if !isolated {
                open.push(format!("{name}: {:?} in {above:?}", &**text));
            }
        }
    }
    assert!(open.is_empty(), "{open:#?}");
}

#[test]
fn no_template_switches_escaping_off() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            if entry.path().extension().is_none_or(|end| end != "html") {
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            let off = ["|safe", "| safe", "|escape(", "autoescape"];
            assert!(off.iter().all(|word| !text.contains(word)), "{:?}", entry.path());
            read += 1;
        }
    }
    assert!(read > 20, "{read} templates were read");
}
