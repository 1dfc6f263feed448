//! values -> what helm says after an install (IO: runs `helm` on a copy of the chart).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::render::{EXTERNAL, LOCAL, chart, helm, of_kind, template};

static COPIES: AtomicUsize = AtomicUsize::new(0);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The notes of an installation in whose cluster nothing is there yet.
pub(crate) fn notes(values: &[&str]) -> String {
    notes_in(&json!({}), values)
}

/// The notes in a cluster with these objects, each under `kind/namespace/name`. `helm template` leaves notes out: a copy of the chart has them
/// in an object.
pub(crate) fn notes_in(objects: &Value, values: &[&str]) -> String {
    let object = rendered_in(objects, "shown.yaml", values).remove(0);
    object["text"].as_str().unwrap().to_owned()
}

/// What a template renders in a cluster with these objects. `helm template` looks nothing up: a copy of the chart has the objects in place of
/// the lookup.
pub(crate) fn rendered_in(objects: &Value, file: &str, values: &[&str]) -> Vec<Value> {
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("chart-notes-{}-{number}", std::process::id()));
    copy(&chart(), &folder);
    let shown = "kind: Notes\ntext: {{ include (print $.Template.BasePath \"/NOTES.txt\") . | toJson }}\n";
    fs::write(folder.join("templates/shown.yaml"), shown).unwrap();
    let lookup = format!(
        r#"{{{{- define "jk8s.lookup" }}}}{{{{ get (fromJson {objects}) (printf "%s/%s/%s" (index . 1) (index . 2) (index . 3)) | default dict | toJson }}}}{{{{ end }}}}"#,
        objects = json!(objects.to_string())
    );
    fs::write(folder.join("templates/_lookup.tpl"), lookup).unwrap();
    let output = Command::new(helm())
        .current_dir(&folder)
        .args([
            "template",
            "jupyter-k8s",
            ".",
            "--namespace",
            "jupyter-k8s-system",
        ])
        .args(["--show-only", &format!("templates/{file}")])
        .args(values)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

/// Names of this kind that are to do.
fn listed<'a>(notes: &'a str, kind: &str) -> BTreeSet<&'a str> {
    let lines = notes.lines().filter_map(|line| {
        line.strip_prefix("   todo  ")?
            .strip_prefix(kind)?
            .strip_prefix(' ')
    });
    lines
        .map(|name| name.split([':', ',', ' ']).next().unwrap_or(name))
        .collect()
}

/// Everything of that kind that pods mount or read in the release's namespace.
pub(crate) fn used(objects: &[Value], keys: &[&str]) -> BTreeSet<String> {
    fn collect(value: &Value, keys: &[&str], into: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    if keys.contains(&key.as_str()) {
                        let name = value.get("secretName").or_else(|| value.get("name"));
                        into.extend(name.and_then(Value::as_str).map(str::to_owned));
                    }
                    collect(value, keys, into);
                }
            }
            Value::Array(list) => list.iter().for_each(|one| collect(one, keys, into)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    for deployment in of_kind(objects, "Deployment") {
        collect(deployment, keys, &mut names);
    }
    names
}

/// Secrets that the programs make, as docs/install.md lists them.
const SELF_MADE: [&str; 5] = [
    "jupyter-k8s-portal-tls",
    "jupyter-k8s-proxy-client",
    "jupyter-k8s-proxy-self-signed",
    "jupyter-k8s-operator-keys",
    "jupyter-k8s-webhook-cert",
];

/// The four lines of docs/install.md, and the registry of the images.
const FOUR_LINES: [&str; 4] = ["-f", "FOUR_LINES", "--set", "image.registry=registry.example.com"];

/// The first lines of values in docs/install.md.
fn four_lines() -> String {
    let page = fs::read_to_string(chart().join("../../docs/install.md")).unwrap();
    let (_, values) = page.split_once("```yaml\n").unwrap();
    values.split("```").next().unwrap().to_owned()
}

/// Calls `then` with arguments for the four lines.
fn with_four_lines<T>(then: impl FnOnce(&[&str]) -> T) -> T {
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("four-lines-{}-{number}.yaml", std::process::id()));
    fs::write(&file, four_lines()).unwrap();
    let path = file.display().to_string();
    let values = FOUR_LINES.map(|argument| {
        if argument == "FOUR_LINES" {
            path.as_str()
        } else {
            argument
        }
    });
    let result = then(&values);
    fs::remove_file(&file).unwrap();
    result
}

