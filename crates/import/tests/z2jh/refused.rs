//! Values as people break them -> a sentence with the place, and nothing else; large ones -> all converted (pure).

use std::fmt::Write as _;

use import::{Error, Hub, Import, Input, Options, Outcome, Source, convert};

use super::{CLAIM, lost, z2jh};
use crate::text;

const IMAGE: &str = "singleuser: {image: {name: r.example.org/a, tag: '1'}}\n";

#[test]
fn what_cannot_be_converted_is_said_with_its_place() {
    let static_disk = "singleuser: {image: {name: a.example.org/a, tag: x}, storage: {type: static, static: {pvcName: homes}}}";
    for (hub, files, words) in [
        (Hub::Keep, vec![("pvcs.json", CLAIM)], "the input holds no values"),
        (Hub::Keep, vec![("a.yaml", "")], "the input holds no values"),
        (
            Hub::Keep,
            vec![("a.yaml", "- 1")],
            "a.yaml: document 1: must be values",
        ),
        (
            Hub::Keep,
            vec![("a.yaml", "hub: {}\n---\nproxy: {}\n")],
            "a.yaml: document 2: must be the only values of its file",
        ),
        (
            Hub::Keep,
            vec![("a.yaml", "hub:\n  b: {{ .Values.c }}\n")],
            "a.yaml:2: {{ begins an expression of a Helm template",
        ),
        (Hub::Keep, vec![("a.yaml", "hub: [")], "a.yaml:1:"),
        (
            Hub::Keep,
            vec![("a.yaml", IMAGE), ("b.yaml", "jupyterhub: {hub: {a: b}}")],
            "b.yaml: must have the chart's values where the others have them",
        ),
        (
            Hub::Keep,
            vec![("a.yaml", "hub: {}")],
            "a.yaml: Values a.yaml: singleuser: must have an image",
        ),
        (
            Hub::Replace,
            vec![(
                "a.yaml",
                "jupyterhub: {singleuser: {profileList: [{display_name: A}]}}",
            )],
            "jupyterhub.singleuser.profileList[0]: must have an image",
        ),
        (
            Hub::Replace,
            vec![("a.yaml", static_disk)],
            "singleuser.storage.static.pvcName: names a claim that is not in the input",
        ),
        (
            Hub::Keep,
            vec![
                ("a.yaml", IMAGE),
                ("b.json", CLAIM),
                (
                    "c.json",
                    "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: claim-bob, namespace: team-b, annotations: {hub.jupyter.org/username: bob}}}",
                ),
            ],
            "homes must be in one namespace, as a hub has its servers in one, and are in team-a, team-b",
        ),
        (
            Hub::Keep,
            vec![(
                "a.yaml",
                "hub: {baseUrl: \"/a b'\"}\nsingleuser: {image: {name: r.example.org/a}}",
            )],
            "hub.baseUrl: must be a path",
        ),
    ] {
        let error = z2jh(hub, &files).unwrap_err().to_string();
        assert!(error.contains(words), "{files:?}\n{error}");
    }
    // The controls.
    for hub in [Hub::Keep, Hub::Replace] {
        let import = z2jh(hub, &[("a.yaml", IMAGE), ("b.json", CLAIM)]).unwrap();
        assert!(
            !import.is_lossy(),
            "{:?} {:?}",
            lost(&import).collect::<Vec<_>>(),
            import.missing
        );
    }
    let input = |name: &str, text: &str| Input {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let given = Options {
        hub: Some(Hub::Replace),
        hub_namespace: Some("jhub".to_owned()),
        ..Options::default()
    };
    let import = convert(Source::Z2jh, &[input("a.yaml", static_disk)], &given).unwrap();
    assert!(import.missing[0].contains("who has a folder of the common claim is not known"));
    let error = convert(Source::Z2jh, &[input("a.yaml", IMAGE)], &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("--hub must be keep or replace"),
        "{error}"
    );
}

#[test]
fn anchors_and_files_of_a_parent_chart_are_read_as_helm_does() {
    let first = "jupyterhub:\n  singleuser:\n    image: {name: r.example.org/a, tag: '1'}\n    nodeSelector: &n {a: b}\n    cpu: {limit: 1}\nother: *n\n";
    let second = "jupyterhub: {singleuser: {cpu: {limit: 2}}}\nglobal: 1\n";
    let import = z2jh(
        Hub::Keep,
        &[("a.yaml", first), ("b.yaml", second), ("c.json", CLAIM)],
    )
    .unwrap();
    assert!(text(&import, "templates.yaml").contains("cpu: \"2\""));
    assert!(text(&import, "hub-values.yaml").starts_with("jupyterhub:\n  hub:\n"));
    let find = |object: &str, path: &str| {
        let mut entries = import.entries.iter();
        entries
            .find(|entry| entry.object == object && entry.path == path)
            .map(|entry| (entry.outcome, entry.text.as_str()))
    };
    assert_eq!(
        find("Values a.yaml", "jupyterhub.singleuser.cpu.limit"),
        Some((Outcome::Stays, "another file says otherwise"))
    );
    assert_eq!(
        find("Values a.yaml, b.yaml", "other.a"),
        Some((Outcome::Stays, "another chart's"))
    );
    assert!(!import.is_lossy(), "{:?}", lost(&import).collect::<Vec<_>>());
}

#[test]
fn values_of_a_chart_that_has_the_hub_s_as_a_dependency_are_found() {
    let values = format!(
        "my chart: {{jupyterhub: {{{}}}}}\nnfs: {{enabled: true}}\n",
        IMAGE.trim()
    );
    let import = z2jh(Hub::Keep, &[("a.yaml", &values), ("c.json", CLAIM)]).unwrap();
    let lines = text(&import, "hub-values.yaml");
    assert!(
        lines.starts_with("\"my chart\":\n  jupyterhub:\n    hub:\n"),
        "{lines}"
    );
    let steps = text(&import, "steps.md");
    assert!(
        steps.contains("helm upgrade RELEASE CHART -n team-a -f values.yaml -f hub-values.yaml"),
        "{steps}"
    );
    assert!(!import.is_lossy(), "{:?}", lost(&import).collect::<Vec<_>>());
    // The common claim says where the hub is.
    let homes = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: homes, namespace: hub-1}}";
    let values = "singleuser: {image: {name: a.example.org/a, tag: x}, storage: {type: static, static: {pvcName: homes}}}";
    let import = z2jh(Hub::Keep, &[("a.yaml", values), ("c.json", homes)]).unwrap();
    assert!(
        text(&import, "rights.yaml").contains("namespace: hub-1"),
        "{:?}",
        import.files
    );
    assert!(text(&import, "steps.md").contains("helm list -n hub-1"));
}

