//! `state.json` of a started node (IO) -> what to do with the node (pure).

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::process::Process;

/// Processes of a registry for a test: the registry, and the forwarder to it from the machine.
pub(crate) const REGISTRY: [&str; 2] = ["registry", "registry-forwarder"];
/// Process that simulates the kubelets of fake nodes.
pub(crate) const FAKE_NODES: &str = "kwok";

/// The record of a node, from its first step until its state folder is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct State {
    /// Hash of binaries, configuration and manifests; see `node::Plan`.
    pub(crate) config: String,
    /// Kubernetes' version.
    pub(crate) version: String,
    /// The boot of the machine to which all pids belong.
    pub(crate) boot: String,
    /// When it was started, RFC 3339.
    pub(crate) since: String,
    /// The checkout that started it.
    pub(crate) checkout: PathBuf,
    pub(crate) phase: Phase,
    pub(crate) processes: Vec<Process>,
    /// Folders of the machine that did not exist before. They are removed again when empty.
    pub(crate) made: Vec<PathBuf>,
}

/// The progress of the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Phase {
    /// The start is not complete: it still runs, failed, or was interrupted.
    Starting,
    /// All processes of the node ran once.
    Up,
}

/// The state of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Neither a record nor remains.
    Nothing,
    /// Remains of a node without a readable record, with their names.
    Remains(String),
    /// A record, with the names of its processes that do not run, and whether its API server reports that it is ready.
    Node {
        state: State,
        dead: Vec<String>,
        ready: bool,
    },
}

/// The next action of `up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Take over the running node.
    Keep,
    /// Start one.
    Start,
    /// Clean up, for this reason, then start.
    Replace(String),
}

impl State {
    /// Reads the record; `None` when there is none.
    pub(crate) fn load(layout: &Layout) -> anyhow::Result<Option<Self>> {
        let path = layout.file("state.json");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(
                serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?,
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the record in one step, so that after a crash either the old one or the new one exists.
    pub(crate) fn save(&self, layout: &Layout) -> anyhow::Result<()> {
        let (path, temporary) = (layout.file("state.json"), layout.file("state.json.tmp"));
        let write = || {
            fs::write(&temporary, serde_json::to_vec_pretty(self)?)?;
            fs::rename(&temporary, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The process of this name.
    pub(crate) fn process(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name)
    }
}

impl Found {
    /// The action if a node with configuration `config` is wanted on this boot of the machine.
    pub(crate) fn decide(&self, config: &str, boot: &str) -> Decision {
        match self {
            Self::Nothing => Decision::Start,
            Self::Remains(what) => {
                Decision::Replace(format!("found {what} of a cluster without a readable record"))
            }
            Self::Node { state, dead, ready } => match state.problem(dead, *ready, boot) {
                Some(problem) => Decision::Replace(problem),
                None if state.config != config => {
                    Decision::Replace("its configuration or versions differ".to_owned())
                }
                None => Decision::Keep,
            },
        }
    }
}

impl State {
    /// Why the node is incomplete; `None`: it is complete.
    pub(crate) fn problem(&self, dead: &[String], ready: bool, boot: &str) -> Option<String> {
        if self.boot != boot {
            Some("the machine was restarted since".to_owned())
        } else if self.phase == Phase::Starting {
            Some("its start was cut off".to_owned())
        } else if !dead.is_empty() {
            Some(format!("not running: {}", dead.join(", ")))
        } else if !ready {
            Some("its API server or node is not ready".to_owned())
        } else if self.process(REGISTRY[0]).is_some() {
            Some("a test emptied it, to install from a registry".to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;

    fn state() -> State {
        State {
            config: "c1".to_owned(),
            version: "v1.36.3".to_owned(),
            boot: "b1".to_owned(),
            since: "2026-01-01T00:00:00Z".to_owned(),
            checkout: PathBuf::from("/clone"),
            phase: Phase::Up,
            processes: vec![Process {
                name: "etcd".to_owned(),
                pid: 7,
                started: 9,
                program: PathBuf::from("/etcd"),
            }],
            made: vec![PathBuf::from("/var/lib/cni")],
        }
    }

    fn found(change: impl FnOnce(&mut State), dead: &[&str], ready: bool) -> Found {
        let mut state = state();
        change(&mut state);
        Found::Node {
            state,
            dead: dead.iter().map(ToString::to_string).collect(),
            ready,
        }
    }

    #[test]
    fn a_complete_node_of_the_same_configuration_is_kept() {
        assert_eq!(found(|_| (), &[], true).decide("c1", "b1"), Decision::Keep);
    }

    #[test]
    fn a_new_node_is_started_if_none_exists() {
        assert_eq!(Found::Nothing.decide("c1", "b1"), Decision::Start);
    }

    #[test]
    fn everything_else_is_replaced_and_says_why() {
        let cases = [
            (Found::Remains("processes".to_owned()), "processes"),
            (
                found(|state| state.boot = "b0".to_owned(), &["etcd"], false),
                "restarted",
            ),
            (found(|state| state.phase = Phase::Starting, &[], true), "cut off"),
            (found(|_| (), &["etcd", "kubelet"], false), "etcd, kubelet"),
            (found(|_| (), &[], false), "not ready"),
            (found(|state| state.config = "c0".to_owned(), &[], true), "differ"),
            (
                found(
                    |state| REGISTRY[0].clone_into(&mut state.processes[0].name),
                    &[],
                    true,
                ),
                "emptied",
            ),
        ];
        for (found, reason) in cases {
            let decision = found.decide("c1", "b1");
            assert!(
                matches!(&decision, Decision::Replace(why) if why.contains(reason)),
                "{reason}: {decision:?}"
            );
        }
    }

    #[test]
    fn a_record_is_read_back_as_written_and_a_broken_one_is_an_error() {
        let cache = std::env::temp_dir().join(format!("xtask-state-{}", std::process::id()));
        let layout = Layout::new(&Paths::new(&cache, "/clone"));
        assert_eq!(State::load(&layout).unwrap(), None);
        fs::create_dir_all(layout.state()).unwrap();
        state().save(&layout).unwrap();
        assert_eq!(State::load(&layout).unwrap(), Some(state()));
        fs::write(layout.file("state.json"), "{\"config\":").unwrap();
        assert!(State::load(&layout).is_err());
        fs::remove_dir_all(cache).unwrap();
    }
}