#[test]
fn the_notes_name_every_secret_and_config_map_that_pods_wait_for() {
    let others = r#"oidc.others=[{"name":"p","issuerUrl":"https://p.example","clientId":"c","clientSecretName":"p-secret","caConfigMapName":"p-ca"},{"name":"q","issuerUrl":"https://q.example","clientId":"c","caSecretName":"q-ca"}]"#;
    let rest = "gateway.pages.logoConfigMap.name=our-logo,oidc.caConfigMapName=main-ca,image.pullSecrets={pull},gateway.httpsProxy.secretName=our-proxy";
    let rich = [&EXTERNAL[..], &["--set-json", others, "--set", rest]].concat();
    let ordered = "proxy.tls.secretName=,proxy.tls.certManager.issuerRef.name=our-ca";
    let ordered = [&EXTERNAL[..], &["--set", ordered]].concat();
    let signed = [
        &EXTERNAL[..],
        &["--set", "proxy.tls.secretName=,proxy.tls.selfSigned=true"],
    ]
    .concat();
    for values in [&EXTERNAL[..], &LOCAL[..], &rich, &ordered, &signed] {
        let (notes_text, objects) = (notes(values), template(values).unwrap());
        let made = of_kind(&objects, "ConfigMap");
        let made: Vec<&str> = made
            .iter()
            .map(|map| map["metadata"]["name"].as_str().unwrap())
            .collect();
        for (kind, keys) in [
            ("Secret", ["secret", "secretKeyRef"]),
            ("ConfigMap", ["configMap", "configMapKeyRef"]),
        ] {
            let names = used(&objects, &keys);
            assert!(!names.is_empty());
            let listed = listed(&notes_text, kind);
            for name in names {
                let is_ordered = of_kind(&objects, "Certificate")
                    .iter()
                    .any(|certificate| certificate["spec"]["secretName"] == *name);
                let is_made = kind == "ConfigMap" && made.contains(&name.as_str());
                let is_own = is_ordered || is_made || SELF_MADE.contains(&name.as_str());
                assert_ne!(
                    listed.contains(name.as_str()),
                    is_own,
                    "{kind} {name}: {notes_text}"
                );
                let command = format!(" {name} -n jupyter-k8s-system --");
                assert!(is_own || notes_text.contains(&command), "{command}: {notes_text}");
            }
        }
    }
    let notes_text = notes(&rich);
    for line in [
        "   todo  Secret p-secret: the secret of the client c at https://p.example",
        "           kubectl create secret generic p-secret -n jupyter-k8s-system --from-file=clientSecret=./p-secret.txt",
        "           kubectl create configmap p-ca -n jupyter-k8s-system --from-file=ca.crt=./ca.crt",
        "           kubectl create secret tls tls -n jupyter-k8s-system --cert=./fullchain.pem --key=./privkey.pem",
        "           kubectl create secret generic our-proxy -n jupyter-k8s-system --from-file=url=./proxy-url.txt",
        "   Redirect URI  https://auth.workspaces.example.org/callback/p of the client c at https://p.example",
    ] {
        assert!(notes_text.lines().any(|one| one == line), "{line}: {notes_text}");
    }
}

