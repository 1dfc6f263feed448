//! values -> what helm says after an install (IO: runs `helm` on a copy of the chart).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

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

/// `helm template` leaves the notes out: a copy of the chart has them in an object.
pub(crate) fn notes(values: &[&str]) -> String {
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("chart-notes-{}-{number}", std::process::id()));
    copy(&chart(), &folder);
    let shown = "kind: Notes\ntext: {{ include (print $.Template.BasePath \"/NOTES.txt\") . | toJson }}\n";
    fs::write(folder.join("templates/shown.yaml"), shown).unwrap();
    let output = Command::new(helm())
        .current_dir(&folder)
        .args([
            "template",
            "jupyter-k8s",
            ".",
            "--namespace",
            "jupyter-k8s-system",
        ])
        .args(["--show-only", "templates/shown.yaml"])
        .args(values)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let object: Value = serde_saphyr::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
    object["text"].as_str().unwrap().to_owned()
}

/// Names behind a kind at the beginnings of lines.
fn listed<'a>(notes: &'a str, kind: &str) -> BTreeSet<&'a str> {
    let lines = notes
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_prefix(kind)?.strip_prefix(' '));
    lines.map(|name| name.split(':').next().unwrap_or(name)).collect()
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

#[test]
fn the_notes_name_every_secret_and_config_map_that_pods_wait_for() {
    let others = r#"oidc.others=[{"name":"p","issuerUrl":"https://p.example","clientId":"c","clientSecretName":"p-secret","caConfigMapName":"p-ca"},{"name":"q","issuerUrl":"https://q.example","clientId":"c","caSecretName":"q-ca"}]"#;
    let logo =
        "gateway.pages.logoConfigMap.name=our-logo,oidc.caConfigMapName=main-ca,image.pullSecrets={pull}";
    let rich = [&EXTERNAL[..], &["--set-json", others, "--set", logo]].concat();
    let ordered = "proxy.tls.secretName=,proxy.tls.certManager.issuerRef.name=our-ca";
    let ordered = [&EXTERNAL[..], &["--set", ordered]].concat();
    for values in [&EXTERNAL[..], &LOCAL[..], &rich, &ordered] {
        let (notes_text, objects) = (notes(values), template(values).unwrap());
        let secrets = used(&objects, &["secret", "secretKeyRef"]);
        let maps = used(&objects, &["configMap", "configMapKeyRef"]);
        assert!(secrets.len() > 1 && !maps.is_empty());
        let (listed_secrets, listed_maps) = (listed(&notes_text, "Secret"), listed(&notes_text, "ConfigMap"));
        for secret in &secrets {
            assert!(listed_secrets.contains(secret.as_str()), "{secret}: {notes_text}");
        }
        for map in &maps {
            assert!(listed_maps.contains(map.as_str()), "{map}: {notes_text}");
        }
        for made in of_kind(&objects, "ConfigMap") {
            let name = made["metadata"]["name"].as_str().unwrap();
            assert!(listed_maps.contains(name), "{name}: {notes_text}");
        }
    }
    let notes_text = notes(&rich);
    for line in [
        "  Secret p-secret: clientSecret, of the provider p",
        "  ConfigMap p-ca: ca.crt, of the provider p",
        "  Secret q-ca: ca.crt, of the provider q",
        "  https://auth.workspaces.example.org/callback/p at https://p.example",
        "  Secret pull: .dockerconfigjson, for the images",
    ] {
        assert!(notes_text.lines().any(|one| one == line), "{line}: {notes_text}");
    }
}

#[test]
fn each_routing_mode_has_its_addresses_and_the_first_command_fits_the_values() {
    let notes_text = notes(&EXTERNAL);
    assert!(
        notes_text.contains("https://<workspace>-<hash>.workspaces.example.org/\n"),
        "{notes_text}"
    );
    assert!(
        notes_text.contains("a certificate for *.workspaces.example.org\n"),
        "{notes_text}"
    );
    assert!(
        notes_text.contains("Nobody has a namespace to work in yet"),
        "{notes_text}"
    );
    assert!(
        notes_text.contains("cargo install --path crates/cli"),
        "{notes_text}"
    );
    let check = "\n  helm test jupyter-k8s -n jupyter-k8s-system --logs\n";
    assert!(notes_text.contains(check), "{notes_text}");
    let path = [&LOCAL[..], &["--set", "routing.mode=Path"]].concat();
    let notes_text = notes(&path);
    let address = "https://workspaces.localhost:8443/workspaces/<namespace>/<workspace>/\n";
    assert!(notes_text.contains(address), "{notes_text}");
    assert!(
        notes_text.contains("a certificate for workspaces.localhost and auth.workspaces.localhost"),
        "{notes_text}"
    );
    let first = "kubectl create workspace my-notebook -n team-demo --template jupyterlab --wait";
    assert!(notes_text.contains(first), "{notes_text}");
    let none = [&EXTERNAL[..], &["--set-json", r#"templates={"jupyterlab":null}"#]].concat();
    assert!(notes(&none).contains("-n <namespace> --wait\n"));
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
fn the_notes_say_that_the_bundled_provider_is_for_evaluation() {
    let warning = "WARNING: the bundled identity provider is for trying the product out.";
    assert!(notes(&LOCAL).contains(warning));
    assert!(!notes(&EXTERNAL).contains(warning));
}

#[test]
fn a_team_s_templates_that_the_release_does_not_make_are_named_and_its_own_is_in_the_first_command() {
    let of_team = |templates: &str| {
        let teams = format!(r#"userNamespaces=[{{"name":"team-a","templates":{templates}}}]"#);
        notes(&[&EXTERNAL[..], &["--set-json", &teams]].concat())
    };
    let warning = "WARNING: these templates of userNamespaces are not made by this release: gpu (team-a).";
    let told = of_team(r#"["gpu","jupyterlab"]"#);
    assert!(told.contains(warning), "{told}");
    let first = "kubectl create workspace my-notebook -n team-a --template gpu --wait";
    assert!(told.contains(first), "{told}");
    let told = of_team(r#"["jupyterlab"]"#);
    assert!(!told.contains("of userNamespaces"), "{told}");
}
