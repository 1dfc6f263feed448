//! Pinned Go modules -> definitions of other projects' kinds in the cache folder, for end-to-end tests (IO).
//!
//! | file | what it defines |
//! |---|---|
//! | `traefik.yaml` | every kind of Traefik's; its provider waits until all of them are there |
//! | `httproutes.yaml` | the Gateway API's HTTPRoute |

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// A file of a Go module.
struct Definition {
    /// Name in the cache folder.
    name: &'static str,
    /// Module and version.
    module: &'static str,
    /// Go's hash of the module's content.
    sum: &'static str,
    /// The file in it.
    file: &'static str,
}

const ALL: [Definition; 2] = [
    Definition {
        name: "traefik.yaml",
        module: "github.com/traefik/traefik/v3@v3.7.13",
        sum: "h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw=",
        file: "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
    },
    Definition {
        name: "httproutes.yaml",
        module: "sigs.k8s.io/gateway-api@v1.4.0",
        sum: "h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=",
        file: "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    },
];

/// The folder that holds them, filled when it is empty or of other versions.
///
/// # Errors
/// When Go cannot fetch a module, or gets another content than the pinned one.
pub(crate) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("definitions");
    let stamp = folder.join("sums");
    let wanted = sums();
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    progress.line(format_args!(
        "fetching definitions for tests into {}",
        folder.display()
    ));
    for definition in &ALL {
        let text = fetch(definition, paths).with_context(|| format!("cannot fetch {}", definition.module))?;
        fs::write(folder.join(definition.name), text)?;
    }
    // Last: without it the folder is filled again.
    fs::write(&stamp, wanted)?;
    Ok(folder)
}

fn fetch(definition: &Definition, paths: &Paths) -> anyhow::Result<Vec<u8>> {
    fs::create_dir_all(paths.go())?;
    let download = Cmd::new("go").args(["mod", "download", "-json", definition.module]);
    let output = download.env("GOWORK", "off").dir(paths.go()).output()?;
    let output: Value = serde_json::from_str(&output)?;
    let sum = output["Sum"].as_str().unwrap_or_default();
    ensure!(
        sum == definition.sum,
        "its hash is {sum:?}, not {:?}",
        definition.sum
    );
    let file = PathBuf::from(output["Dir"].as_str().unwrap_or_default()).join(definition.file);
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

fn sums() -> String {
    ALL.iter().fold(String::new(), |mut text, definition| {
        let _ = writeln!(
            text,
            "{} {} {}",
            definition.name, definition.module, definition.sum
        );
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_pinned_by_version_and_content() {
        for definition in &ALL {
            assert!(definition.module.contains("@v"), "{}", definition.module);
            assert!(
                definition.sum.starts_with("h1:") && definition.sum.len() == 47,
                "{}",
                definition.sum
            );
        }
        assert_eq!(sums().lines().count(), ALL.len());
    }
}
