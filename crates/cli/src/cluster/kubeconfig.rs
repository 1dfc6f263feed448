//! Flags and environment -> the kubeconfig that counts, and what of it is in force (IO).

use std::env;
use std::io::ErrorKind;
use std::path::{self, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use kube::config::{Kubeconfig, KubeconfigError};

use crate::args::Connection;

const VARIABLE: &str = "KUBECONFIG";
pub(super) const UNUSABLE: &str = "the kubeconfig cannot be used";

/// Files of a kubeconfig, of which the first to say something counts.
pub(crate) struct Files {
    /// What names them; `None`: they are where every program looks.
    named_by: Option<&'static str>,
    paths: Vec<PathBuf>,
}

/// The files of the flags, else those of `$KUBECONFIG`, else `~/.kube/config`.
pub(crate) fn files(flags: &Connection) -> Files {
    if !flags.kubeconfig.is_empty() {
        return Files {
            named_by: Some("--kubeconfig"),
            paths: flags.kubeconfig.clone(),
        };
    }
    let list = env::var_os(VARIABLE).unwrap_or_default();
    let paths: Vec<_> = env::split_paths(&list)
        .filter(|file| !file.as_os_str().is_empty())
        .collect();
    if !paths.is_empty() {
        return Files {
            named_by: Some("$KUBECONFIG"),
            paths,
        };
    }
    Files {
        named_by: None,
        paths: env::home_dir()
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect(),
    }
}

/// Merges files. Like kubectl, it skips missing ones. `None`: nobody names a file, and there is none, or it has no contexts.
pub(crate) fn read(files: &Files) -> anyhow::Result<Option<Kubeconfig>> {
    let mut merged: Option<Kubeconfig> = None;
    for file in &files.paths {
        let context = || match files.named_by {
            Some(source) => format!("{source}: {}", file.display()),
            None => file.display().to_string(),
        };
        let mut next = match Kubeconfig::read_from(file) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(error)).with_context(context),
        };
        next.current_context = next.current_context.filter(|name| !name.is_empty());
        merged = Some(match merged {
            Some(earlier) => earlier
                .merge(next)
                .with_context(|| format!("{} does not fit the files before it", context()))?,
            None => next,
        });
    }
    match files.named_by {
        None => Ok(merged.filter(|found| !found.contexts.is_empty())),
        Some(source) if merged.is_none() => {
            let paths = files.paths.iter().map(|file| file.display().to_string());
            let paths: Vec<_> = paths.collect();
            bail!("no file of {source} exists: {}", paths.join(", "))
        }
        Some(_) => Ok(merged),
    }
}

/// What leads to a cluster now, whatever the environment or the current context is later.
pub(crate) struct InForce {
    /// It has all that leads there, and no namespace.
    pub(crate) flags: Connection,
    /// The same in words; `None`: nothing leads to a cluster.
    pub(crate) described: Option<String>,
}

/// What is in force.
pub(crate) fn in_force(flags: &Connection) -> anyhow::Result<InForce> {
    let mut kept = Connection {
        namespace: None,
        ..flags.clone()
    };
    if let Some(file) = &mut kept.certificate_authority {
        *file = path::absolute(&*file)?;
    }
    let files = files(flags);
    let found = read(&files)?.filter(|found| !found.contexts.is_empty());
    let current = found.as_ref().and_then(|found| found.current_context.clone());
    let name = flags.context.clone().or(current);
    let (Some(found), Some(name)) = (found, name) else {
        if flags.context.is_some() || flags.cluster.is_some() || flags.kubeconfig_user.is_some() {
            bail!("there is no kubeconfig with a current context: set --kubeconfig and --context");
        }
        let described = flags.server.as_ref();
        return Ok(InForce {
            described: described.map(|server| format!("the API server {server}")),
            flags: kept,
        });
    };
    check(&found, flags).context(UNUSABLE)?;
    let of_context = found.contexts.iter().find(|named| named.name == name);
    let of_context = of_context.and_then(|named| named.context.as_ref()?.user.clone());
    let user = flags.kubeconfig_user.clone().or(of_context);
    let paths: Vec<_> = files.paths.iter().map(path::absolute).collect::<Result<_, _>>()?;
    let shown = paths.iter().map(|file| file.display().to_string());
    let shown = shown.collect::<Vec<_>>().join(", ");
    let user = user.map(|user| format!(", user {user:?}")).unwrap_or_default();
    let described = format!("context {name:?} of {shown}{user}");
    kept.kubeconfig = paths;
    kept.context = Some(name);
    Ok(InForce {
        flags: kept,
        described: Some(described),
    })
}