#[test]
fn the_notes_name_the_certificate_of_an_ingress_unless_a_controller_makes_it() {
    let front = r#"proxy.front.from=[{"podSelector":{"matchLabels":{"app":"front"}}}]"#;
    let of = |more: &[&str]| {
        let on = "proxy.ingress.enabled=true,proxy.trustedProxies={10.42.3.0/28},proxy.ingress.tls.secretName=front-tls";
        notes(&[&EXTERNAL[..], &["--set-json", front, "--set", on], more].concat())
    };
    let command = "           kubectl create secret tls front-tls -n jupyter-k8s-system --cert=./fullchain.pem --key=./privkey.pem\n";
    let ordered = "proxy.tls.secretName=,proxy.tls.certManager.issuerRef.name=our-ca";
    let hint = "set proxy.ingress.tls.secretName to jupyter-k8s-proxy-tls.";
    for (more, is_named, is_hinted) in [
        (&[][..], true, false),
        (&["--set", ordered][..], true, true),
        (
            &[
                "--set",
                ordered,
                "--set",
                "proxy.ingress.tls.secretName=jupyter-k8s-proxy-tls",
            ][..],
            false,
            false,
        ),
        (&["--set", "proxy.ingress.tls.secretName=tls"][..], false, false),
        (&["--set", "proxy.ingress.tls.secretName="][..], false, false),
        (
            &[
                "--set",
                r"proxy.ingress.annotations.cert-manager\.io/cluster-issuer=our-ca",
            ][..],
            false,
            false,
        ),
    ] {
        let text = of(more);
        assert_eq!(text.contains(command), is_named, "{more:?}: {text}");
        assert_eq!(
            text.contains("(proxy.ingress.tls.secretName)"),
            is_named,
            "{more:?}: {text}"
        );
        assert_eq!(text.contains(hint), is_hinted, "{more:?}: {text}");
    }
}

