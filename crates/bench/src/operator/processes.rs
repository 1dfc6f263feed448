//! Label selector -> processor time and memory of the operator's processes (IO).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::load::on_processor;

/// The operator's processes on this machine, by their folders in /proc.
pub(crate) struct Processes(Vec<PathBuf>);

impl Processes {
    /// Those of the operator's pods. Without a selector there are none.
    pub(super) async fn find(client: &Client, selector: &str) -> anyhow::Result<Self> {
        if selector.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let pods = Api::<Pod>::all(client.clone());
        let pods = pods.list(&ListParams::default().labels(selector)).await?;
        let uids: Vec<String> = pods.items.iter().filter_map(ResourceExt::uid).collect();
        // A process that holds the pod's namespaces takes neither processor time nor memory that counts.
        let is_operator = |folder: &PathBuf| {
            let group = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
            let group = group.replace('_', "-");
            uids.iter().any(|uid| group.contains(uid))
        };
        let folders = fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path()));
        let found: Vec<_> = folders.filter(is_operator).collect();
        ensure!(
            !found.is_empty(),
            "the pods with {selector} are not on this machine, so their processor time and memory cannot be measured: run this on their \
         node, or leave both out with --operator ''"
        );
        Ok(Self(found))
    }

    /// Processor time of all operators so far, in milliseconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let each = self.0.iter().map(|process| on_processor(process));
        Ok(each.sum::<anyhow::Result<Duration>>()?.as_secs_f64() * 1e3)
    }

    /// Most memory of an operator since [`Self::forget_peaks`], in MiB.
    pub(crate) fn peak(&self) -> anyhow::Result<Option<f64>> {
        let mut most = None;
        for process in &self.0 {
            let status = fs::read_to_string(process.join("status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let peak = kibibytes.context("no VmHWM")?.parse::<f64>()? / 1024.0;
            most = Some(peak.max(most.unwrap_or_default()));
        }
        Ok(most)
    }

    pub(crate) fn forget_peaks(&self) -> anyhow::Result<()> {
        for process in &self.0 {
            let written = fs::write(process.join("clear_refs"), "5");
            written.context("only root can measure the operator's memory")?;
        }
        Ok(())
    }
}
