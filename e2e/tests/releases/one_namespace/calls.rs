//! The API server's audit log -> calls of a release's accounts, in their namespace only (IO).

use anyhow::ensure;
use e2e::{
    Environment,
    cluster::audit::{Call, Log},
};

/// Kinds of the cluster that the accounts may read.
const READ: [&str; 2] = ["workspacetemplates", "workspacemanagers"];
/// By this the portal asks whether the API server lets it act as others. It is about no object.
const AS_WHOM: &str = "selfsubjectreviews";

/// The calls of the accounts of one release.
pub(super) struct Calls {
    log: Log,
    namespace: String,
    /// Beginning of the accounts' user names.
    users: String,
}

impl Calls {
    /// Calls from now on.
    pub(super) fn begin(namespace: &str) -> anyhow::Result<Self> {
        Ok(Self {
            log: Log::open()?,
            namespace: namespace.to_owned(),
            users: format!(
                "system:serviceaccount:{namespace}:{}-",
                Environment::get()?.release
            ),
        })
    }

    /// None of the calls so far was beyond the namespace, and none was answered with 403.
    pub(super) fn while_installed(&mut self) -> anyhow::Result<()> {
        let calls = self.within()?;
        let reads = calls.iter().filter(|call| is_of_catalog(call)).count();
        ensure!(
            calls.len() > 100 && reads > 0,
            "{} calls, {reads} of them of the catalog",
            calls.len()
        );
        // What a user may not do as whom the portal acts, is that user's affair.
        let forbidden = calls
            .iter()
            .filter(|call| call.code == 403 && call.impersonates.0.is_empty());
        let forbidden: Vec<_> = forbidden.collect();
        ensure!(forbidden.is_empty(), "{forbidden:#?}");
        Ok(())
    }

    /// The same of the uninstall, in which pods end a moment after their rights do.
    pub(super) fn during_uninstall(&mut self) -> anyhow::Result<()> {
        self.within().map(drop)
    }

    /// The calls since the last call of this method, all of which stayed in the namespace.
    fn within(&mut self) -> anyhow::Result<Vec<Call>> {
        let users = self.users.as_str();
        let mut calls = self.log.calls(|line| line.contains(users))?;
        calls.retain(|call| call.user.starts_with(users));
        let beyond = calls.iter().filter(|call| !is_allowed(call, &self.namespace));
        let beyond: Vec<_> = beyond.collect();
        ensure!(beyond.is_empty(), "calls beyond the namespace: {beyond:#?}");
        Ok(calls)
    }
}

/// Whether a call stays in the namespace, reads the catalog, or is about no object (pure).
fn is_allowed(call: &Call, namespace: &str) -> bool {
    let is_discovery = call.resource.starts_with('/') && !call.is_write();
    call.namespace == namespace
        || is_of_catalog(call)
        || is_discovery
        || (call.resource == AS_WHOM && !call.impersonates.0.is_empty())
}

fn is_of_catalog(call: &Call) -> bool {
    call.namespace.is_empty() && !call.is_write() && READ.contains(&call.resource.as_str())
}
