//! API server's audit log -> number of calls by verb and kind (IO).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

/// Verb and resource, such as `patch workspaces/status` -> number of calls.
pub(in crate::bench) type Calls = BTreeMap<String, usize>;

/// The audit log, which is read further from the position of the last reading.
#[derive(Debug)]
pub(in crate::bench) struct Log {
    path: PathBuf,
    /// The user whose calls are counted.
    user: String,
    read: u64,
}

impl Log {
    pub(in crate::bench) fn new(path: PathBuf, user: &str) -> Self {
        Self {
            path,
            user: user.to_owned(),
            read: 0,
        }
    }

    /// Counts the calls since the last reading.
    pub(in crate::bench) fn calls(&mut self) -> anyhow::Result<Calls> {
        let mut calls = Calls::new();
        if fs::metadata(&self.path)?.len() < self.read {
            // The API server started a new file.
            self.read = 0;
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.read += line.len() as u64;
            if let Some(call) = call(&line, &self.user) {
                *calls.entry(call).or_default() += 1;
            }
            line.clear();
        }
        Ok(calls)
    }
}

/// Adds later counts to earlier ones.
pub(super) fn add(calls: &mut Calls, later: Calls) {
    for (call, number) in later {
        *calls.entry(call).or_default() += number;
    }
}

/// Verb and resource of a call of that user, with the status of a failure. A watch counts when it begins.
fn call(line: &str, user: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event["user"]["username"] != user {
        return None;
    }
    let verb = event["verb"].as_str()?;
    let stage = event["stage"].as_str()?;
    if (verb == "watch") != (stage == "ResponseStarted") {
        return None;
    }
    let target = &event["objectRef"];
    let resource = target["resource"]
        .as_str()
        .unwrap_or_else(|| event["requestURI"].as_str().unwrap_or_default());
    let mut text = format!("{verb} {resource}");
    if let Some(sub) = target["subresource"].as_str() {
        text = format!("{text}/{sub}");
    }
    match event["responseStatus"]["code"].as_u64() {
        Some(code) if code >= 300 => Some(format!("{text} -> {code}")),
        _ => Some(text),
    }
}

/// Calls that an installation without changes may make: it renews leases, and restarts watches.
pub(in crate::bench) fn is_upkeep(call: &str) -> bool {
    call.starts_with("watch ") || call.contains(" leases")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_described_by_verb_kind_and_failure() {
        let line = |verb: &str, stage: &str, code: u32| {
            let target = r#"{"resource":"workspaces","subresource":"status"}"#;
            format!(
                r#"{{"user":{{"username":"operator"}},"verb":"{verb}","stage":"{stage}","objectRef":{target},"responseStatus":{{"code":{code}}}}}"#
            )
        };
        let status = |verb, stage, code| call(&line(verb, stage, code), "operator");
        assert_eq!(
            status("patch", "ResponseComplete", 200).as_deref(),
            Some("patch workspaces/status")
        );
        assert_eq!(
            status("patch", "ResponseComplete", 409).as_deref(),
            Some("patch workspaces/status -> 409")
        );
        assert_eq!(status("watch", "ResponseComplete", 200), None);
        assert_eq!(
            call(&line("patch", "ResponseComplete", 200), "another user"),
            None
        );
        assert!(is_upkeep(&status("watch", "ResponseStarted", 200).unwrap()));
        assert!(is_upkeep("update leases") && !is_upkeep("get pods"));
    }
}
