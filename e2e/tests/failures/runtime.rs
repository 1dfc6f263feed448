//! Containers that end. How else they can fail is in the tests of `operator::status::assess`.

use api::condition::reason;
use e2e::{
    failures::{Fixture, table},
    row,
};
use serde_json::{Value, json};

use crate::evidence::{ended, ended_for_memory};

fn runs(code: &str) -> Value {
    json!({"containerConfig": {"command": ["python3", "-c", code]}})
}

/// Without a command of its own it is the echo server again.
fn repaired() -> Value {
    json!({"containerConfig": null})
}

async fn exit_code(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.may_also_report(reason::CRASH_LOOPING);
    // It ends once for some seconds: a kubelet that is busy may show the second end first of one that ends at once. Portal and plugin are
    // read in between, too.
    fixture
        .create(runs(
            "import sys, time; time.sleep(15); open('/dev/termination-log', 'w').write('a\\nModuleNotFoundError: x'); sys.exit(3)",
        ))
        .await?;
    fixture
        .reports(
            reason::CONTAINER_EXITED,
            &["exit code 3", "Its last line: \"ModuleNotFoundError: x\"."],
            ended(),
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

async fn out_of_memory(fixture: &Fixture) -> anyhow::Result<()> {
    // containerd learns of a lack of memory by another way than of the end, and may be told of the end first: then the kubelet calls one end
    // an error with exit code 137.
    fixture.may_also_report(reason::CONTAINER_EXITED);
    let mut spec = runs("x = b'x' * 10**9");
    let memory = |limit: &str| json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": limit}});
    spec["resources"] = memory("64Mi");
    fixture.create(spec).await?;
    fixture
        .reports(
            reason::OOM_KILLED,
            &["limit of 64Mi", "spec.resources.limits.memory"],
            ended_for_memory(),
        )
        .await?;
    let mut repaired = repaired();
    repaired["resources"] = memory("128Mi");
    fixture.restart_with(repaired).await?;
    fixture.recovered().await
}

#[tokio::test]
async fn failing_containers_are_reported_with_their_reason() -> anyhow::Result<()> {
    table("runtime", [row!(exit_code), row!(out_of_memory)]).await
}