#[test]
fn claims_say_in_which_way_the_hub_names_them() {
    let claim = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: {name}, namespace: a, annotations: {{hub.jupyter.org/username: a@b}}}}}}"
        )
    };
    for (name, template, missing) in [
        ("claim-a-40b", "claim-{escaped_username}--{escaped_servername}", 0),
        ("claim-a-b---8a35d2ca", "claim-{user_server}", 1),
        ("other", "claim-{user_server}", 1),
    ] {
        let claim = claim(name);
        let import = z2jh(Hub::Keep, &[("a.yaml", IMAGE), ("b.json", &claim)]).unwrap();
        let line = format!("pvc_name_template = \"{template}\"");
        let values = text(&import, "hub-values.yaml");
        assert!(values.contains(&line), "{name}: {values}");
        assert_eq!(import.missing.len(), missing, "{name}: {:?}", import.missing);
    }
}

/// Of a hub with a common disk: its import, in which folders are named by this scheme.
fn of_common_disk(hub: Hub, folder: &str, users: &[&str], scheme: Option<&str>) -> Result<Import, Error> {
    let values = serde_json::json!({
        "singleuser": {
            "image": {"name": "r.example.org/a", "tag": "1"},
            "storage": {"type": "static", "static": {"pvcName": "homes", "subPath": folder}},
        },
        "hub": {"config": {"Authenticator": {"allowed_users": users}}},
    });
    let input = Input {
        name: "a.yaml".to_owned(),
        text: values.to_string(),
    };
    let options = Options {
        user_prefix: Some(String::new()),
        hub: Some(hub),
        hub_namespace: Some("jhub".to_owned()),
        slug_scheme: scheme.map(str::to_owned),
    };
    convert(Source::Z2jh, &[input], &options)
}

/// Folder of the values, users, folders of their workspaces, names of those that are not made.
type Folders<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