#[test]
fn the_notes_of_the_four_lines_are_one_screen_and_their_commands_are_those_of_the_guide() {
    let text = with_four_lines(notes);
    assert!(text.lines().count() <= 30, "{text}");
    let page = fs::read_to_string(chart().join("../../docs/install.md")).unwrap();
    let commands: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| {
            ["kubectl ", "helm ", "echo "]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .collect();
    assert_eq!(commands.len(), 8, "{text}");
    let (_, first_run) = page.split_once("## The first run").unwrap();
    let first_run = first_run.split("\n## ").next().unwrap();
    for command in commands {
        let is_there = first_run.lines().any(|line| line.trim() == command);
        assert!(is_there, "docs/install.md lacks: {command}");
    }
}

#[test]
fn an_upgrade_says_how_a_realm_in_a_database_gets_what_new_realms_have() {
    let database = ["--values=examples/bundled-provider.yaml", "--is-upgrade"];
    let text = notes(&database);
    let page = fs::read_to_string(chart().join("../../docs/sign-in.md")).unwrap();
    let (_, rest) = text.split_once("-- bash -ec '").unwrap();
    let script = rest.split_once('\'').unwrap().0;
    assert!(script.lines().count() > 8, "{text}");
    for line in script.lines().map(str::trim) {
        let is_there = page
            .lines()
            .any(|other| other.trim().trim_end_matches('\'') == line);
        assert!(is_there, "docs/sign-in.md lacks: {line}");
    }
    // A new realm has them, and without a database each pod makes a new one.
    assert!(!notes(&database[..1]).contains("bash -ec"));
    let values: Vec<_> = LOCAL.into_iter().chain(["--is-upgrade"]).collect();
    assert!(!notes(&values).contains("bash -ec"));
}

#[test]
fn what_is_there_already_gets_one_line_and_what_lacks_a_key_is_named() {
    let there = json!({
        "Secret/jupyter-k8s-system/jupyter-k8s-oidc": {"data": {"clientSecret": "eA=="}},
        "ClusterIssuer//letsencrypt-dns": {"kind": "ClusterIssuer"},
        "Issuer/jupyter-k8s-system/letsencrypt-dns": {"kind": "Issuer"},
        "Service/jupyter-k8s-system/jupyter-k8s-proxy": {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}},
        "Workspace/notebooks/my-notebook": {"kind": "Workspace"},
    });
    let known = [
        "--api-versions",
        "apps/v1/Deployment",
        "--api-versions",
        "cert-manager.io/v1/Certificate",
        "--api-versions",
        "cert-manager.io/v1/Issuer",
        "--api-versions",
        "cert-manager.io/v1/ClusterIssuer",
        "--api-versions",
        "workspaces.jupyter.org/v1alpha1/Workspace",
    ];
    let own = ["--set", "proxy.tls.certManager.issuerRef.kind=Issuer"];
    let of_cluster = ["--set", "proxy.tls.certManager.issuerRef.kind=ClusterIssuer"];
    let without_own = {
        let mut there = there.clone();
        let all = there.as_object_mut().unwrap();
        all.remove("Issuer/jupyter-k8s-system/letsencrypt-dns");
        there
    };
    for (there, more, issuer) in [
        (&there, &[][..], "Issuer"),
        (&without_own, &[], "ClusterIssuer"),
        (&there, &of_cluster, "ClusterIssuer"),
        (&there, &own, "Issuer"),
    ] {
        let text = with_four_lines(|values| notes_in(there, &[values, &known, more].concat()));
        for line in [
            "   DNS           *.workspaces.example.org and workspaces.example.org must lead to 203.0.113.7",
            "   ok    Secret jupyter-k8s-oidc",
            &format!("   ok    {issuer} letsencrypt-dns"),
            "   ok    Workspace my-notebook in notebooks",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        assert!(
            !text.contains("todo") && !text.contains("kubectl create"),
            "{text}"
        );
    }
    // Without the kinds, nothing is looked up.
    let first = "         If jupyter-k8s-system has an Issuer of that name at the next helm upgrade, it is used instead.\n";
    let wrong = "         If it is a ClusterIssuer, leave out proxy.tls.certManager.issuerRef.kind and run helm upgrade.\n";
    for (more, issuer, hint) in [
        (&[][..], "ClusterIssuer", Some(first)),
        (&own[..], "Issuer", Some(wrong)),
        (&of_cluster[..], "ClusterIssuer", None),
    ] {
        let text = with_four_lines(|values| notes_in(&there, &[values, more].concat()));
        let todo = format!("   todo  {issuer} letsencrypt-dns, from which");
        assert!(text.contains(&todo), "{text}");
        for one in [first, wrong] {
            assert_eq!(text.contains(one), hint == Some(one), "{text}");
        }
    }
    let empty = json!({"Secret/jupyter-k8s-system/jupyter-k8s-oidc": {"data": {"secret": "eA=="}}});
    let text = with_four_lines(|values| notes_in(&empty, values));
    let lacks = "   todo  Secret jupyter-k8s-oidc lacks clientSecret: the secret of the client";
    assert!(text.contains(lacks), "{text}");
    // Other keys of the Secret stay.
    let command = "--from-file=clientSecret=./client-secret.txt --dry-run=client -o yaml | kubectl apply --server-side -f -\n";
    assert!(text.contains(command), "{text}");
}

#[test]
fn an_account_that_the_release_does_not_make_is_named_also_for_hooks() {
    let given = "gateway.serviceAccount.create=false,gateway.serviceAccount.name=ours,tests.serviceAccount.create=false,crds.serviceAccount.create=false";
    let values = [&EXTERNAL[..], &["--set", given]].concat();
    let there = json!({"ServiceAccount/jupyter-k8s-system/ours": {"kind": "ServiceAccount"}});
    let text = notes_in(&there, &values);
    assert!(text.contains("   ok    ServiceAccount ours\n"), "{text}");
    assert_eq!(
        listed(&text, "ServiceAccount"),
        BTreeSet::from(["jupyter-k8s-crds", "jupyter-k8s-tests"]),
        "{text}"
    );
    let command = "kubectl create serviceaccount jupyter-k8s-tests -n jupyter-k8s-system";
    assert!(text.contains(command), "{text}");
}

/// The command of the first workspace: arguments of `kubectl create`, and the object.
fn first_workspace(text: &str) -> (String, Value) {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("echo '"))
        .unwrap();
    let (object, command) = line.split_once("' | kubectl create ").unwrap();
    (command.to_owned(), serde_json::from_str(object).unwrap())
}

#[test]
fn the_first_workspace_is_of_the_first_user_of_the_first_namespace() {
    let (command, workspace) = first_workspace(&with_four_lines(notes));
    assert_eq!(command, "--as=alice@example.com -f -");
    let expected = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "my-notebook", "namespace": "notebooks"},
        "spec": {"displayName": "My notebook", "templateRef": "jupyterlab"},
    });
    assert_eq!(workspace, expected);
    for (team, expected) in [
        (
            r#"{"users":["https://id.example.com/realm#it's me"]}"#,
            r"--as='https://id.example.com/realm#it'\''s me' -f -",
        ),
        (r#"{"adminUsers":["carol"],"groups":["g"]}"#, "--as=carol -f -"),
        (
            r#"{"groups":["oidc:team a"]}"#,
            "--as='<user>' --as-group='oidc:team a' -f -",
        ),
    ] {
        let mut team: Value = serde_json::from_str(team).unwrap();
        team["name"] = json!("team-a");
        let teams = format!("userNamespaces={}", json!([team]));
        let text = notes(&[&EXTERNAL[..], &["--set-json", &teams]].concat());
        assert_eq!(first_workspace(&text).0, expected);
    }
    let text = notes(&EXTERNAL);
    assert!(text.contains("No user may create a workspace yet"), "{text}");
}