/// Why a kubeconfig cannot be read. The parser's words show what is in it, which may be a token.
fn unreadable(error: KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => anyhow!(
                "line {}, column {} is not what a kubeconfig has there: correct it",
                place.line(),
                place.column()
            ),
            None => anyhow!("it must be a kubeconfig in YAML"),
        },
        error => error.into(),
    }
}

/// Name of the cluster to use. An error names the part of a kubeconfig that does not exist, and those that do.
pub(super) fn check(kubeconfig: &Kubeconfig, flags: &Connection) -> anyhow::Result<String> {
    let contexts = kubeconfig.contexts.iter().map(|named| named.name.as_str());
    let current = kubeconfig
        .current_context
        .as_ref()
        .filter(|name| !name.is_empty());
    let Some(name) = flags.context.as_ref().or(current) else {
        bail!(
            "it has no current context: choose one with --context, or with kubectl config use-context ({})",
            one_of(contexts)
        );
    };
    let context = kubeconfig.contexts.iter().find(|named| named.name == *name);
    let Some(context) = context.and_then(|named| named.context.as_ref()) else {
        bail!(
            "context {name:?} does not exist: choose another with --context ({})",
            one_of(contexts)
        );
    };
    let clusters = kubeconfig.clusters.iter().map(|named| named.name.as_str());
    let cluster = flags.cluster.as_ref().unwrap_or(&context.cluster);
    if !clusters.clone().any(|known| known == cluster) {
        bail!(
            "context {name:?} names cluster {cluster:?}, which does not exist: choose another with --cluster ({})",
            one_of(clusters)
        );
    }
    let users = kubeconfig.auth_infos.iter().map(|named| named.name.as_str());
    let user = flags.kubeconfig_user.as_ref().or(context.user.as_ref());
    match user.filter(|user| !user.is_empty()) {
        Some(user) if !users.clone().any(|known| known == user) => bail!(
            "context {name:?} names user {user:?}, who does not exist: choose another with kubectl workspace --user ({})",
            one_of(users)
        ),
        _ => Ok(cluster.clone()),
    }
}

