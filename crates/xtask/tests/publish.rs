//! Archives of images for two architectures, plugins -> a registry and the files of a release (IO: docker-registry, buildah, skopeo, helm).
//!
//! syft is a program of this test, which writes what it is called with: the real one takes many minutes to build.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests, too, fail by panicking"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{fs, thread};

/// Makes small images, a plugin for each architecture, and settings of a registry, in the current folder.
const PREPARE: &str = r#"
set -eu
buildah() { command buildah --root "$PWD/store" --runroot "$PWD/run" --storage-driver vfs "$@"; }
for arch in amd64 arm64; do
  mkdir "$arch"
  echo "$arch" >"$arch/kubectl-workspace"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$arch/kubectl-workspace" /
  buildah config --arch "$arch" "$container"
  buildah commit --quiet --rm "$container" image
  buildah push --quiet --compression-format zstd image "oci-archive:$arch/operator.tar:localhost/image"
  for name in webhook gateway portal application code r proxy identity hub; do cp "$arch/operator.tar" "$arch/$name.tar"; done
done
for file in darwin-amd64/kubectl-workspace darwin-arm64/kubectl-workspace windows-amd64/kubectl-workspace.exe; do
  mkdir -p "plugins/plugin-${file%/*}"
  echo "$file" >"plugins/plugin-$file"