#[test]
fn a_home_whose_folder_cannot_come_over_is_not_made_by_name() {
    let cases: [Folders<'_>; 6] = [
        (
            "home/{unescaped_username}",
            &["org:ann", "bob"],
            &["home/bob"],
            &["org-ann"],
        ),
        (
            "{unescaped_username}",
            &["../bob", "{x}", "carol"],
            &["carol"],
            &["bob", "x-"],
        ),
        ("home/{userid}", &["ann", "bob"], &[], &["ann", "bob"]),
        ("{{ .Release.Name }}/{username}", &["bob"], &[], &["bob"]),
        ("{servername}", &["bob"], &[], &["bob"]),
        // The control.
        ("home/{username}", &["ann", "bob"], &["home/ann", "home/bob"], &[]),
    ];
    for (folder, users, made, left) in cases {
        let import = of_common_disk(Hub::Replace, folder, users, Some("safe")).unwrap();
        let workspaces = import.files.iter().find(|file| file.name == "workspaces.yaml");
        let workspaces = workspaces.map_or("", |file| file.text.as_str());
        let folders: Vec<_> = workspaces
            .lines()
            .filter_map(|line| line.trim().strip_prefix("subPath: "))
            .collect();
        assert_eq!(folders, made, "{folder}: {workspaces}");
        assert_eq!(
            workspaces.matches("claimName").count(),
            made.len(),
            "{folder}: {workspaces}"
        );
        assert_eq!(import.missing.len(), left.len(), "{folder}: {:?}", import.missing);
        for name in left {
            let is_it = |line: &&String| {
                line.contains(&format!("Workspace jhub/{name}")) && line.contains("is not made")
            };
            assert!(
                import.missing.iter().any(|line| is_it(&line)),
                "{folder}: {:?}",
                import.missing
            );
        }
        assert_eq!(import.is_lossy(), !left.is_empty(), "{folder}");
        // Nobody gets the disk of all.
        assert!(!text(&import, "rights.yaml").contains("- homes"), "{folder}");
    }
    for (folder, line) in [
        ("{{ .Release.Name }}/{username}", None),
        ("home/{pod_name}", None),
        ("home/{userid}", Some("storage_sub_path = \"home/{userid}\"")),
    ] {
        let import = of_common_disk(Hub::Keep, folder, &[], Some("safe")).unwrap();
        assert_eq!(
            import.is_lossy(),
            line.is_none(),
            "{folder}: {:?}",
            import.missing
        );
        let values = text(&import, "hub-values.yaml");
        assert!(
            values.contains(line.unwrap_or("pod_name_never")) == line.is_some(),
            "{values}"
        );
        assert_eq!(values.contains("storage_sub_path"), line.is_some(), "{values}");
    }
}

#[test]
fn names_of_folders_are_asked_for_where_they_differ() {
    let users = &["ann@b", "bob"];
    for (hub, scheme, expected) in [
        (Hub::Replace, Some("escape"), "subPath: home/ann-40b"),
        (Hub::Replace, Some("safe"), "subPath: home/ann-b---"),
        (
            Hub::Keep,
            Some("escape"),
            "storage_sub_path = \"home/{escaped_username}\"",
        ),
        (Hub::Keep, Some("safe"), "storage_sub_path = \"home/{username}\""),
    ] {
        let error = of_common_disk(hub, "home/{username}", users, None).unwrap_err();
        assert!(
            matches!(&error, Error::Usage(words) if words.contains("--slug-scheme")),
            "{error}"
        );
        let import = of_common_disk(hub, "home/{username}", users, scheme).unwrap();
        assert!(
            import.files.iter().any(|file| file.text.contains(expected)),
            "{expected}"
        );
    }
    // Names that are the same in both, and a folder that says its scheme.
    for (hub, folder, users) in [
        (Hub::Replace, "home/{username}", &["ann", "bob"]),
        (Hub::Replace, "home/{escaped_username}", users),
        (Hub::Keep, "home/{safe_username}", users),
    ] {
        let import = of_common_disk(hub, folder, users, None).unwrap();
        assert!(!import.is_lossy(), "{folder}: {:?}", import.missing);
    }
}

#[test]
fn values_of_2_mb_and_1_000_claims_are_converted() {
    let mut values = String::from("singleuser:\n  image: {name: r.example.org/a, tag: '1'}\n  extraFiles:\n");
    while values.len() < 2_000_000 {
        let at = values.len();
        let _ = writeln!(
            values,
            "    f{at}: {{mountPath: /etc/f{at}, stringData: \"{}\"}}",
            "x".repeat(400)
        );
    }
    let claims: Vec<_> = (0..1_000)
        .map(|at| {
            serde_json::json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {
                "name": format!("claim-u{at}"), "namespace": "a", "annotations": {"hub.jupyter.org/username": format!("u{at}")}}})
        })
        .collect();
    let claims = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": claims}).to_string();
    let import = z2jh(Hub::Replace, &[("a.yaml", &values), ("b.json", &claims)]).unwrap();
    assert_eq!(text(&import, "disks").lines().count(), 1_000);
    let made = text(&import, "workspaces.yaml").lines();
    assert_eq!(made.filter(|line| *line == "kind: Workspace").count(), 1_000);
}