#[test]
fn a_release_without_templates_says_that_one_is_needed_first() {
    let missing = "   There is no template. Create one first (docs/catalogue.md). These commands assume the name my-template.\n";
    let none = r#"templates={"jupyterlab":null}"#;
    for (settings, is_needed) in [
        ("settings.requireTemplate=true", true),
        ("settings.requireTemplate=false", false),
    ] {
        let arguments = ["--set-json", none, "--set", settings];
        let text = with_four_lines(|values| notes(&[values, &arguments].concat()));
        assert_eq!(text.contains(missing), is_needed, "{text}");
        let mut expected = json!({"displayName": "My notebook"});
        if is_needed {
            expected["templateRef"] = json!("my-template");
        }
        assert_eq!(first_workspace(&text).1["spec"], expected);
    }
    let text = with_four_lines(|values| notes(&[values, &["--set", "templates=null"]].concat()));
    assert!(text.contains(missing), "{text}");
    assert!(!with_four_lines(notes).contains(missing));
}

#[test]
fn groups_of_namespaces_that_no_provider_gives_are_named() {
    let warning = "WARNING: no identity provider gives these groups of userNamespaces and administrators: ";
    let teams = r#"userNamespaces=[{"name":"team-a","groups":["oidc:team-a","system:authenticated"],"adminGroups":["staff"]}]"#;
    let others = r#"oidc.others=[{"name":"p","issuerUrl":"https://p.example","clientId":"c","groupsClaim":"groups","groupsPrefix":"oidc:"}]"#;
    for (more, expected) in [
        (&[][..], Some("oidc:team-a, staff. Name the claim")),
        (
            &["--set", "oidc.groupsClaim=groups,oidc.groupsPrefix=oidc:"][..],
            Some("staff. Name"),
        ),
        (&["--set", "oidc.groupsClaim=groups"][..], None),
        (&["--set-json", others][..], Some("staff. Name")),
    ] {
        let text = notes(&[&EXTERNAL[..], &["--set-json", teams], more].concat());
        match expected {
            Some(names) => assert!(text.contains(&format!("{warning}{names}")), "{text}"),
            None => assert!(!text.contains(warning), "{text}"),
        }
    }
}

#[test]
fn groups_without_a_prefix_give_a_warning_where_the_portal_acts() {
    let warning = "WARNING: groups of oidc have no prefix, and the portal acts as them";
    let bare = "oidc.groupsClaim=groups";
    let prefixed = "oidc.groupsClaim=groups,oidc.groupsPrefix=oidc:";
    let reads = "oidc.groupsClaim=groups,portal.impersonation=Off";
    for (values, is_told) in [(bare, true), (prefixed, false), (reads, false)] {
        let set = [&EXTERNAL[..], &["--set", values]].concat();
        assert_eq!(notes(&set).contains(warning), is_told, "{values}");
        let check = rendered_in(&json!({}), "tests/check.yaml", &set);
        let acts = check
            .iter()
            .any(|object| object.to_string().contains("--portal-acts-in=*"));
        assert_eq!(acts, values != reads, "{values}");
    }
}

#[test]
fn in_one_namespace_the_notes_bind_the_role_of_users_before_the_first_workspace() {
    let text = notes(&[&EXTERNAL[..], &["--set", "scope=Namespace,objects=Namespace"]].concat());
    let command = "     kubectl create rolebinding workspaces -n jupyter-k8s-system --clusterrole=jupyter-k8s-workspace-user.jupyter-k8s-system --group=<group>\n";
    let (_, after) = text
        .split_once(command)
        .unwrap_or_else(|| panic!("{command}: {text}"));
    assert!(
        after.contains("kubectl create -n jupyter-k8s-system -f -"),
        "{text}"
    );
}