/// Names to choose from.
fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    match names.collect::<Vec<_>>().join(", ") {
        names if names.is_empty() => "there is none".to_owned(),
        names => format!("there is {names}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A temporary folder with one file per text. Dropping it removes the folder.
    struct Folder(PathBuf);

    impl Folder {
        fn with(test: &str, files: &[(&str, &str)]) -> Self {
            let folder = env::temp_dir().join(format!("cli-kubeconfig-{}-{test}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                fs::write(folder.join(name), text).unwrap();
            }
            Self(folder)
        }

        fn list(&self, names: &[&str]) -> Files {
            Files {
                named_by: Some("$KUBECONFIG"),
                paths: names.iter().map(|name| self.0.join(name)).collect(),
            }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn missing_kubeconfig_files_are_skipped_and_the_first_value_wins() {
        let folder = Folder::with(
            "merged",
            &[
                ("a", "{apiVersion: v1, kind: Config, current-context: first}"),
                (
                    "b",
                    "{apiVersion: v1, kind: Config, current-context: second, contexts: [{name: second}]}",
                ),
            ],
        );
        let merged = read(&folder.list(&["missing", "a", "absent", "b"]))
            .unwrap()
            .unwrap();
        assert_eq!(merged.current_context.as_deref(), Some("first"));
        assert_eq!(merged.contexts.len(), 1);
    }

    #[test]
    fn missing_parts_of_a_kubeconfig_are_named_with_those_that_exist() {
        let kubeconfig = |current: &str| {
            let text = format!(
                "{{apiVersion: v1, kind: Config, current-context: {current}, contexts: [{{name: a, context: {{cluster: one, user: u}}}}, \
                 {{name: b, context: {{cluster: gone, user: u}}}}, {{name: c, context: {{cluster: one, user: eve}}}}], \
                 clusters: [{{name: one, cluster: {{server: 'https://one'}}}}], users: [{{name: u, user: {{}}}}]}}"
            );
            Kubeconfig::from_yaml(&text).unwrap()
        };
        assert!(check(&kubeconfig("a"), &Connection::default()).is_ok());
        for (current, expected) in [
            (
                "''",
                "it has no current context: choose one with --context, or with kubectl config use-context (there is a, b, c)",
            ),
            (
                "x",
                "context \"x\" does not exist: choose another with --context (there is a, b, c)",
            ),
            (
                "b",
                "context \"b\" names cluster \"gone\", which does not exist: choose another with --cluster (there is one)",
            ),
            (
                "c",
                "context \"c\" names user \"eve\", who does not exist: choose another with kubectl workspace --user (there is u)",
            ),
        ] {
            let error = check(&kubeconfig(current), &Connection::default()).unwrap_err();
            assert_eq!(error.to_string(), expected, "{current}");
        }
        let flags = Connection {
            context: Some("c".into()),
            kubeconfig_user: Some("u".into()),
            ..Connection::default()
        };
        assert!(check(&kubeconfig("''"), &flags).is_ok());
    }

    #[test]
    fn a_list_of_missing_files_and_an_unreadable_file_are_named() {
        let folder = Folder::with("named", &[("broken", "[")]);
        let missing = read(&folder.list(&["missing"])).unwrap_err().to_string();
        assert!(
            missing.starts_with("no file of $KUBECONFIG exists: ") && missing.ends_with("/missing"),
            "{missing}"
        );
        let broken = read(&folder.list(&["missing", "broken"]))
            .unwrap_err()
            .to_string();
        assert!(
            broken.starts_with("$KUBECONFIG: ") && broken.ends_with("/broken"),
            "{broken}"
        );
    }

    #[test]
    fn what_is_in_force_stays_so_when_the_current_context_changes() {
        let text = |current: &str| {
            format!(
                "{{apiVersion: v1, kind: Config, current-context: {current}, contexts: [{{name: a, context: {{cluster: one, user: u}}}}, \
                 {{name: b, context: {{cluster: one}}}}], clusters: [{{name: one, cluster: {{server: 'https://one'}}}}], users: [{{name: u, user: {{}}}}]}}"
            )
        };
        let folder = Folder::with("force", &[("config", &text("a")), ("none", &text("''"))]);
        let flags = |name: &str| Connection {
            kubeconfig: vec![folder.0.join("missing"), folder.0.join(name)],
            namespace: Some("team".into()),
            ..Connection::default()
        };
        let kept = in_force(&flags("config")).unwrap();
        assert_eq!(kept.flags.context.as_deref(), Some("a"));
        assert_eq!(kept.flags.kubeconfig.len(), 2);
        assert_eq!(kept.flags.namespace, None);
        let described = kept.described.unwrap();
        assert!(
            described.starts_with("context \"a\" of /") && described.ends_with("/config, user \"u\""),
            "{described}"
        );
        // None is current, one is chosen, and one is gone.
        assert_eq!(in_force(&flags("none")).unwrap().described, None);
        let chosen = |context: &str| Connection {
            context: Some(context.into()),
            ..flags("none")
        };
        let kept = in_force(&chosen("b")).unwrap();
        assert!(kept.described.unwrap().ends_with("/none"));
        let error = in_force(&chosen("gone")).err().unwrap();
        assert!(
            format!("{error:#}").contains("context \"gone\" does not exist"),
            "{error:#}"
        );
    }
}
