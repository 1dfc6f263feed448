//! Workspaces, when they are changed.
//!
//! Only the CRD validates immutable fields, so its results are compared with a table. Webhook and operator only refuse a
//! disk that shrinks. They compare the size with the existing claim (`rules::claims::shrinks`).

use api::Workspace;
use e2e::wait;
use kube::api::{Patch, PatchParams};

use super::*;

/// Sizes: without a disk, all of them may be.
const SIZES: [&str; 5] = ["1Gi", "2Gi", "2G", "3Gi", "2147483648000m"];

/// Exactly changes of immutable fields are refused.
pub(super) async fn agree(scratch: &Scratch) -> anyhow::Result<()> {
    Box::pin(of_chance(scratch)).await?;
    Box::pin(within_float_precision(scratch)).await
}

async fn of_chance(scratch: &Scratch) -> anyhow::Result<()> {
    let workspaces: Api<Workspace> = scratch.api();
    let spec = json!({
        "displayName": "x", "desiredStatus": "Stopped", "templateRef": "none-such",
        "storage": {"size": "2Gi", "storageClassName": "fast"},
    });
    let stored = serde_json::from_value(json!({"metadata": {"name": "fixed"}, "spec": spec}))?;
    workspaces.create(&PostParams::default(), &stored).await?;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let mut chance = Chance::new(0x5eed_0004);
    let all = cases(50)?;
    let mut changes = Vec::new();
    for _ in 0..all {
        let mut patched = json!({"displayName": "y"});
        let mut may = true;
        if chance.below(3) == 0 {
            let template = chance
                .of(&[json!("none-such"), json!("other"), Value::Null])
                .clone();
            // A change that leaves it out keeps it.
            may &= template != "other";
            patched["templateRef"] = template;
        }
        match chance.below(4) {
            0 => {
                may = false;
                patched["storage"] = Value::Null;
            }
            1 => {
                let class = chance.of(&[json!("fast"), json!("slow"), Value::Null]).clone();
                may &= class == "fast";
                patched["storage"] = json!({"storageClassName": class});
            }
            2 => {
                patched["storage"] = json!({"size": SIZES[chance.below(SIZES.len())]});
            }
            _ => {}
        }
        changes.push((patched, may));
    }
    let admitted = changes.iter().filter(|(_, may)| *may).count();
    let (workspaces, dry) = (&workspaces, &dry);
    let judged = stream::iter(changes).map(|(patched, may)| async move {
        let patch = Patch::Merge(json!({"spec": patched}));
        let refused = by_definition(workspaces.patch("fixed", dry, &patch).await)?;
        anyhow::ensure!(refused.is_none() == may, "{patched}: {refused:?}");
        Ok(())
    });
    let _: Vec<()> = judged.buffer_unordered(AT_ONCE).try_collect().await?;
    both_came_up(admitted, all)
}

/// A disk cannot shrink even by less than the precision of a float, which is an eighth of a byte just below the largest size.
async fn within_float_precision(scratch: &Scratch) -> anyhow::Result<()> {
    let workspaces: Api<Workspace> = scratch.api();
    // Its claim waits for a volume that nothing creates.
    let spec = json!({
        "displayName": "x", "desiredStatus": "Stopped",
        "storage": {"size": "1125899906842000", "storageClassName": "none-such"},
    });
    let stored = serde_json::from_value(json!({"metadata": {"name": "vast"}, "spec": spec}))?;
    workspaces.create(&PostParams::default(), &stored).await?;
    wait::until("the disk in the status", wait::USUAL, || async {
        let now = workspaces.get("vast").await.map_err(|error| error.to_string())?;
        let disk = now.status.and_then(|status| status.disk?.size);
        disk.map(drop).ok_or_else(|| "none".to_owned())
    })
    .await?;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    for (size, may) in [
        ("1125899906841999", false),
        ("1125899906841999999m", false),
        ("1125899906841999e0", false),
        ("1125899906842000", true),
        ("1125899906842000000m", true),
        ("1125899906842000e0", true),
        ("1125899906842001", true),
    ] {
        let patch = Patch::Merge(json!({"spec": {"storage": {"size": size}}}));
        let refused = by_definition(workspaces.patch("vast", &dry, &patch).await)?;
        anyhow::ensure!(refused.is_none() == may, "{size}: {refused:?}");
    }
    Ok(())
}
