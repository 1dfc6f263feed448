//! Archives of images for two architectures -> a registry and the files of a release (IO: docker-registry, buildah, skopeo, helm).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests, too, fail by panicking"
)]

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
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Command::new(root.join("deploy/publish.sh"))
            .env("OUT", self.folder.join("dist"))
            .env("PLAIN_HTTP", "1")
            .arg(format!("{}/team", self.address))
            .arg(version)
            .args(architectures)
            .current_dir(&self.folder)
            .output()
            .unwrap()
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

#[test]
fn a_published_chart_pins_its_images_of_all_architectures_and_is_published_once() {
    let registry = Registry::start();
    let version = format!("{}-rc.1", env!("CARGO_PKG_VERSION"));
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
    let krew: serde_json::Value = serde_saphyr::from_str(&registry.run("cat workspace.yaml")).unwrap();
    for (platform, architecture) in [(0, "amd64"), (1, "arm64")] {
        let platform = &krew["spec"]["platforms"][platform];
        assert_eq!(platform["selector"]["matchLabels"]["arch"], architecture);
        let sums = registry.run("cat SHA256SUMS");
        let line = format!(
            "{}  kubectl-workspace-{version}-linux-{architecture}.tar.gz\n",
            platform["sha256"].as_str().unwrap()
        );
        assert!(sums.contains(&line), "{sums}");
    }

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
