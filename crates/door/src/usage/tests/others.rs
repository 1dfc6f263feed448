//! A trace -> the times of use that the rules of others see (pure).
//!
//! Each rule has the source that it was written from. It stops a workspace once the time that is set for it has passed since the last of them;
//! at first, since the start.

use std::collections::HashSet;

use super::trace::{Trace, What};

/// A rule of another product.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// What counts as use, and where that is written.
    pub(super) about: &'static str,
    /// Times of use.
    pub(super) uses: fn(&Trace) -> Vec<f64>,
}

pub(super) const RULES: [Rule; 5] = [
    Rule {
        name: "z2jh",
        about: "JupyterHub's `last_activity`: each request and all data of clients through configurable-http-proxy, pongs too, and what \
                Jupyter itself tells ([idle culler](https://github.com/jupyterhub/jupyterhub-idle-culler/blob/main/README.md#how-it-works), \
                [proxy](https://github.com/jupyterhub/configurable-http-proxy/blob/main/lib/configproxy.js), `updateLastActivity`)",
        uses: z2jh,
    },
    Rule {
        name: "Kubeflow v1",
        about: "a kernel that is not idle, and the last activity of kernels; what has no `/api/kernels` is never used \
                ([culling_controller.go](https://github.com/kubeflow/notebooks/blob/notebooks-v1/components/notebook-controller/controllers/culling_controller.go), \
                `updateNotebookLastActivityAnnotation`)",
        uses: kubeflow_v1,
    },
    Rule {
        name: "Kubeflow v2",
        about: "`last_activity` of Jupyter's `/api/status`; a probe that fails stops nothing \
                ([culling_controller.go](https://github.com/kubeflow/notebooks/blob/notebooks-v2/workspaces/controller/internal/controller/culling_controller.go))",
        uses: kubeflow_v2,
    },
    Rule {
        name: "Coder",
        about: "an open connection of VS Code; web applications such as JupyterLab move no deadline \
                ([activity detection](https://coder.com/docs/user-guides/workspace-scheduling#activity-detection))",
        uses: coder,
    },
    Rule {
        name: "Amalthea",
        about: "at least 300m of a processor \
                ([status.go](https://github.com/SwissDataScienceCenter/amalthea/blob/main/internal/controller/status.go), `getIdleState`; \
                `cpuIdleThreshold`)",
        uses: amalthea,
    },
];

fn z2jh(trace: &Trace) -> Vec<f64> {
    let uses = trace.events.iter().filter_map(|event| match &event.what {
        What::Request { .. } | What::Frame { .. } | What::Control => Some(event.at),
        // code-server tells the hub nothing.
        What::Told(state) => state.kernels.as_ref().map(|_| state.server),
        What::Close { .. } => None,
    });
    uses.collect()
}

fn kubeflow_v1(trace: &Trace) -> Vec<f64> {
    let uses = trace.events.iter().filter_map(|event| match &event.what {
        What::Told(state) => {
            let kernels = state.kernels.iter().flatten();
            kernels
                .map(|&(idle, last)| if idle { last } else { event.at })
                .max_by(f64::total_cmp)
        }
        _ => None,
    });
    uses.collect()
}

fn kubeflow_v2(trace: &Trace) -> Vec<f64> {
    if is_code(trace) {
        // Its probe of Jupyter always fails.
        return (0..=24).map(|hour| f64::from(hour) * 3600.0).collect();
    }
    let uses = trace.events.iter().filter_map(|event| match &event.what {
        What::Told(state) => Some(state.server),
        _ => None,
    });
    uses.collect()
}

fn coder(trace: &Trace) -> Vec<f64> {
    let mut open = HashSet::new();
    let mut uses = Vec::new();
    if !is_code(trace) {
        return uses;
    }
    for event in &trace.events {
        if !open.is_empty() {
            uses.push(event.at);
        }
        match &event.what {
            What::Request { socket, .. } => open.extend(*socket),
            What::Close { socket } => drop(open.remove(socket)),
            _ => {}
        }
    }
    uses
}

fn amalthea(trace: &Trace) -> Vec<f64> {
    let uses = trace.events.iter().filter_map(|event| match &event.what {
        What::Told(state) if state.cores >= 0.3 => Some(event.at),
        _ => None,
    });
    uses.collect()
}

fn is_code(trace: &Trace) -> bool {
    trace
        .events
        .iter()
        .any(|event| matches!(&event.what, What::Told(state) if state.kernels.is_none()))
}
