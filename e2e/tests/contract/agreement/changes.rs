//! Workspaces, when they are changed.
//!
//! Only the CRD validates immutable fields, so its results are compared with a table. Webhook and operator only refuse a
//! disk that shrinks. They compare the size with the existing claim (`rules::claims::shrinks`), and here is none.

use api::Workspace;
use kube::api::{Patch, PatchParams};

use super::*;

/// Sizes, and their bytes.
const SIZES: [(&str, u64); 10] = [
    ("1Gi", 1 << 30),
    ("2Gi", 2 << 30),
    ("2048Mi", 2 << 30),
    ("2147483648", 2 << 30),
    ("2G", 2_000_000_000),
    ("3Gi", 3 << 30),
    ("2147483648e0", 2 << 30),
    ("2147483648000m", 2 << 30),
    ("2147483647", (2 << 30) - 1),
    ("2e9", 2_000_000_000),
];

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
                let (size, bytes) = SIZES[chance.below(SIZES.len())];
                may &= bytes >= 2 << 30;
                patched["storage"] = json!({"size": size});
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

/// A disk cannot shrink even by less than the precision of a float.
async fn within_float_precision(scratch: &Scratch) -> anyhow::Result<()> {
    // The webhook, which asks whether there are disks of that size, is not asked.
    let workspaces = Api::<Workspace>::namespaced(unasked().await?, &scratch.namespace);
    let spec = json!({
        "displayName": "x", "desiredStatus": "Stopped", "templateRef": "none-such",
        "storage": {"size": "9007199254740993"},
    });
    let stored = serde_json::from_value(json!({"metadata": {"name": "vast"}, "spec": spec}))?;
    workspaces.create(&PostParams::default(), &stored).await?;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    for (size, may) in [
        ("9007199254740992", false),
        ("9007199254740992999m", false),
        ("9007199254740992e0", false),
        ("9007199254740993", true),
        ("9007199254740993000m", true),
        ("9007199254740993e0", true),
        ("9007199254740994", true),
    ] {
        let patch = Patch::Merge(json!({"spec": {"storage": {"size": size}}}));
        let refused = by_definition(workspaces.patch("vast", &dry, &patch).await)?;
        anyhow::ensure!(refused.is_none() == may, "{size}: {refused:?}");
    }
    Ok(())
}
