//! Workspace, path and assertions -> status of its pod's answer, past proxy and gateway (IO).

use api::{Workspace, names};
use kube::{Client, ResourceExt as _, client::Body};

use crate::{cluster, objects::workspace};

/// A pod at its own address, reached through the API server and its node, with no part of ours in between.
pub struct Direct {
    client: Client,
    at: String,
}

impl Direct {
    /// The pod of a running workspace.
    ///
    /// # Errors
    /// It has none.
    pub async fn of(workspace: &Workspace) -> anyhow::Result<Self> {
        let pod = workspace::pod(workspace)?;
        let namespace = workspace.namespace().unwrap_or_default();
        Ok(Self {
            client: cluster::admin().await?,
            at: format!("/api/v1/namespaces/{namespace}/pods/{pod}:8888/proxy/"),
        })
    }

    /// Requests a path with these assertions, one header each.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(&self, path: &str, assertions: &[&str]) -> anyhow::Result<u16> {
        let mut request = http::Request::get(format!("{}{path}", self.at));
        for assertion in assertions {
            request = request.header(names::ASSERTION_HEADER, *assertion);
        }
        let answer = self.client.send(request.body(Body::empty())?).await?;
        Ok(answer.status().as_u16())
    }
}
