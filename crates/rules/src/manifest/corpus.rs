//! Documents as people break them -> line, column and words of each finding (tests).

use super::tests::{NAMED, lines};

/// After a head of four lines: text, then what each finding begins with and a word of its message.
const BROKEN: &[(&str, &[(&str, &str)])] = &[
    // No YAML.
    ("spec: {displayName: a", &[("5:7", "unclosed bracket")]),
    ("spec: [a, b", &[("5:7", "unclosed bracket")]),
    ("spec:\n  displayName: \"a\n", &[("7:1", "is no YAML")]),
    ("spec:\n  displayName: 'a\n", &[("7:1", "is no YAML")]),
    ("spec:\n  displayName: a\n image: b\n", &[("7:2", "is no YAML")]),
    ("spec:\n\tdisplayName: a\n", &[("6:2", "a tab cannot indent")]),
    ("spec:\n  displayName a\n  image: b\n", &[("7:8", "is no YAML")]),
    ("spec: a: b\n", &[("5:8", "is no YAML")]),
    ("spec:\n  displayName: @a\n", &[("6:16", "is no YAML")]),
    ("spec:\n  displayName: a\n}\n", &[("7:1", "is no YAML")]),
    (
        "spec:\n  displayName: \"\\q\"\n",
        &[("6:16", "unknown escape character")],
    ),
    // YAML that is not read.
    (
        "spec:\n  displayName: &a Demo\n  image: *a\n",
        &[("6:19", "has an anchor"), ("7:10", "is an alias")],
    ),
    ("spec:\n  displayName: *gone\n", &[("6:16", "is an alias")]),
    ("spec:\n  displayName: !!str 5\n", &[("6:16", "has a tag")]),
    ("spec: !custom\n  displayName: a\n", &[("5:7", "has a tag")]),
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
    ("", &[("1:1", "spec: missing field `spec`")]),
    (
        "spec:\n",
        &[("5:5", "spec: invalid type: null, expected struct WorkspaceSpec")],
    ),
    (
        "spec:\n  image: uv\n",
        &[("5:1", "spec: missing field `displayName`")],
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
        &[("7:3", "spec.imagee: is an unknown field: did you mean \"image\"?")],
    ),
    (
        "spec:\n  displayName: a\n  storage:\n    sise: 1Gi\n",
        &[("8:5", "spec.storage.sise: is an unknown field")],
    ),
    (
        "spec:\n  displayName: a\n  env:\n  - name: A\n    value: b\n  - name: B\n    vlaue: c\n",
        &[("11:5", "spec.env[1].vlaue: is an unknown field")],
    ),
    // Wrong types and values.
    (
        "spec: text\n",
        &[(
            "5:7",
            "spec: invalid type: string \"text\", expected struct WorkspaceSpec",
        )],
    ),
    (
        "spec:\n  displayName: 5\n",
        &[(
            "6:16",
            "spec.displayName: invalid type: integer `5`, expected a string",
        )],
    ),
    (
        "spec:\n  displayName: a\n  port: http\n",
        &[("7:9", "spec.port: invalid type: string \"http\", expected i32")],
    ),
    (
        "spec:\n  displayName: a\n  storage: 5Gi\n",
        &[(
            "7:12",
            "spec.storage: invalid type: string \"5Gi\", expected struct Storage",
        )],
    ),
    (
        "spec:\n  displayName: a\n  accessType: Everybody\n",
        &[(
            "7:15",
            "spec.accessType: unknown variant `Everybody`, expected `OwnerOnly` or `Public`",
        )],
    ),
    (
        "spec:\n  displayName: a\n  env: {A: b}\n  idleShutdown: {enabled: sometimes}\n",
        &[("7:3", "spec.env: invalid type: map, expected a sequence")],
    ),
    // Tabs and indentation.
    (
        "spec:\n  displayName: a\n\timage: b\n",
        &[("7:1", "a tab cannot indent")],
    ),
    (
        "spec:\n  displayName: a\n  resources:\n  \tlimits: {cpu: 1}\n",
        &[("8:4", "a tab cannot indent")],
    ),
    (
        "spec:\n  displayName: a\n    image: b\n",
        &[("7:10", "is no YAML")],
    ),
    (
        "spec:\n    displayName: a\n  image: b\n",
        &[("7:3", "is no YAML")],
    ),
    (
        "spec:\n  displayName: a\n  env:\n  - name: A\n   value: b\n",
        &[("9:4", "is no YAML")],
    ),
    (
        "spec:\ndisplayName: a\n",
        &[(
            "6:1",
            "displayName: is an unknown field: see `kubectl explain workspace`",
        )],
    ),
    (
        "spec:\n  displayName: a\n  resources:\n  limits: {cpu: 1}\n",
        &[("8:12", "spec.limits.cpu: is an unknown field")],
    ),
    (
        "spec:\n  displayName: a\n  env:\n  -name: A\n",
        &[("8:3", "spec.-name: is an unknown field")],
    ),
    (
        "spec:\n  displayName:a\n",
        &[(
            "6:3",
            "spec: invalid type: string \"displayName:a\", expected struct WorkspaceSpec",
        )],
    ),
    // Quotes and brackets.
    (
        "spec:\n  displayName: \"a\n  image: b\n",
        &[("7:3", "is no YAML: invalid indentation in multiline quoted")],
    ),
    ("spec:\n  displayName: 'it's'\n", &[("6:20", "is no YAML")]),
    ("spec:\n  displayName: \"a\" b\n", &[("6:20", "is no YAML")]),
    (
        "spec:\n  displayName: a\n  resources: {limits: {cpu: 1}\n  image: b\n",
        &[("8:3", "did not find expected ',' or '}'")],
    ),
    ("spec:\n  displayName: a\n  env: []]\n", &[("7:10", "is no YAML")]),
    (
        "spec:\n  displayName: a\n  env: [{name: A value: b}]\n",
        &[("7:23", "did not find expected ',' or '}'")],
    ),
    ("spec:\n  displayName: `a`\n", &[("6:16", "is no YAML")]),
    ("spec:\n  displayName: %a\n", &[("6:16", "is no YAML")]),
    ("spec:\n  displayName: - a\n", &[("6:16", "is no YAML")]),
    ("spec:\n  displayName: |0\n    a\n", &[("6:16", "is no YAML")]),
    // Characters that no YAML text has.
    ("spec:\n  displayName: a\0b\n", &[("6:17", "is no YAML")]),
    ("spec:\n  displayName: a\u{7}b\n", &[("6:16", "is no YAML")]),
    (
        "spec:\n  \u{feff}displayName: a\n",
        &[("6:3", "a BOM must not appear inside a document")],
    ),
    (
        "spec:\n  display\u{a0}Name: a\n",
        &[(
            "6:3",
            "spec.display\u{a0}Name: is an unknown field: did you mean \"displayName\"?",
        )],
    ),
    // YAML that is not read.
    ("spec: &s\n  displayName: a\n", &[("6:3", "has an anchor")]),
    (
        "spec:\n  displayName: a\n  ? *gone\n  : b\n",
        &[("7:5", "is an alias")],
    ),
    (
        "spec:\n  displayName: a\n  <<: *gone\n",
        &[("7:3", "is a merge key"), ("7:7", "is an alias")],
    ),
    ("spec:\n  displayName: !!binary YQ==\n", &[("6:16", "has a tag")]),
    (
        "spec:\n  displayName: a\n  env: !!set {A}\n",
        &[("7:8", "has a tag")],
    ),
    (
        "spec:\n  displayName: !<tag:yaml.org,2002:str> a\n",
        &[("6:16", "has a tag")],
    ),
    (
        "spec:\n  displayName: a\n...\nkind: Workspace\n",
        &[("8:1", "second document")],
    ),
    (
        "spec:\n  displayName: a\n---\na: b\n---\nc: d\n",
        &[("8:1", "second document")],
    ),
    // Twice.
    (
        "spec:\n  displayName: a\nspec:\n  image: b\n",
        &[("7:1", "is set twice")],
    ),
    (
        "spec:\n  displayName: a\n  \"displayName\": b\n",
        &[("7:3", "is set twice")],
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
        &[(
            "6:16",
            "spec.displayName: invalid type: boolean `true`, expected a string",
        )],
    ),
    (
        "spec:\n  displayName: 1.10\n",
        &[(
            "6:16",
            "spec.displayName: invalid type: floating point `1.1`, expected a string",
        )],
    ),
    (
        "spec:\n  displayName: null\n",
        &[("6:16", "spec.displayName: invalid type: null, expected a string")],
    ),
    (
        "spec:\n  displayName: yes\n",
        &[(
            "6:16",
            "spec.displayName: invalid type: boolean `true`, expected a string",
        )],
    ),
    (
        "spec:\n  displayName: a\n  idleShutdown: {enabled: \"true\"}\n",
        &[(
            "7:27",
            "spec.idleShutdown.enabled: invalid type: string \"true\", expected a boolean",
        )],
    ),
    (
        "spec:\n  displayName: a\n  idleShutdown: {enabled: 1, idleTimeoutInMinutes: 1h}\n",
        &[(
            "7:27",
            "spec.idleShutdown.enabled: invalid type: integer `1`, expected a boolean",
        )],
    ),
    (
        "spec:\n  displayName: a\n  port: \"8888\"\n",
        &[("7:9", "spec.port: invalid type: string \"8888\", expected i32")],
    ),
    (
        "spec:\n  displayName: a\n  port: 8888.5\n",
        &[(
            "7:9",
            "spec.port: invalid type: floating point `8888.5`, expected i32",
        )],
    ),
    (
        "spec:\n  displayName: a\n  port: 99999999999999999999\n",
        &[("7:9", "spec.port")],
    ),
    (
        "spec:\n  displayName: a\n  port: .nan\n",
        &[("7:9", "cannot be read: non-finite float")],
    ),
    (
        "spec:\n  displayName: a\n  port: 2026-01-01\n",
        &[(
            "7:9",
            "spec.port: invalid type: string \"2026-01-01\", expected i32",
        )],
    ),
    // Amounts.
    (
        "spec:\n  displayName: a\n  resources:\n    limits:\n      cpu: true\n      memory: [1Gi]\n",
        &[(
            "9:12",
            "spec.resources.limits.cpu: invalid type: boolean `true`, expected Quantity",
        )],
    ),
    // Words.
    (
        "spec:\n  displayName: a\n  desiredStatus: running\n",
        &[(
            "7:18",
            "spec.desiredStatus: unknown variant `running`, expected `Running` or `Stopped`",
        )],
    ),
    (
        "spec:\n  displayName: a\n  accessType: public\n  storage: {retain: keep}\n",
        &[(
            "7:15",
            "spec.accessType: unknown variant `public`, expected `OwnerOnly` or `Public`",
        )],
    ),
    (
        "Spec:\n  displayName: a\n",
        &[("5:1", "Spec: is an unknown field: did you mean \"spec\"?")],
    ),
    (
        "spec:\n  displayname: a\n",
        &[(
            "6:3",
            "spec.displayname: is an unknown field: did you mean \"displayName\"?",
        )],
    ),
    (
        "spec:\n  displayName: a\n  resources: {limit: {cpu: 1}}\n",
        &[("7:15", "spec.resources.limit: is an unknown field")],
    ),
    (
        "spec:\n  displayName: a\n  nodeSelector: {gpu: true, pool: a}\n",
        &[(
            "7:23",
            "spec.nodeSelector.gpu: invalid type: boolean `true`, expected a string",
        )],
    ),
    // Lists.
    (
        "spec:\n  displayName: a\n  env: [null]\n",
        &[("7:9", "spec.env[0]")],
    ),
    (
        "spec:\n  displayName: a\n  env:\n  -\n",
        &[("8:4", "spec.env[0]")],
    ),
    (
        "spec:\n  displayName: a\n  env: [A=b]\n",
        &[(
            "7:9",
            "spec.env[0]: invalid type: string \"A=b\", expected EnvVar",
        )],
    ),
    (
        "spec:\n  displayName: a\n  tolerations: {}\n",
        &[("7:3", "spec.tolerations")],
    ),
    ("spec:\n  displayName: [a, b]\n", &[("6:3", "spec.displayName")]),
    (
        "spec:\n- displayName: a\n",
        &[("6:3", "spec[0]: invalid type: map, expected a string")],
    ),
    (
        "spec:\n  displayName: a\n  env:\n  - name: A\n    value: 5\n  - value: b\n",
        &[(
            "9:12",
            "spec.env[0].value: invalid type: integer `5`, expected a string",
        )],
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
