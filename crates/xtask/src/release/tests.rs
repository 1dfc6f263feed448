//! Synthetic images -> content of a registry after a release (IO: docker-registry, skopeo, helm).

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use super::*;
use crate::cluster::registry::{credentials, write_settings};
use crate::exec::Cmd;
use crate::images::copy;

const VERSION: &str = "0.1.0-rc.1";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A registry with a password, on a free port of this machine.
struct Registry {
    process: Child,
    address: String,
    folder: PathBuf,
}

impl Registry {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-release-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join(".docker")).unwrap();
        let settings = write_settings(&folder, "127.0.0.1:0").unwrap();
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect(
                "docker-registry is missing: `./justw test` installs it (Debian package docker-registry)",
            );
        let mut lines = BufReader::new(process.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let port = |line: String| {
            let port = line
                .split_once("listening on 127.0.0.1:")?
                .1
                .split(['"', ' '])
                .next()?;
            Some(port.to_owned())
        };
        let port = lines.find_map(port).expect("the registry ended");
        // The process blocks if its output is not read.
        thread::spawn(move || lines.for_each(drop));
        let address = format!("127.0.0.1:{port}");
        let login = credentials(&[&address]);
        fs::write(folder.join(".docker/config.json"), login.to_string()).unwrap();
        Self {
            process,
            address,
            folder,
        }
    }

    fn registries(&self) -> Registries {
        Registries {
            auth_file: Some(self.folder.join(".docker/config.json")),
        }
    }

    fn publish(&self, content: &str, registries: &Registries) -> anyhow::Result<()> {
        let references = self.write_images(content);
        self.publish_images(&references, registries)
    }

    /// Writes synthetic images; one of them has this content.
    fn write_images(&self, content: &str) -> BTreeMap<String, String> {
        fs::create_dir_all(self.images()).unwrap();
        let mut references = BTreeMap::new();
        for name in IMAGES {
            let reference = name.recipe().reference("0123456789abcdef");
            let program = if name == ImageName::Proxy {
                content
            } else {
                name.text()
            };
            let image = oci::Image {
                name: &reference,
                path: "program",
                program: program.as_bytes(),
                user: "65532:65532",
            };
            let archive = self.images().join(format!("{}.tar", name.text()));
            fs::write(archive, oci::archive(&image).unwrap()).unwrap();
            references.insert(name.text().to_owned(), reference);
        }
        references
    }

    fn publish_images(
        &self,
        references: &BTreeMap<String, String>,
        registries: &Registries,
    ) -> anyhow::Result<()> {
        let plugins = vec![(oci::architecture().to_owned(), self.plugin())];
        self.publish_built(built(references, &self.images())?, plugins, registries)
    }

    fn publish_built(
        &self,
        images: BTreeMap<String, Image>,
        plugins: Vec<(String, PathBuf)>,
        registries: &Registries,
    ) -> anyhow::Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let release = Release {
            registry: &self.registry(),
            version: VERSION,
            commit: COMMIT,
            out: &self.out(),
            chart: &root.join("charts/jupyter-k8s"),
            license: &root.join("LICENSE"),
            helm: &helm(),
            plugins,
            images,
        };
        release.publish(registries, &Progress::start())
    }

    fn plugin(&self) -> PathBuf {
        let plugin = self.folder.join(PLUGIN);
        fs::write(&plugin, "plugin").unwrap();
        plugin
    }

    fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    fn registry(&self) -> String {
        format!("{}/team", self.address)
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.out().join(name)).unwrap()
    }

    /// helm with the account's credentials.
    fn helm(&self) -> Cmd {
        Cmd::new(helm()).env("HOME", &self.folder).dir(&self.folder)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn helm() -> PathBuf {
    let cached = || helm::ensure(&Paths::from_env().unwrap(), &Progress::start()).unwrap();
    std::env::var_os("HELM").map_or_else(cached, PathBuf::from)
}

fn objects(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(|object| !object.is_null()).collect()
}

#[test]
fn the_published_chart_has_the_registry_and_the_digests_that_it_was_published_with() {
    let registry = Registry::start("chart");
    registry.publish("one", &registry.registries()).unwrap();
    let listed = registry.file(IMAGE_LIST);
    assert_eq!(listed.lines().count(), IMAGES.len());
    for line in listed.lines() {
        let (tag, digest) = line.split_once('@').unwrap();
        assert!(
            tag.starts_with(&registry.registry()) && tag.ends_with(VERSION),
            "{line}"
        );
        assert_eq!(
            registry.registries().digest(tag).unwrap().as_deref(),
            Some(digest)
        );
    }
    let chart = format!("docker://{}/jupyter-k8s:{VERSION}", registry.registry());
    let manifest = registry.registries().skopeo();
    let manifest = manifest
        .args(["inspect", "--raw", "--tls-verify=false", &chart])
        .output()
        .unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.revision"],
        COMMIT
    );
    let chart = format!("oci://{}/jupyter-k8s", registry.registry());
    let pull = ["pull", "--plain-http", &chart, "--version", VERSION];
    registry.helm().args(pull).run().unwrap();
    let package = format!("jupyter-k8s-{VERSION}.tgz");
    let about = registry
        .helm()
        .args(["show", "chart", &package])
        .output()
        .unwrap();
    let about: Value = serde_saphyr::from_str(&about).unwrap();
    assert_eq!(
        (&about["version"], &about["appVersion"]),
        (&json!(VERSION), &json!(VERSION))
    );
    let values = registry
        .helm()
        .args(["show", "values", &package])
        .output()
        .unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    assert_eq!(values["global"]["imageRegistry"], registry.registry());
    for (name, image) in values["images"].as_object().unwrap() {
        let reference = format!(
            "{}/{}:{VERSION}@{}",
            registry.registry(),
            image["repository"].as_str().unwrap(),
            image["digest"].as_str().unwrap()
        );
        assert!(
            listed.lines().any(|line| line == reference),
            "{name}: {reference}"
        );
    }
    let moved = [
        "template",
        "x",
        &package,
        "-f",
        "values.yaml",
        "--set",
        "image.registry=other.example.com/hub",
    ];
    fs::write(
        registry.folder.join("values.yaml"),
        "{routing: {baseDomain: w.example.org}, proxy: {tls: {secretName: t}}, oidc: {issuerUrl: 'https://id.example.com'}}",
    )
    .unwrap();
    let rendered = registry.helm().args(moved).output().unwrap();
    assert!(
        !rendered.contains(&registry.address),
        "one value replaces the registry everywhere"
    );
    assert!(rendered.contains("other.example.com/hub/gateway@sha256:"));
}

