//! Server, authority and a client's certificate -> kubeconfig text (pure); and its file (IO).

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::pki::Pair;

/// Name of cluster, context and user in the kubeconfigs written here.
pub(crate) const NAME: &str = "jupyter-k8s";

/// A kubeconfig for one client, with `namespace` as the default namespace; `cluster` is the body of the entry, from [`cluster`] or from
/// another kubeconfig.
pub(crate) fn render(cluster: &Value, client: &Pair, namespace: &str) -> anyhow::Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": NAME, "user": {
            "client-certificate-data": BASE64_STANDARD.encode(&client.certificate),
            "client-key-data": BASE64_STANDARD.encode(&client.key),
        }}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME, "namespace": namespace}}],
    });
    Ok(serde_saphyr::to_string(&config)?)
}

/// The body of a cluster's entry: address and authority of its API server.
pub(crate) fn cluster(server: &str, authority: &str) -> Value {
    json!({"server": server, "certificate-authority-data": BASE64_STANDARD.encode(authority)})
}

/// Writes a secret file (mode 0600) in one step, so that no reader sees half of it.
pub(crate) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = Path::new(&name);
        let _ = fs::remove_file(temporary);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(text.as_bytes())?;
        fs::rename(temporary, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_can_be_read_by_its_owner_only_also_when_it_replaces_an_open_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("xtask-secret-{}", std::process::id()));
        fs::write(&path, "old").unwrap();
        write_secret(&path, "new").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!((mode, text.as_str()), (0o600, "new"));
    }
}
