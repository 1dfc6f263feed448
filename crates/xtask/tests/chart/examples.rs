//! charts/jupyter-k8s/examples -> each installs as it says, without a warning (IO: runs `helm`).
//!
//! What holds of every installation (`render::installations`) is checked of each example where it is checked of the defaults.

use std::fs;

use crate::notes::notes;
use crate::render::{chart, examples};

fn read(file: &str) -> String {
    let path = chart().join("../..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn no_example_causes_a_warning() {
    for example in examples() {
        let notes = notes(&["-f", &format!("examples/{example}")]);
        assert!(notes.contains("helm test jupyter-k8s"), "{example}: {notes}");
        assert!(!notes.contains("WARNING"), "{example}: {notes}");
    }
}

#[test]
fn every_example_says_whom_it_is_for_what_must_exist_and_how_it_is_installed() {
    for example in examples() {
        let file = format!("charts/jupyter-k8s/examples/{example}");
        let text = read(&file);
        assert!(text.starts_with("# For "), "{file}");
        assert!(text.contains("\n# Must exist:\n"), "{file}");
        assert!(
            text.contains(&format!(" -f {file}\n")),
            "{file} is not in its own command"
        );
    }
}

#[test]
fn the_guide_leads_to_every_example() {
    let guide = read("docs/install.md");
    for example in examples() {
        let link = format!("(../charts/jupyter-k8s/examples/{example})");
        assert!(guide.contains(&link), "docs/install.md does not link {link}");
    }
}

#[test]
fn every_secret_and_config_map_that_the_administrator_makes_is_in_a_command_of_the_example() {
    for example in examples() {
        let notes = notes(&["-f", &format!("examples/{example}")]);
        let (_, expected) = notes.split_once("the chart does not make them:").unwrap();
        let (expected, _) = expected.split_once("The programs make these").unwrap();
        let text = read(&format!("charts/jupyter-k8s/examples/{example}"));
        for line in expected.lines().filter(|line| !line.is_empty()) {
            let (object, _) = line.trim().split_once(": ").unwrap();
            let name = object.split(' ').next_back().unwrap();
            let made = text
                .lines()
                .any(|line| line.contains(" create ") && line.contains(&format!(" {name} -n")));
            assert!(made, "{example}: no command makes {object}");
        }
    }
}