#[test]
fn a_release_can_be_repeated_and_its_files_have_the_sums_that_it_lists() {
    let registry = Registry::start("files");
    registry.publish("one", &registry.registries()).unwrap();
    let sums = registry.file("SHA256SUMS");
    Cmd::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .dir(registry.out())
        .run()
        .unwrap();
    let files: BTreeSet<String> = fs::read_dir(registry.out())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "SHA256SUMS")
        .collect();
    let summed = sums
        .lines()
        .map(|line| line.split_once("  ").unwrap().1.to_owned());
    assert_eq!(summed.collect::<BTreeSet<_>>(), files);
    let plugin = files.iter().find(|name| name.starts_with(PLUGIN)).unwrap();
    let content = Cmd::new("tar")
        .args(["-tf", plugin])
        .dir(registry.out())
        .output()
        .unwrap();
    assert_eq!(content.lines().collect::<Vec<_>>(), [PLUGIN, "LICENSE"]);
    let krew: Value = serde_saphyr::from_str(&registry.file("workspace.yaml")).unwrap();
    let platform = &krew["spec"]["platforms"][0];
    assert_eq!(krew["spec"]["version"], format!("v{VERSION}"));
    let sum = format!("{}  {plugin}", platform["sha256"].as_str().unwrap());
    assert!(sums.lines().any(|line| line == sum), "{sum} is not among {sums}");
    assert!(platform["uri"].as_str().unwrap().ends_with(plugin), "{platform}");
    registry.publish("one", &registry.registries()).unwrap();
    assert_eq!(registry.file("SHA256SUMS"), sums);
}

