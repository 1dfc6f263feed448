//! Workspaces, when they are changed.

use api::Workspace;
use kube::api::{Patch, PatchParams};

use super::*;

/// Sizes, and their bytes.
const SIZES: [(&str, u64); 6] = [
    ("1Gi", 1 << 30),
    ("2Gi", 2 << 30),
    ("2048Mi", 2 << 30),
    ("2147483648", 2 << 30),
    ("2G", 2_000_000_000),
    ("3Gi", 3 << 30),
];

#[tokio::test]
async fn changes_are_refused_exactly_where_something_must_not_change() -> anyhow::Result<()> {
    let scratch = Scratch::new("agreement", &[]).await?;
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
    let mut chance = Chance(0x5eed_0004);
    let all = 100;
    let mut changes = Vec::new();
    for _ in 0..all {
        let mut patched = json!({"displayName": "y"});
        let mut may = true;
        if chance.below(3) == 0 {
            let template = chance
                .of(&[json!("none-such"), json!("other"), Value::Null])
                .clone();
            may &= template == "none-such";
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
    both_came_up(admitted, all);
    scratch.finish().await
}
