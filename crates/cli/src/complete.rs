//! Words of an unfinished command line -> candidates for the last word (IO).
//!
//! kubectl asks its plugins: it runs `kubectl_complete-workspace` with all words, the unfinished one last. The answer has a candidate
//! per line, with a description after a tab, and ends with cobra's directive.

use std::collections::BTreeMap;
use std::io::Write;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate, WorkspaceTemplateSpec};
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use serde::Deserialize as _;
use serde_json::Value;

use crate::args::{Cli, Connection};
use crate::cluster::{Cluster, Stdin, kubeconfig};
use crate::console::{Text, plain};

/// Cobra's directive: offer no file names.
const NO_FILES: &str = ":4";
/// Cobra's directive: offer file names.
const FILES: &str = ":0";

/// What the last word may be.
#[derive(Debug, PartialEq, Eq)]
enum Candidates {
    Words(Vec<String>),
    Names(Names),
    Files,
}

/// Names that the cluster or the kubeconfig has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Workspaces,
    Templates,
    Profiles,
    /// That templates allow.
    Images,
    /// Of templates, each with its choice.
    Options,
    Namespaces,
    Contexts,
    Clusters,
    Users,
}

/// Writes the candidates. Without a connection there are no names.
pub async fn complete(words: &[String], out: &mut dyn Write) -> std::io::Result<()> {
    let last = words.last().map(String::as_str).unwrap_or_default();
    let (candidates, directive) = match candidates(words) {
        Candidates::Words(words) => (words, NO_FILES),
        Candidates::Names(kind) => (names(kind, words).await, NO_FILES),
        Candidates::Files => (Vec::new(), FILES),
    };
    let fitting: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.starts_with(last))
        .collect();
    let mut out = Text::new(out);
    for candidate in &fitting {
        let (word, description) = candidate.split_once('\t').unwrap_or((candidate, ""));
        let tab = if description.is_empty() { "" } else { "\t" };
        out.data(&format!("{}{tab}{}\n", plain(word), plain(description)))?;
    }
    writeln!(out, "{directive}")
}

fn candidates(words: &[String]) -> Candidates {
    let mut root = Cli::command();
    root.build();
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", words),
    };
    let mut command: &Command = &root;
    // Words that are no command, no flag and no flag's value.
    let mut given = 0;
    let mut previous: Option<&Arg> = None;
    for word in before {
        if previous.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            previous = flag(command, word).filter(|flag| flag.get_action().takes_values());
        } else if let Some(inner) = command.find_subcommand(word) {
            command = inner;
        } else {
            given += 1;
        }
    }
    if let Some(flag) = previous {
        return value_candidates(flag);
    }
    if last.starts_with('-') {
        let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
        let flags = flags.filter_map(Arg::get_long);
        return Candidates::Words(flags.map(|flag| format!("--{flag}")).collect());
    }
    if command.has_subcommands() {
        let inner = command.get_subcommands();
        return Candidates::Words(inner.map(|inner| inner.get_name().to_owned()).collect());
    }
    let positionals: Vec<_> = command.get_positionals().collect();
    let repeated = positionals
        .last()
        .filter(|last| last.get_num_args().is_some_and(|number| number.max_values() > 1));
    match positionals.get(given).or(repeated) {
        // A new workspace has a new name.
        Some(_) if command.get_name() == "create" => Candidates::Words(Vec::new()),
        Some(positional) => value_candidates(positional),
        None => Candidates::Words(Vec::new()),
    }
}

/// What the value of a flag or a positional argument may be.
fn value_candidates(argument: &Arg) -> Candidates {
    let values = argument.get_possible_values();
    if !values.is_empty() {
        return Candidates::Words(values.iter().map(|value| value.get_name().to_owned()).collect());
    }
    let value_name = argument.get_value_names().and_then(|names| names.first());
    let takes_path = value_name.is_some_and(|name| matches!(name.as_str(), "FILE" | "PATH"));
    Candidates::Names(match argument.get_id().as_str() {
        _ if takes_path => return Candidates::Files,
        "name" | "names" => Names::Workspaces,
        "template" | "explained_template" => Names::Templates,
        "profile" => Names::Profiles,
        "image" => Names::Images,
        "option" => Names::Options,
        "namespace" | "in_namespace" => Names::Namespaces,
        "context" => Names::Contexts,
        "cluster" => Names::Clusters,
        "kubeconfig_user" => Names::Users,
        _ => return Candidates::Words(Vec::new()),
    })
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|flag| {
        let long = flag.get_long().map(|long| format!("--{long}"));
        let short = flag.get_short().map(|short| format!("-{short}"));
        long.as_deref() == Some(word) || short.as_deref() == Some(word)
    })
}

async fn names(kind: Names, words: &[String]) -> Vec<String> {
    let line = std::iter::once("kubectl-workspace".to_owned()).chain(words.iter().cloned());
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(line);
    let connection = matches
        .ok()
        .and_then(|matches| Connection::from_arg_matches(&matches).ok())
        .unwrap_or_default();
    if matches!(kind, Names::Contexts | Names::Clusters | Names::Users) {
        return kubeconfig_names(kind, &connection);
    }
    // Nobody answers questions at a half-typed line.
    let Ok(cluster) = Cluster::connect(&connection, Stdin::InUse).await else {
        return Vec::new();
    };
    match kind {
        Names::Images => images(&templates(&cluster, words).await),
        Names::Options => options(&templates(&cluster, words).await, words),
        kind => cluster_names(kind, &cluster).await,
    }
}

/// Values of a flag that may be given several times.
fn given<'a>(words: &'a [String], flag: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = words.windows(2).filter(move |pair| pair[0] == flag);
    pairs.map(|pair| pair[1].as_str())
}

