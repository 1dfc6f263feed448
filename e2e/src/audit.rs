//! the API server's audit log -> which calls a component made about a namespace (IO).

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

use anyhow::Context as _;
use serde_json::Value;

use crate::Environment;

/// The log, from the moment it was opened on.
pub struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the cluster's log cannot be read from here.
    pub fn open() -> anyhow::Result<Self> {
        let path = Environment::get()?.audit_log.clone();
        let path = path.context("the API server's audit log can be read on the local node only")?;
        let from = std::fs::metadata(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        Ok(Self { path, from })
    }

    /// What `component` of the product has called since then about objects in `namespace`, as `verb resource/subresource`;
    /// neither watches nor leases.
    pub fn calls(&self, component: &str, namespace: &str) -> anyhow::Result<Vec<String>> {
        let environment = Environment::get()?;
        let user = format!(
            "system:serviceaccount:{}:{}-{component}",
            environment.system_namespace, environment.release
        );
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        anyhow::ensure!(
            length >= self.from,
            "the audit log was begun anew; run the test again"
        );
        file.seek(SeekFrom::Start(self.from))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let calls = text.lines().filter_map(|line| call(line, &user, namespace));
        Ok(calls.collect())
    }
}

/// The call in one line, if `user` made it and it is about `namespace` (pure).
fn call(line: &str, user: &str, namespace: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let target = &event["objectRef"];
    let (verb, resource) = (event["verb"].as_str()?, target["resource"].as_str()?);
    let wanted = event["user"]["username"] == user
        && target["namespace"] == namespace
        && event["stage"] == "ResponseComplete";
    let upkeep = verb == "watch" || resource == "leases";
    let sub = target["subresource"].as_str();
    (wanted && !upkeep).then(|| {
        sub.map_or_else(
            || format!("{verb} {resource}"),
            |sub| format!("{verb} {resource}/{sub}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_of_one_user_and_namespace_without_watches_and_leases() {
        let line = |verb: &str, resource: &str, user: &str, namespace: &str| {
            format!(
                r#"{{"stage":"ResponseComplete","verb":"{verb}","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}","namespace":"{namespace}"}}}}"#
            )
        };
        let told = |text: String| call(&text, "operator", "team");
        assert_eq!(
            told(line("get", "pods", "operator", "team")).as_deref(),
            Some("get pods")
        );
        assert_eq!(told(line("get", "pods", "webhook", "team")), None);
        assert_eq!(told(line("get", "pods", "operator", "other")), None);
        assert_eq!(told(line("watch", "pods", "operator", "team")), None);
        assert_eq!(told(line("update", "leases", "operator", "team")), None);
    }
}