#[test]
fn parts_of_two_architectures_become_one_image_of_each_name_and_a_plugin_for_each() {
    let registry = Registry::start("parts");
    let folders = ["arm64", "amd64"].map(|architecture| {
        registry.write_images(architecture);
        let folder = registry.folder.join(architecture);
        Part::write(
            &folder,
            architecture,
            COMMIT,
            &registry.images(),
            &registry.plugin(),
        )
        .unwrap();
        folder
    });
    let parts = Part::read(&folders, COMMIT).unwrap();
    let plugins = parts
        .iter()
        .map(|part| (part.architecture().to_owned(), part.plugin()));
    let images = parts::images(&parts, &registry.folder.join("joined")).unwrap();
    registry
        .publish_built(images, plugins.collect(), &registry.registries())
        .unwrap();

    let raw = |name: &str| -> Value {
        let skopeo = registry.registries().skopeo();
        let name = format!("docker://{}/{name}", registry.registry());
        let text = skopeo
            .args(["inspect", "--raw", "--tls-verify=false", &name])
            .output();
        serde_json::from_str(&text.unwrap()).unwrap()
    };
    let listed = list_digest(&registry.file(IMAGE_LIST), "traefik").to_owned();
    let index = raw(&format!("traefik@{listed}"));
    assert_eq!(index, raw(&format!("traefik:{VERSION}")));
    let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().collect();
    let architectures = platforms
        .iter()
        .map(|one| one["platform"]["architecture"].as_str().unwrap());
    assert_eq!(architectures.collect::<Vec<_>>(), ["amd64", "arm64"]);
    assert_ne!(platforms[0]["digest"], platforms[1]["digest"]);
    for platform in platforms {
        let manifest = raw(&format!("traefik@{}", platform["digest"].as_str().unwrap()));
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1, "{manifest}");
    }
    let krew: Value = serde_saphyr::from_str(&registry.file("workspace.yaml")).unwrap();
    for (platform, architecture) in krew["spec"]["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["amd64", "arm64"])
    {
        assert_eq!(platform["selector"]["matchLabels"]["arch"], architecture);
        let file = registry
            .out()
            .join(format!("{PLUGIN}-{VERSION}-linux-{architecture}.tar.gz"));
        assert_eq!(platform["sha256"], key::of_file(&file).unwrap());
    }
}

#[test]
fn parts_of_another_commit_or_twice_of_one_architecture_are_refused() {
    let registry = Registry::start("wrong-parts");
    registry.write_images("one");
    let folder = registry.folder.join("part");
    Part::write(&folder, "arm64", COMMIT, &registry.images(), &registry.plugin()).unwrap();
    assert_eq!(
        Part::read(std::slice::from_ref(&folder), COMMIT).unwrap().len(),
        1
    );
    let other = Part::read(std::slice::from_ref(&folder), "another")
        .unwrap_err()
        .to_string();
    assert!(other.contains("one commit") && other.contains(COMMIT), "{other}");
    let twice = Part::read(&[folder.clone(), folder.clone()], COMMIT)
        .unwrap_err()
        .to_string();
    assert!(twice.contains("both for arm64"), "{twice}");
}

#[test]
fn a_tag_with_other_content_is_refused_before_anything_is_pushed() {
    let registry = Registry::start("taken");
    registry.publish("one", &registry.registries()).unwrap();
    let tag = format!("{}/traefik:{VERSION}", registry.registry());
    let before = registry.registries().digest(&tag).unwrap().unwrap();
    let error = registry
        .publish("two", &registry.registries())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("{tag} is {before}, not sha256:")),
        "{error}"
    );
    assert!(error.contains("tags are not overwritten"), "{error}");
    assert_eq!(registry.registries().digest(&tag).unwrap(), Some(before));
}

#[test]
fn a_tag_that_another_client_pushed_in_the_meantime_stays() {
    let registry = Registry::start("faster");
    let references = registry.write_images("one");
    let archive = |name: &str| format!("oci-archive:{}", registry.images().join(name).display());
    let target = format!("{}/proxy:1", registry.registry());
    let images = built(&references, &registry.images()).unwrap();
    let upload = |name: &str| Upload {
        source: archive(&format!("{name}.tar")),
        digest: images[name].digest.clone(),
        target: target.clone(),
    };
    let (registries, progress) = (registry.registries(), Progress::start());
    registries.push(&upload("proxy"), &progress).unwrap();
    registries.push(&upload("proxy"), &progress).unwrap();
    let error = registries
        .push(&upload("gateway"), &progress)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("another push was faster") && error.contains(&format!("{target} is sha256:")),
        "{error}"
    );
    assert_eq!(
        registries.digest(&target).unwrap().as_ref(),
        Some(&images["proxy"].digest)
    );
    // The test compares the registry's content with the intended one.
    let wrong = Upload {
        digest: images["gateway"].digest.clone(),
        target: format!("{}/proxy:2", registry.registry()),
        ..upload("proxy")
    };
    let error = registries.push(&wrong, &progress).unwrap_err().to_string();
    assert!(error.contains("another client pushed"), "{error}");
}