done
cat >syft <<'END'
#!/bin/bash
set -eu
for word; do
  case $word in spdx-json=*) out=${word#*=} ;; esac
done
source=${@: -1}
test -e "${source#*:}"
echo "$*" >"$out"
END
chmod +x syft
echo '{"version":"0.1","storage":{"filesystem":{"rootdirectory":"'"$PWD"'/data"}},"http":{"addr":"127.0.0.1:0"}}' >registry.yml
"#;

/// A registry on a free port of this machine.
struct Registry {
    process: Child,
    address: String,
    folder: PathBuf,
}

impl Registry {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("publish-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let prepared = Command::new("bash")
            .args(["-c", PREPARE])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(prepared.status.success(), "{}", text(&prepared));
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is missing: `./justw test` installs it");
        let mut lines = BufReader::new(process.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let port = |line: String| {
            let after = line.split_once("listening on 127.0.0.1:")?.1;
            Some(after.split(['"', ' ']).next()?.to_owned())
        };
        let port = lines.find_map(port).expect("the registry ended");
        // The process blocks if its output is not read.
        thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            address: format!("127.0.0.1:{port}"),
            folder,
        }
    }

    fn publish(&self, version: &str, architectures: &[&str]) -> Output {
        self.script("publish.sh")
            .env("OUT", self.folder.join("dist"))
            .env("SBOMS", "sboms")
            .env("PLAIN_HTTP", "1")
            .arg(format!("{}/team", self.address))
            .arg(version)
            .args(architectures)
            .output()
            .unwrap()
    }

    /// Writes what is in images and plugins.
    fn list_software(&self, version: &str, architectures: &[&str]) {
        let listed = self
            .script("sboms.sh")
            .env("SYFT", "./syft")
            .args(["sboms", version])
            .args(architectures)
            .output()
            .unwrap();
        assert!(listed.status.success(), "{}", text(&listed));
    }

    /// A script of `deploy`, which runs beside the plugins.
    fn script(&self, name: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut command = Command::new(root.join("deploy").join(name));
        command.env("PLUGINS", "plugins").current_dir(&self.folder);
        command
    }

    /// What a command prints that is run in the folder of the files.
    fn run(&self, command: &str) -> String {
        let run = Command::new("bash")
            .args(["-c", &format!("set -euo pipefail; {command}")])
            .current_dir(self.folder.join("dist"))
            .env("REGISTRY", format!("{}/team", self.address))
            .env("OTHER", format!("{}/hub", self.address))
            .env(
                "HELM",
                std::env::var("HELM").unwrap_or_else(|_| "helm".to_owned()),
            )
            .output()
            .unwrap();
        assert!(run.status.success(), "{command}: {}", text(&run));
        String::from_utf8(run.stdout).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn plugins_are_for_krew(registry: &Registry, version: &str) {
    let windows = registry.run(&format!(
        "tar -xzOf kubectl-workspace-{version}-windows-amd64.tar.gz kubectl-workspace.exe"
    ));
    assert_eq!(windows, "windows-amd64/kubectl-workspace.exe\n");

    // krew takes the manifest, which has each archive with its sum, and refuses another version of it.
    let validator =
        std::env::var("VALIDATE_KREW_MANIFEST").unwrap_or_else(|_| "validate-krew-manifest".to_owned());
    let validate = |file: &str| format!("{validator} -skip-install -manifest {file} 2>&1");
    registry.run(&validate("workspace.yaml"));
    let refused = format!(
        "mkdir ../wrong; sed 's/^  version: v/  version: /' workspace.yaml >../wrong/workspace.yaml; ! {}",
        validate("../wrong/workspace.yaml")
    );
    assert!(registry.run(&refused).contains("version"));
    let krew: serde_json::Value = serde_saphyr::from_str(&registry.run("cat workspace.yaml")).unwrap();
    let sums = registry.run("cat SHA256SUMS");
    let platforms = [
        ("linux", "amd64"),
        ("linux", "arm64"),
        ("darwin", "amd64"),
        ("darwin", "arm64"),
        ("windows", "amd64"),
    ];
    assert_eq!(
        krew["spec"]["platforms"].as_array().unwrap().len(),
        platforms.len()
    );
    for (number, (system, architecture)) in platforms.into_iter().enumerate() {
        let platform = &krew["spec"]["platforms"][number];
        let labels = &platform["selector"]["matchLabels"];
        assert_eq!(
            (&labels["os"], &labels["arch"]),
            (&system.into(), &architecture.into())
        );
        let archive = format!("kubectl-workspace-{version}-{system}-{architecture}");
        let sum = platform["sha256"].as_str().unwrap();
        assert!(sums.contains(&format!("{sum}  {archive}.tar.gz\n")), "{sums}");
        assert!(sums.contains(&format!("  {archive}.spdx.json\n")), "{sums}");
    }
}

/// Each image of each architecture has its list.
fn all_software_is_listed(registry: &Registry, version: &str) {
    for image in ["operator", "gateway", "application", "r", "identity", "hub"] {
        for architecture in ["amd64", "arm64"] {
            let name = format!("image-{image}-{version}-linux-{architecture}");
            let list = registry.run(&format!("cat {name}.spdx.json"));
            let from = format!("oci-archive:{architecture}/{image}.tar\n");
            assert!(list.contains(&name) && list.ends_with(&from), "{list}");
        }
    }
}

fn artifact_hub_finds_its_annotations(registry: &Registry, version: &str) {
    let chart = registry.run(&format!(
        "$HELM show chart oci://$REGISTRY/jupyter-k8s --version {version} --plain-http"
    ));
    let chart: serde_json::Value = serde_saphyr::from_str(&chart).unwrap();
    let of_hub = |name: &str| {
        chart["annotations"][format!("artifacthub.io/{name}")]
            .as_str()
            .unwrap()
    };
    assert_eq!(of_hub("prerelease"), "true");
    let listed: serde_json::Value = serde_saphyr::from_str(of_hub("images")).unwrap();
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|it| &it["image"]).collect();
    assert_eq!(listed.len(), 9);
    assert!(
        listed.iter().all(|it| it.as_str().unwrap().contains("@sha256:")),
        "{listed:?}"
    );
    let kinds: serde_json::Value = serde_saphyr::from_str(of_hub("crds")).unwrap();
    let kinds = kinds
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap());
    let crds = registry.run("sed -n 's/^  name: \\(.*jupyter.org\\)$/\\1/p' crds.yaml");
    assert_eq!(kinds.collect::<BTreeSet<_>>(), crds.lines().collect());
}

#[test]
fn a_published_chart_pins_its_images_of_all_architectures_and_is_published_once() {
    let registry = Registry::start();
    let version = format!("{}-rc.1", env!("CARGO_PKG_VERSION"));
    registry.list_software(&version, &["amd64", "arm64"]);
    let published = registry.publish(&version, &["amd64", "arm64"]);
    assert!(published.status.success(), "{}", text(&published));

    // The chart in the registry names each image by the digest that is there, and that is an index of both architectures.
    let images = registry.run(&format!(
        "$HELM template x oci://$REGISTRY/jupyter-k8s --version {version} --plain-http --set routing.baseDomain=w.example.org \
         --set proxy.tls.secretName=tls,identity.enabled=true,identity.host=id.example.com,applications='{{code-editor,jupyterlab-r}}' \
         | grep -oE \"$REGISTRY/[^\\\" ,}}]+\" | sort -u"
    ));
    let list = registry.run("sed 's/:[^:@]*@/@/' images.txt | sort");
    let (of_hub, of_chart): (Vec<_>, Vec<_>) = list.lines().partition(|line| line.contains("/hub@"));
    assert_eq!(images.lines().collect::<Vec<_>>(), of_chart);
    assert_eq!((of_hub.len(), of_chart.len()), (1, 9));
    assert!(!list.contains("scientific"), "no folder has it");
    for image in list.lines() {
        let index = registry.run(&format!(
            "skopeo inspect --raw --tls-verify=false docker://{image}"
        ));
        assert!(
            index.contains("\"amd64\"") && index.contains("\"arm64\""),
            "{index}"
        );
    }

    let install = registry
        .run("grep -oE \"image: .?$REGISTRY/[a-z]+@sha256:\" install.yaml | grep -oE '[a-z]+@' | sort -u");
    assert_eq!(install, "operator@\nwebhook@\n");

    // The files are whole, and each plugin is that of its architecture.
    registry.run("sha256sum --check SHA256SUMS");
    let plugin = registry.run(&format!(
        "tar -xzOf kubectl-workspace-{version}-linux-arm64.tar.gz kubectl-workspace"
    ));
    assert_eq!(plugin, "arm64\n");
    plugins_are_for_krew(&registry, &version);
    all_software_is_listed(&registry, &version);
    let notes = registry.run("cat notes.md");
    assert!(notes.contains("- ") && !notes.contains("\n## "), "{notes}");
    artifact_hub_finds_its_annotations(&registry, &version);

    // A copy by the commands of docs/install.md keeps the digests.
    registry.run(
        "while read -r image; do image=${image%@*}; skopeo copy --all --preserve-digests --src-tls-verify=false \
         --dest-tls-verify=false docker://$image docker://$OTHER/${image##*/}; done <images.txt",
    );
    let copied = registry.run("sed \"s|^$REGISTRY/|$OTHER/|; s/:[^:@]*@/@/\" images.txt");
    for image in copied.lines() {
        registry.run(&format!(
            "skopeo inspect --raw --tls-verify=false docker://{image}"
        ));
    }

    let again = registry.publish(&version, &["amd64"]);
    assert!(!again.status.success());
    assert!(
        text(&again).contains("is published, and a version is published once"),
        "{}",
        text(&again)
    );
    assert_eq!(
        registry.run("sed 's/:[^:@]*@/@/' images.txt | sort"),
        list,
        "its files stay"
    );
}

#[test]
fn a_version_that_is_not_the_checkout_s_is_refused() {
    for (version, is_refused) in [("7.0.0", true), (env!("CARGO_PKG_VERSION"), false)] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        // No registry listens: nothing is published either way.
        let run = Command::new(root.join("deploy/publish.sh"))
            .args(["127.0.0.1:1/team", version, "."])
            .output()
            .unwrap();
        assert!(!run.status.success());
        let expected = if is_refused {
            "VERSION must be"
        } else {
            "cannot tell whether"
        };
        assert!(text(&run).contains(expected), "{}", text(&run));
    }
}