/// The template that the line names, else all.
async fn templates(cluster: &Cluster, words: &[String]) -> Vec<Value> {
    let template = given(words, "--template").next();
    let found = cluster.list::<WorkspaceTemplate>(None, None, None).await;
    let mut found = found.unwrap_or_default();
    found.retain(|object| template.is_none_or(|name| object["metadata"]["name"] == name));
    found
}

/// What is left to choose with the choices of the line. After a tab: the name that the template presents the choice by.
fn options(templates: &[Value], words: &[String]) -> Vec<String> {
    let (_, before) = words.split_last().unwrap_or((&String::new(), &[]));
    let pairs = given(before, "--option").filter_map(|pair| pair.split_once('='));
    let chosen: BTreeMap<_, _> = pairs
        .map(|(option, choice)| (option.to_owned(), choice.to_owned()))
        .collect();
    let mut choices = BTreeMap::new();
    for object in templates {
        let Ok(spec) = WorkspaceTemplateSpec::deserialize(&object["spec"]) else {
            continue;
        };
        let offered = rules::options::offered(&spec, &chosen);
        for option in offered.iter().filter(|option| !chosen.contains_key(option.name)) {
            for choice in &option.choices {
                let known = choices.entry(format!("{}={}", option.name, choice.name));
                known.or_insert_with(|| plain(choice.display_name));
            }
        }
    }
    let choices = choices.into_iter();
    choices
        .map(|(choice, name)| format!("{choice}\t{name}"))
        .collect()
}

/// Images that the templates allow. After a tab: the name that a template presents it by.
fn images(templates: &[Value]) -> Vec<String> {
    let mut images = BTreeMap::new();
    for object in templates {
        let spec = &object["spec"];
        let allowed = spec["allowedImages"].as_array().into_iter().flatten();
        for image in allowed.chain([&spec["defaultImage"]]).filter_map(Value::as_str) {
            images.entry(image.to_owned()).or_insert(None);
        }
        for shown in spec["presentation"]["images"].as_array().into_iter().flatten() {
            if let (Some(image), Some(name)) = (shown["image"].as_str(), shown["displayName"].as_str()) {
                let known = images.entry(image.to_owned()).or_default();
                known.get_or_insert_with(|| plain(name));
            }
        }
    }
    let images = images.into_iter();
    images
        .map(|(image, name)| name.map_or_else(|| image.clone(), |name| format!("{image}\t{name}")))
        .collect()
}

async fn cluster_names(kind: Names, cluster: &Cluster) -> Vec<String> {
    let namespace = Some(cluster.namespace());
    match kind {
        Names::Templates => list_names::<WorkspaceTemplate>(cluster, None).await,
        Names::Profiles => list_names::<WorkspaceExecutionProfile>(cluster, namespace).await,
        Names::Namespaces => list_names::<Namespace>(cluster, None).await,
        _ => list_names::<Workspace>(cluster, namespace).await,
    }
}

async fn list_names<K: Resource<DynamicType = ()>>(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Vec<String> {
    let found = cluster.list::<K>(namespace, None, None).await;
    let found = found.unwrap_or_default().into_iter();
    found
        .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()))
        .collect()
}

fn kubeconfig_names(kind: Names, connection: &Connection) -> Vec<String> {
    let read = kubeconfig::read(&kubeconfig::files(connection));
    let config = read.ok().flatten().unwrap_or_default();
    match kind {
        Names::Contexts => config.contexts.into_iter().map(|named| named.name).collect(),
        Names::Clusters => config.clusters.into_iter().map(|named| named.name).collect(),
        _ => config.auth_infos.into_iter().map(|named| named.name).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates_for(line: &str) -> Candidates {
        candidates(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn commands_flags_values_names_and_files_are_offered() {
        let Candidates::Words(commands) = candidates_for("") else {
            unreachable!()
        };
        assert!(commands.contains(&"start".to_owned()) && commands.contains(&"explain".to_owned()));
        let Candidates::Words(flags) = candidates_for("stop --") else {
            unreachable!()
        };
        assert!(flags.contains(&"--wait".to_owned()) && flags.contains(&"--namespace".to_owned()));
        assert_eq!(
            candidates_for("stop -n team de"),
            Candidates::Names(Names::Workspaces)
        );
        assert_eq!(
            candidates_for("stop one -n team two "),
            Candidates::Names(Names::Workspaces)
        );
        assert_eq!(candidates_for("create "), Candidates::Words(Vec::new()));
        for (line, kind) in [
            ("create demo --template ", Names::Templates),
            ("create demo --profile ", Names::Profiles),
            ("create demo --image ", Names::Images),
            ("set demo --option ", Names::Options),
            ("template show ", Names::Templates),
            ("explain template ", Names::Templates),
            ("list -n ", Names::Namespaces),
            ("--context ", Names::Contexts),
            ("--user ", Names::Users),
        ] {
            assert_eq!(candidates_for(line), Candidates::Names(kind), "{line}");
        }
        assert_eq!(candidates_for("keep "), Candidates::Names(Names::Workspaces));
        for line in ["open demo ", "keep demo "] {
            assert_eq!(candidates_for(line), Candidates::Words(Vec::new()), "{line}");
        }
        assert_eq!(candidates_for("stop -f "), Candidates::Files);
        let Candidates::Words(formats) = candidates_for("list -o ") else {
            unreachable!()
        };
        assert!(formats.contains(&"wide".to_owned()), "{formats:?}");
        let Candidates::Words(inner) = candidates_for("template ") else {
            unreachable!()
        };
        assert!(inner.contains(&"show".to_owned()), "{inner:?}");
        let Candidates::Words(shells) = candidates_for("completion ") else {
            unreachable!()
        };
        assert!(shells.contains(&"fish".to_owned()), "{shells:?}");
    }
}
