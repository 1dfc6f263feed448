//! The chart's configuration of the proxy, with loopback instead of the cluster.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use api::manager::RoutingMode;
use serde_json::Value;

/// The gateway's name in its certificate, which resolves to loopback.
pub(crate) const GATEWAY: &str = "localhost";
const RELEASE: &str = "jupyter-k8s";

/// Ports of the gateway's listeners.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) verify: u16,
    pub(crate) routes: u16,
    pub(crate) pages: u16,
}

/// Ports of the proxy.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) https: u16,
    /// Without TLS, for a front that ends it; where the chart opens that port.
    pub(crate) plain: u16,
    /// Without TLS, for redirects to HTTPS; where the chart opens that port.
    pub(crate) redirects: u16,
    pub(crate) routes: u16,
    pub(crate) ping: u16,
}

/// What the chart gives the proxy.
pub(crate) struct Chart {
    routes: String,
    arguments: Vec<String>,
}

impl Chart {
    pub(crate) fn render(mode: RoutingMode) -> Self {
        Self::render_with(mode, &[])
    }

    /// With further values, each as `--set-json` takes it.
    pub(crate) fn render_with(mode: RoutingMode, values: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/jupyter-k8s");
        let output = Command::new(tool("HELM", "helm/bin/helm"))
            .args(["template", RELEASE])
            .arg(&root)
            .args(["--namespace=system", "--values"])
            .arg(root.join("values-local.yaml"))
            .arg(format!("--set=routing.mode={mode:?}"))
            .args(values.iter().map(|value| format!("--set-json={value}")))
            .args([
                "--show-only=templates/routes.yaml",
                "--show-only=templates/proxy.yaml",
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let documents: Vec<Value> = text
            .split("\n---\n")
            .map(|document| serde_saphyr::from_str(document).unwrap())
            .collect();
        let kind = |kind: &str| {
            documents
                .iter()
                .find(|document| document["kind"] == kind)
                .unwrap()
        };
        let arguments = &kind("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
        Self {
            routes: kind("ConfigMap")["data"]["routes.yaml"]
                .as_str()
                .unwrap()
                .to_owned(),
            arguments: serde_json::from_value(arguments.clone()).unwrap(),
        }
    }

    /// The same with another argument in place of this one.
    pub(crate) fn with_argument(mut self, from: &str, to: &str) -> Self {
        let argument = self.arguments.iter_mut().find(|argument| *argument == from);
        to.clone_into(argument.unwrap());
        self
    }

    /// The same with the bundled identity provider at this address.
    pub(crate) fn with_provider_at(mut self, address: SocketAddr) -> Self {
        let service = format!("{RELEASE}-identity.system.svc:8080");
        assert!(self.routes.contains(&service), "{}", self.routes);
        self.routes = self.routes.replace(&service, &address.to_string());
        self
    }

    /// The file of routes, with loopback in place of the Service and `folder` in place of /etc/traefik.
    pub(crate) fn routes(&self, folder: &Path, ports: Ports) -> String {
        let service = format!("{RELEASE}-gateway.system.svc");
        let mut text = in_folder(&self.routes, folder);
        for (from, to) in [(8443, ports.verify), (8444, ports.routes), (8445, ports.pages)] {
            let from = format!("{service}:{from}");
            assert!(text.contains(&from), "{from} is not in the chart's routes");
            text = text.replace(&from, &format!("{GATEWAY}:{to}"));
        }
        text
    }

    pub(crate) fn arguments(&self, folder: &Path, addresses: Addresses) -> Vec<String> {
        let mut arguments = self.arguments.join("\n");
        for (from, to) in [
            ("address=:8443", format!("address=127.0.0.1:{}", addresses.https)),
            ("address=:8080", format!("address=127.0.0.1:{}", addresses.ping)),
            ("address=:8081", "address=127.0.0.1:0".to_owned()),
            ("127.0.0.1:8444", format!("127.0.0.1:{}", addresses.routes)),
            ("$(POD_NAME)", "proxy-0".to_owned()),
        ] {
            assert!(
                arguments.contains(from),
                "{from} is not among the chart's arguments"
            );
            arguments = arguments.replace(from, &to);
        }
        for (from, to) in [(8000, addresses.redirects), (8001, addresses.plain)] {
            arguments = arguments.replace(&format!("address=:{from}"), &format!("address=127.0.0.1:{to}"));
        }
        in_folder(&arguments, folder).lines().map(str::to_owned).collect()
    }
}

fn in_folder(text: &str, folder: &Path) -> String {
    assert!(text.contains("/etc/traefik"));
    text.replace("/etc/traefik", folder.to_str().unwrap())
}

/// Lays files out as the kubelet does: each version in a folder of its own, and one link that is moved at once.
pub(crate) fn project<'a>(folder: &Path, version: u8, files: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let data = folder.join(format!("..version_{version}"));
    for (name, text) in files {
        let path = data.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let top = name.split('/').next().unwrap();
        if !folder.join(top).exists() && !folder.join(top).is_symlink() {
            symlink(Path::new("..data").join(top), folder.join(top)).unwrap();
        }
    }
    let link = folder.join("..data_tmp");
    symlink(data.file_name().unwrap(), &link).unwrap();
    fs::rename(link, folder.join("..data")).unwrap();
}

/// A program that these tests cannot do without: where the variable says, or where the project's tool puts it.
pub(crate) fn tool(variable: &str, in_cache: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return path.into();
    }
    let path = testkit::cache::folder().join(in_cache);
    assert!(
        path.exists(),
        "{} is missing: `./justw test` installs it, or set {variable} to its path",
        path.display()
    );
    path
}