#[test]
fn a_user_name_that_no_provider_gives_is_named_and_where_users_see_theirs_is_said() {
    let text = with_four_lines(notes);
    assert!(!text.contains("WARNING") && !text.contains("<sub>"), "{text}");
    let text = with_four_lines(|values| notes(&[values, &["--set", "oidc.usernameClaim=sub"]].concat()));
    let warning = "WARNING: no identity provider gives these names of userNamespaces and administrators: alice@example.com. Write them";
    assert!(text.contains(warning), "{text}");
    let called = "   Users of https://login.example.com are called https://login.example.com#<sub>. https://auth.workspaces.example.org/ shows users their name.";
    assert!(text.lines().any(|line| line == called), "{text}");
}

#[test]
fn each_routing_mode_has_its_addresses() {
    let text = notes(&EXTERNAL);
    for part in [
        "https://<workspace>-<hash>.workspaces.example.org/. ",
        "   todo  Secret tls: a certificate for *.workspaces.example.org and workspaces.example.org\n",
        "     helm test jupyter-k8s -n jupyter-k8s-system --logs\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = notes(&[&LOCAL[..], &["--set", "routing.mode=Path"]].concat());
    for part in [
        "https://workspaces.localhost:8443/workspaces/<namespace>/<workspace>/. ",
        "a certificate for workspaces.localhost, auth.workspaces.localhost and portal.workspaces.localhost, and identity.localhost",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn in_path_mode_the_notes_name_the_test_that_finds_a_certificate_without_the_portal() {
    let line = "   It fails if the certificate in Secret tls lacks the name portal.workspaces.example.org, which Helm cannot see.";
    for (settings, expected) in [
        ("routing.mode=Path", true),
        ("routing.mode=Subdomain", false),
        ("routing.mode=Path,portal.enabled=false", false),
        (
            "routing.mode=Path,proxy.tls.secretName=,proxy.tls.selfSigned=true",
            false,
        ),
    ] {
        let text = notes(&[&EXTERNAL[..], &["--set", settings]].concat());
        assert_eq!(
            text.lines().any(|one| one == line),
            expected,
            "{settings}: {text}"
        );
    }
}

#[test]
fn public_templates_without_effect_in_path_mode_give_a_warning() {
    let public = "templates.jupyterlab.defaultAccessType=Public";
    let warning = "WARNING: the templates jupyterlab have defaultAccessType: Public";
    for (settings, warned) in [
        ("routing.mode=Path", true),
        ("routing.mode=Path,routing.pathModeSharing=AcceptRisk", false),
        ("routing.mode=Subdomain", false),
        ("routing.mode=Path,templates.jupyterlab.managerRef=other", false),
    ] {
        let notes_text = notes(&[&EXTERNAL[..], &["--set", public, "--set", settings]].concat());
        assert_eq!(notes_text.contains(warning), warned, "{settings}: {notes_text}");
    }
}

#[test]
fn templates_of_a_manager_that_the_release_does_not_make_are_named() {
    let other = [&EXTERNAL[..], &["--set", "templates.jupyterlab.managerRef=other"]].concat();
    let notes_text = notes(&other);
    let warning = "WARNING: these templates name a WorkspaceManager that this release does not make: jupyterlab (other).";
    assert!(notes_text.contains(warning), "{notes_text}");
    let own = [&other[..], &["--set", "manager.name=other"]].concat();
    for values in [&own[..], &EXTERNAL[..]] {
        let notes_text = notes(values);
        assert!(!notes_text.contains("does not make: "), "{notes_text}");
    }
}

#[test]
fn a_team_s_templates_that_the_release_does_not_make_are_named() {
    let of_team = |templates: &str| {
        let teams = format!(r#"userNamespaces=[{{"name":"team-a","templates":{templates}}}]"#);
        notes(&[&EXTERNAL[..], &["--set-json", &teams]].concat())
    };
    let warning = "WARNING: these templates of userNamespaces are not made by this release: gpu (team-a).";
    let message = of_team(r#"["gpu","jupyterlab"]"#);
    assert!(message.contains(warning), "{message}");
    let message = of_team(r#"["jupyterlab"]"#);
    assert!(!message.contains("of userNamespaces"), "{message}");
}
