//! Links in README and docs -> existing files and headings.

mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use tree::{below, root};

fn pages() -> Vec<PathBuf> {
    let top = fs::read_dir(root())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let folders = ["charts", "deploy", "docs"].into_iter();
    let all = folders.flat_map(|folder| below(&root().join(folder))).chain(top);
    all.filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect()
}

/// Lines outside of code blocks (fenced or indented), which may look like links or headings.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence && !line.starts_with("    ")
    })
}

/// Targets of links in the text, except for other sites. Text between backquotes is no link.
fn targets(page: &str) -> Vec<String> {
    let text: String = prose(page)
        .flat_map(|line| line.split('`').step_by(2).chain(["\n"]))
        .collect();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://"))
        .map(str::to_owned)
        .collect()
}

/// The anchor of a heading: lower case, `-` for spaces, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading.chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn has_heading(page: &Path, wanted: &str) -> bool {
    let page = fs::read_to_string(page).unwrap_or_default();
    prose(&page).any(|line| line.starts_with('#') && anchor(line) == wanted)
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut links = 0;
    let mut broken = Vec::new();
    for page in pages() {
        for target in targets(&fs::read_to_string(&page).unwrap()) {
            links += 1;
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let file = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            if !file.exists() || (!heading.is_empty() && !has_heading(&file, heading)) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(links > 50, "only {links} links were found");
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn every_document_is_in_the_readme() {
    let readme = targets(&fs::read_to_string(root().join("README.md")).unwrap());
    let missing: Vec<_> = pages()
        .into_iter()
        .filter_map(|page| Some(page.strip_prefix(root()).ok()?.to_str()?.to_owned()))
        .filter(|page| page.starts_with("docs/") && !page.starts_with("docs/decisions/"))
        .filter(|page| !readme.contains(page))
        .collect();
    assert!(missing.is_empty(), "README leads to none of {missing:?}");
}
