//! Documents as people break them -> line, column and words of each finding (tests).

use super::tests::{NAMED, lines};

/// After a head of four lines: text, then what each finding begins with and a word of its message.
const BROKEN: &[(&str, &[(&str, &str)])] = &[
    // No YAML.
    ("spec: {displayName: a", &[("5:7", "unclosed bracket")]),
    ("spec:\n  displayName: \"a\n", &[("7:1", "is not valid YAML")]),
    (
        "spec:\n  displayName: a\n image: b\n",
        &[("7:2", "is not valid YAML")],
    ),
    ("spec:\n\tdisplayName: a\n", &[("6:2", "a tab cannot indent")]),
    ("spec: a: b\n", &[("5:8", "is not valid YAML")]),
    ("spec:\n  displayName: @a\n", &[("6:16", "is not valid YAML")]),
    ("spec:\n  displayName: a\n}\n", &[("7:1", "is not valid YAML")]),
    (
        "spec:\n  displayName: \"\\q\"\n",
        &[("6:16", "unknown escape character")],
    ),
    // YAML that is not read.
    (
        "spec:\n  displayName: &a Demo\n  image: *a\n",
        &[("6:19", "has an anchor"), ("7:10", "is an alias")],
    ),
    ("spec:\n  displayName: !!str 5\n", &[("6:16", "has a tag")]),
    (
        "spec:\n  <<: {image: a}\n  displayName: a\n",
        &[("6:3", "is a merge key")],
    ),
    (
        "spec:\n  displayName: a\n  displayName: b\n",
        &[("7:3", "is set twice")],
    ),
    ("spec:\n  ? [a]\n  : b\n", &[("6:5", "in place of a key")]),
    (
        "spec:\n  displayName: a\n---\nkind: Workspace\n",
        &[("8:1", "second document")],
    ),
    // Missing.
    ("", &[("1:1", "spec: `spec` must be set")]),
    ("spec:\n", &[("5:5", "spec: must be an object")]),
    (
        "spec:\n  image: uv\n",
        &[("5:1", "spec: `displayName` must be set")],
    ),
    // Unknown.
    (
        "colour: red\nspec:\n  displayName: a\n",
        &[(
            "5:1",
            "colour: is an unknown field: see `kubectl explain workspace`",
        )],
    ),
    // The proposed command holds nothing of the text.
    (
        "'x`; $(y).z': 1\nspec:\n  displayName: a\n",
        &[(
            "5:1",
            "x`; $(y).z: is an unknown field: see `kubectl explain workspace`",
        )],
    ),
    (
        "spec:\n  displayName: a\n  imagee: b\n",
        &[(
            "7:3",
            "spec.imagee: is an unknown field: see `kubectl explain workspace.spec`",
        )],
    ),
    (
        "spec:\n  displayName: a\n  env:\n  - name: A\n    value: b\n  - name: B\n    vlaue: c\n",
        &[("11:5", "spec.env[1].vlaue: is an unknown field")],
    ),
    // Wrong types and values.
    (
        "spec:\n  displayName: a\n  port: http\n",
        &[("7:9", "spec.port: must be a whole number of at most 2147483647")],
    ),
    (
        "spec:\n  displayName: a\n  storage: 5Gi\n",
        &[("7:12", "spec.storage: must be an object")],
    ),
    (
        "spec:\n  displayName: a\n  env: {A: b}\n  idleShutdown: {enabled: sometimes}\n",
        &[("7:3", "spec.env: must be a list")],
    ),
    // Tabs and indentation.
    (
        "spec:\n  displayName: a\n\timage: b\n",
        &[("7:1", "a tab cannot indent")],
    ),
    (
        "spec:\n  displayName: a\n    image: b\n",
        &[("7:10", "is not valid YAML")],
    ),
    (
        "spec:\n    displayName: a\n  image: b\n",
        &[("7:3", "is not valid YAML")],
    ),
    (
        "spec:\ndisplayName: a\n",
        &[(
            "6:1",
            "displayName: is an unknown field: see `kubectl explain workspace`",
        )],
    ),
    ("spec:\n  displayName:a\n", &[("6:3", "spec: must be an object")]),
    // Quotes and brackets.
    (
        "spec:\n  displayName: \"a\n  image: b\n",
        &[(
            "7:3",
            "is not valid YAML: invalid indentation in multiline quoted",
        )],
    ),
    (
        "spec:\n  displayName: a\n  resources: {limits: {cpu: 1}\n  image: b\n",
        &[("8:3", "did not find expected ',' or '}'")],
    ),
    // Characters that no YAML text has.
    ("spec:\n  displayName: a\0b\n", &[("6:17", "is not valid YAML")]),
    (
        "spec:\n  \u{feff}displayName: a\n",
        &[("6:3", "a BOM must not appear inside a document")],
    ),
    (
        "spec:\n  display\u{a0}Name: a\n",
        &[(
            "6:3",
            "spec.display\u{a0}Name: is an unknown field: see `kubectl explain workspace.spec`",
        )],
    ),
    // Twice.
    (
        "spec:\n  displayName: a\nspec:\n  image: b\n",
        &[("7:1", "is set twice")],
    ),
    (
        "spec:\n  displayName: a\n  resources: {limits: {cpu: 1, cpu: 2}}\n",
        &[("7:32", "spec.resources.limits.cpu: is set twice")],
    ),
    (
        "kind: Workspace\nspec:\n  displayName: a\n",
        &[("5:1", "is set twice")],
    ),
    // Booleans, numbers and dates.
    (
        "spec:\n  displayName: true\n",
        &[("6:16", "spec.displayName: must be text: put it in quotes")],
    ),
    (
        "spec:\n  displayName: a\n  idleShutdown: {enabled: \"true\"}\n",
        &[("7:27", "spec.idleShutdown.enabled: must be true or false")],
    ),
    (
        "spec:\n  displayName: a\n  port: 99999999999999999999\n",
        &[("7:9", "spec.port")],
    ),
    (
        "spec:\n  displayName: a\n  port: .nan\n",
        &[("7:9", "cannot be read: non-finite float")],
    ),
    // Amounts.
    (
        "spec:\n  displayName: a\n  resources:\n    limits:\n      cpu: true\n      memory: [1Gi]\n",
        &[(
            "9:12",
            "spec.resources.limits.cpu: must be a quantity such as 500m or 2Gi",
        )],
    ),
    // Words.
    (
        "spec:\n  displayName: a\n  desiredStatus: running\n",
        &[("7:18", "spec.desiredStatus: must be `Running` or `Stopped`")],
    ),
    (
        "Spec:\n  displayName: a\n",
        &[(
            "5:1",
            "Spec: is an unknown field: see `kubectl explain workspace`",
        )],
    ),
    (
        "spec:\n  displayName: a\n  nodeSelector: {gpu: true, pool: a}\n",
        &[("7:23", "spec.nodeSelector.gpu: must be text: put it in quotes")],
    ),
    // Lists.
    (
        "spec:\n  displayName: a\n  env: [null]\n",
        &[("7:9", "spec.env[0]")],
    ),
    (
        "spec:\n  displayName: a\n  env:\n  - name: A\n    value: 5\n  - value: b\n",
        &[("9:12", "spec.env[0].value: must be text: put it in quotes")],
    ),
];

#[test]
fn every_broken_document_is_found_at_its_line_and_column() {
    let mut wrong = Vec::new();
    for (text, expected) in BROKEN {
        let found = lines(&format!("{NAMED}{text}"));
        let fits = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(line, (place, words))| {
                line.strip_prefix(place)
                    .is_some_and(|rest| rest.starts_with(' ') && rest.contains(words))
            });
        if !fits {
            wrong.push(format!("{text:?}\n  expected {expected:?}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn line_ends_of_other_systems_and_a_byte_order_mark_move_no_finding() {
    for (text, _) in BROKEN {
        let text = format!("{NAMED}{text}");
        let expected = lines(&text);
        for other in [
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r"),
            format!("\u{feff}{text}"),
        ] {
            assert_eq!(lines(&other), expected, "{other:?}");
        }
    }
}