#[test]
fn the_chart_is_pushed_only_after_every_image() {
    let registry = Registry::start("order");
    let digest = |repository: &str| {
        let name = format!("{}/{repository}:{VERSION}", registry.registry());
        registry.registries().digest(&name).unwrap()
    };
    let references = registry.write_images("one");
    // The last image has no layers left, but the index still has its digest.
    let archive = registry.images().join("webhook.tar");
    let whole = fs::read(&archive).unwrap();
    let mut broken = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(whole.as_slice()).entries().unwrap().take(2) {
        let entry = entry.unwrap();
        broken.append(&entry.header().clone(), entry).unwrap();
    }
    fs::write(&archive, broken.into_inner().unwrap()).unwrap();
    let error = registry
        .publish_images(&references, &registry.registries())
        .unwrap_err();
    assert!(error.to_string().contains("cannot push"), "{error}");
    assert!(digest("operator").is_some());
    assert_eq!((digest("webhook"), digest("jupyter-k8s")), (None, None));
    fs::write(&archive, whole).unwrap();
    registry
        .publish_images(&references, &registry.registries())
        .unwrap();
    assert!(digest("webhook").is_some() && digest("jupyter-k8s").is_some());
}

#[test]
fn without_credentials_nothing_is_published_and_the_error_says_so() {
    let registry = Registry::start("stranger");
    let file = registry.folder.join("no-account.json");
    fs::write(&file, "{}").unwrap();
    let stranger = Registries {
        auth_file: Some(file),
    };
    let error = format!("{:#}", registry.publish("one", &stranger).unwrap_err());
    assert!(error.contains("unauthorized"), "{error}");
    let tag = format!("{}/operator:{VERSION}", registry.registry());
    assert_eq!(registry.registries().digest(&tag).unwrap(), None);
}

#[test]
fn copied_images_keep_their_digests_and_replace_none() {
    let (from, to) = (Registry::start("from"), Registry::start("to"));
    from.publish("one", &from.registries()).unwrap();
    let both = credentials(&[&from.address, &to.address]);
    let file = from.folder.join("both.json");
    fs::write(&file, both.to_string()).unwrap();
    let registries = Registries {
        auth_file: Some(file),
    };
    let list = from.file(IMAGE_LIST);
    let copied = |list: &str| copy::copy(list, &to.registry(), &registries, &Progress::start());
    assert_eq!(copied(&list).unwrap().len(), IMAGES.len());
    for line in list.lines() {
        let (tag, digest) = line.split_once('@').unwrap();
        let tag = tag.replace(&from.address, &to.address);
        assert_eq!(registries.digest(&tag).unwrap().as_deref(), Some(digest));
    }
    // By tag alone, twice.
    let tag = format!("{}/gateway:{VERSION}", from.registry());
    assert_eq!(copied(&tag).unwrap().len(), 1);
    let other = format!(
        "{}/gateway:{VERSION}@{}",
        from.registry(),
        list_digest(&list, "operator")
    );
    let error = format!("{:#}", copied(&other).unwrap_err());
    assert!(error.contains("tags are not overwritten"), "{error}");
    let absent = copied(&format!("{}/nothing:1", from.registry())).unwrap_err();
    assert!(absent.to_string().contains("does not exist"), "{absent}");
}

fn list_digest<'a>(list: &'a str, repository: &str) -> &'a str {
    let line = list
        .lines()
        .find(|line| line.contains(&format!("/{repository}:")));
    line.unwrap().split_once('@').unwrap().1
}

#[test]
fn install_yaml_has_the_crds_and_operator_and_webhook_by_digest_and_nothing_else_that_runs() {
    let registry = Registry::start("install");
    registry.publish("one", &registry.registries()).unwrap();
    let objects = objects(&registry.file("install.yaml"));
    let crds = self::objects(&registry.file("crds.yaml"));
    assert_eq!(crds.len(), 6);
    assert!(
        crds.iter()
            .all(|crd| crd["kind"] == "CustomResourceDefinition" && objects.contains(crd))
    );
    let images: BTreeSet<&str> = objects
        .iter()
        .filter_map(|object| object["spec"]["template"]["spec"]["containers"][0]["image"].as_str())
        .collect();
    let by_digest = |component: &str| {
        let digest = list_digest(&registry.file(IMAGE_LIST), component).to_owned();
        format!("{}/{component}@{digest}", registry.registry())
    };
    assert_eq!(
        images,
        BTreeSet::from([by_digest("operator").as_str(), &by_digest("webhook")])
    );
}
