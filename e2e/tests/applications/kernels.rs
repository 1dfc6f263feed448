//! Kernels of the images for data, as any user of the pod.

use anyhow::{Context as _, ensure};
use api::workspace::Phase;
use e2e::{cluster::Scratch, http::HttpSession, jupyter::kernel, objects::workspace};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::{create, delete_temporary_files};

/// A user whom no image knows, as platforms choose them.
const ASSIGNED: i64 = 1_000_650_000;
/// Each library does something, and one draws.
const SCIENCE: &str = "
import io, os
import dask.array, ipywidgets, numpy, pandas, scipy.stats, sklearn.linear_model
import matplotlib.pyplot as plt
plt.plot([1, 2])
image = io.BytesIO()
plt.savefig(image, format='png')
plt.close('all')
frame = pandas.DataFrame({'x': numpy.arange(4), 'y': [1, 3, 5, 7]})
slope = sklearn.linear_model.LinearRegression().fit(frame[['x']], frame['y']).coef_[0]
middle = scipy.stats.norm.cdf(0)
ones = dask.array.ones((10, 10)).sum().compute()
[image.getvalue()[1:4] == b'PNG', round(float(slope), 6), float(middle), int(ones), ipywidgets.IntSlider().value, os.getuid()]";

#[tokio::test]
async fn each_image_runs_what_its_name_promises() -> anyhow::Result<()> {
    let scratch = Scratch::new("images", &["alice"]).await?;
    // The namespace enforces Pod Security `restricted`.
    // The templates leave users of pods to the installation, so those of others have none.
    let assigned = |image: &str| {
        json!({
            "templateRef": null,
            "image": image,
            "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
            "podSecurityContext": {"runAsUser": ASSIGNED, "runAsGroup": 0, "fsGroup": ASSIGNED},
        })
    };
    let (science, r) = ("jupyterlab-scientific", "jupyterlab-r");
    let all = [
        ("science", science, json!({}), 1000),
        ("other", science, assigned("scientific"), ASSIGNED),
        ("r", r, json!({}), 1000),
        ("other-r", r, assigned("r"), ASSIGNED),
    ];
    // One after the other: together they need more memory than a small node has.
    for (name, template, rest, user) in &all {
        create(&scratch, name, template, rest).await?;
        let workspaces = scratch.api();
        let running = workspace::reached(&workspaces, name, Phase::Running).await?;
        let pod = workspace::pod(&running)?;
        has_a_read_only_root(&scratch, &pod).await?;
        let url = workspace::url(&running)?;
        let alice = HttpSession::new()?;
        alice.enter(&url, "alice").await?;
        if *template == r {
            let sum = kernel::compute_in(&alice, &url, "ir", "sum(1:6) * 2").await?;
            ensure!(sum == "[1] 42", "{name}: {sum}");
            let plot = kernel::compute_in(&alice, &url, "ir", "plot(1:3)").await?;
            ensure!(plot.to_lowercase().contains("plot"), "{name}: {plot}");
        } else {
            let results = kernel::compute(&alice, &url, SCIENCE).await?;
            ensure!(
                results == format!("[True, 2.0, 0.5, 100, 0, {user}]"),
                "{name}: {results}"
            );
        }
        delete_temporary_files(&scratch, &pod).await?;
        // It loads the page, and starts a kernel.
        let language = if *template == r { "ir" } else { "python3" };
        let product = kernel::compute_in(&alice, &url, language, "6 * 7").await?;
        ensure!(product.ends_with("42"), "{name}: {product}");
        workspace::delete(&workspaces, name).await?;
    }
    scratch.finish().await
}

async fn has_a_read_only_root(scratch: &Scratch, pod: &str) -> anyhow::Result<()> {
    let pod = scratch.api::<Pod>().get(pod).await?;
    let containers = pod.spec.context("no spec")?.containers;
    let read_only = containers.iter().all(|container| {
        let context = container.security_context.as_ref();
        context.and_then(|context| context.read_only_root_filesystem) == Some(true)
    });
    ensure!(read_only, "{containers:?}");
    Ok(())
}
