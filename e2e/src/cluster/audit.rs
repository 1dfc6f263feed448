//! Audit log of the API server -> calls with user and time (IO).

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::Environment;

/// What addresses of pods of the local cluster begin with.
const POD_NETWORK: &str = "10.244.";

/// The log, read from its end at the time of opening.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    reader: BufReader<File>,
    line: String,
}

/// A call that was answered, or a watch that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// User name of the caller.
    pub user: String,
    /// User name of whom the caller impersonates, and the rule by which it may, such as `impersonate:user-info`; empty if there is none.
    pub impersonates: (String, String),
    /// The pod of the caller, if its token names one.
    pub pod: Option<String>,
    /// Verb, such as `patch`.
    pub verb: String,
    /// Resource, such as `workspaces/status`; the path if the call is about no object.
    pub resource: String,
    /// Namespace of the object; empty if it has none.
    pub namespace: String,
    /// Name of the object; empty if the API server chose it, or if the call is about several objects.
    pub name: String,
    /// Status code of the answer.
    pub code: u64,
    /// Whether the authorizers refused the call. Admission refuses with the same status code.
    pub is_forbidden: bool,
    /// Whether the call came from the network of pods, and not from the node or the tests.
    pub is_from_pod: bool,
    /// Time at which the API server received the call.
    pub received: Timestamp,
    /// Time at which the API server had answered.
    pub answered: Timestamp,
}

impl Log {
    /// Starts to read at the current end of the log.
    ///
    /// # Errors
    /// The cluster's log cannot be read from here.
    pub fn open() -> anyhow::Result<Self> {
        let path = Environment::get()?.audit_log.clone();
        Self::of(path.context("the API server's audit log can be read on the local node only")?)
    }

    fn of(path: PathBuf) -> anyhow::Result<Self> {
        let mut file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            path,
            reader: BufReader::new(file),
            line: String::new(),
        })
    }

    /// The calls since the last call of this method, from lines that are `wanted`.
    /// In a busy cluster, most lines are irrelevant and not worth parsing.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn calls(&mut self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Call>> {
        let mut calls = Vec::new();
        self.lines(wanted, |line| calls.extend(call(line)))?;
        Ok(calls)
    }

    /// Like [`Self::calls`], with everything that the log holds of answered calls.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn events(&mut self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Value>> {
        let mut events = Vec::new();
        self.lines(wanted, |line| {
            let event = serde_json::from_str::<Value>(line).ok();
            events.extend(event.filter(|event| event["stage"] == "ResponseComplete"));
        })?;
        Ok(events)
    }

    fn lines(&mut self, wanted: impl Fn(&str) -> bool, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
        loop {
            // This check comes first: all lines before the rotation are then in the current file.
            let next = self.next()?;
            while self.reader.read_line(&mut self.line)? > 0 && self.line.ends_with('\n') {
                if wanted(&self.line) {
                    each(&self.line);
                }
                self.line.clear();
            }
            match next {
                Some(next) => self.reader = BufReader::new(next),
                None => return Ok(()),
            }
        }
    }

    /// The new file after a log rotation: a full log is moved aside.
    fn next(&self) -> anyhow::Result<Option<File>> {
        // During the rotation there is briefly no file.
        let Ok(file) = File::open(&self.path) else {
            return Ok(None);
        };
        let same = file.metadata()?.ino() == self.reader.get_ref().metadata()?.ino();
        Ok((!same).then_some(file))
    }
}

impl Call {
    /// Whether the call writes, or would write.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    /// Whether the call succeeded.
    pub fn is_done(&self) -> bool {
        self.code < 300
    }

    /// The call as `verb resource/subresource`.
    pub fn what(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

/// Calls `each` with every call in the log since the start of the API server, from lines that are `wanted`, in files that the API server
/// has moved aside, too.
///
/// # Errors
/// The cluster's log cannot be read from here.
pub fn whole(wanted: impl Fn(&str) -> bool, mut each: impl FnMut(Call)) -> anyhow::Result<()> {
    let path = Environment::get()?.audit_log.clone();
    let path = path.context("the API server's audit log can be read on the local node only")?;
    let folder = path.parent().context("the audit log has no folder")?;
    for file in std::fs::read_dir(folder)? {
        let file = file?.path();
        let reader =
            BufReader::new(File::open(&file).with_context(|| format!("cannot read {}", file.display()))?);
        for line in reader.lines() {
            let line = line?;
            if wanted(&line) {
                call(&line).into_iter().for_each(&mut each);
            }
        }
    }
    Ok(())
}

/// The user name of a component of the product at the API server.
///
/// # Errors
/// The installation is unknown.
pub fn user_of(component: &str) -> anyhow::Result<String> {
    let environment = Environment::get()?;
    Ok(format!(
        "system:serviceaccount:{}:{}-{component}",
        environment.system_namespace, environment.release
    ))
}

/// Parses a line of the log (pure).
fn call(line: &str) -> Option<Call> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event["stage"] != "ResponseComplete" {
        return None;
    }
    let (target, user) = (&event["objectRef"], &event["user"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = match (target["resource"].as_str(), target["subresource"].as_str()) {
        (Some(resource), Some(sub)) => format!("{resource}/{sub}"),
        (Some(resource), None) => resource.to_owned(),
        (None, _) => text(&event["requestURI"]),
    };
    Some(Call {
        user: text(&user["username"]),
        impersonates: (
            text(&event["impersonatedUser"]["username"]),
            text(&event["authenticationMetadata"]["impersonationConstraint"]),
        ),
        pod: user["extra"]["authentication.kubernetes.io/pod-name"][0]
            .as_str()
            .map(str::to_owned),
        verb: text(&event["verb"]),
        resource,
        namespace: text(&target["namespace"]),
        name: text(&target["name"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        is_forbidden: event["annotations"]["authorization.k8s.io/decision"] == "forbid",
        is_from_pod: event["sourceIPs"][0]
            .as_str()
            .is_some_and(|ip| ip.starts_with(POD_NETWORK)),
        received: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
        answered: event["stageTimestamp"].as_str()?.parse().ok()?,
    })
}
