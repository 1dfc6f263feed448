//! Templates, at their creation.

use api::WorkspaceTemplate;

use super::{
    idle::{idle_shutdown, limits, minutes},
    *,
};

pub(super) async fn agree() -> anyhow::Result<()> {
    agree_on_fields().await?;
    agree_on_idle_and_start_limits().await?;
    agree_on_amounts_beyond_float_precision().await
}

/// Has so many templates judged, whose specs this makes.
async fn agree_on(usual: u64, all: usize, spec: impl Fn(&mut Chance) -> Value) -> anyhow::Result<()> {
    let client = cluster::admin().await?;
    let api = Api::all_with(unasked().await?, &ApiResource::erase::<WorkspaceTemplate>(&()));
    let mut chance = Chance::new(usual);
    let object = |_| json!({"metadata": {"name": "e2e-agreement"}, "spec": spec(&mut chance)});
    let objects = (0..all).map(object).collect();
    let admitted = all_agree::<WorkspaceTemplate>(&api, &client, objects).await?;
    both_came_up(admitted, all)
}

async fn agree_on_fields() -> anyhow::Result<()> {
    let cpu = ["500m", "0.5", "1", "1000m", "1500m", "2", "2e0"]
        .map(Value::from)
        .to_vec();
    let memory = ["512Mi", "0.5Gi", "1G", "1Gi", "1073741824", "2Gi"]
        .map(Value::from)
        .to_vec();
    let gpus = vec![json!(0), json!(1), json!("2")];
    agree_on(0x5eed_0001, cases(50)?, |chance| {
        let mut spec = chance.object(&[
            (
                "allowedImages",
                vec![json!(["a"]), json!(["b"]), json!(["a", "b"]), json!([])],
            ),
            ("allowCustomImages", vec![json!(true), json!(false)]),
            (
                "defaultPort",
                vec![json!(1023), json!(1024), json!(65535), json!(65536)],
            ),
        ]);
        spec["displayName"] = json!("Agreement");
        spec["defaultImage"] = json!("a");
        if chance.below(2) == 0 {
            let range = |chance: &mut Chance, values: &Vec<Value>| {
                chance.object(&[("min", values[..3].to_vec()), ("max", values.clone())])
            };
            let bounds = [range(chance, &cpu), range(chance, &memory), range(chance, &gpus)];
            let [cpu_range, memory_range, gpu_range] = bounds;
            let of_memory = range(chance, &memory);
            let named = chance.object(&[("memory", vec![of_memory])]);
            // Two bounds on one resource that exclude each other only the webhook sees.
            let named = if memory_range == json!({}) {
                named
            } else {
                json!({})
            };
            spec["resourceBounds"] =
                json!({"cpu": cpu_range, "memory": memory_range, "gpu": gpu_range, "resources": named});
        }
        if chance.below(2) == 0 {
            let gpu = chance.of(&gpus).clone();
            let amounts = |chance: &mut Chance| {
                let mut map = chance.object(&[("cpu", cpu.clone()), ("memory", memory.clone())]);
                map["nvidia.com/gpu"] = gpu.clone();
                map
            };
            spec["defaultResources"] = json!({"requests": amounts(chance), "limits": amounts(chance)});
        }
        spec["primaryStorage"] = chance.object(&[
            ("minSize", vec![json!("1Gi"), json!("2Gi")]),
            ("maxSize", vec![json!("1G"), json!("2Gi"), json!("4Gi")]),
            ("defaultSize", vec![json!("1Gi"), json!("3Gi"), json!("5Gi")]),
        ]);
        spec
    })
    .await
}

async fn agree_on_idle_and_start_limits() -> anyhow::Result<()> {
    agree_on(0x5eed_000c, cases(100)?, |chance| {
        let mut spec = json!({"displayName": "Agreement", "defaultImage": "a"});
        if chance.below(3) > 0 {
            spec["defaultIdleShutdown"] = idle_shutdown(chance);
        }
        if chance.below(3) > 0 {
            spec["idleShutdownOverrides"] = chance.object(&[
                ("allow", vec![json!(true), json!(false)]),
                ("minIdleTimeoutInMinutes", minutes()),
                ("maxIdleTimeoutInMinutes", minutes()),
            ]);
        }
        if chance.below(3) > 0 {
            spec["defaultLimits"] = limits(chance);
        }
        if chance.below(3) > 0 {
            let range = chance.object(&[("min", minutes()), ("max", minutes())]);
            spec["limitBounds"] = chance.object(&[("startTimeoutMinutes", vec![range])]);
        }
        spec
    })
    .await
}

/// Equal amounts in all notations, and adjacent amounts that are equal as floats.
async fn agree_on_amounts_beyond_float_precision() -> anyhow::Result<()> {
    let cpu = [
        "1k",
        "1e3",
        "1E3",
        "1000",
        "1000000m",
        "999999m",
        "999.999",
        "1000.001",
        "1000001e-3",
    ]
    .map(Value::from)
    .to_vec();
    // All within 1Pi: beyond it the webhook alone asks whether there is as much.
    let bytes = [
        "1Pi",
        "1024Ti",
        "1125899906842624",
        "1125899906842624e0",
        "1125899906842623.002",
        "1125899906842623002m",
        "1125899906842623.001",
        "1125899906842623001000u",
        "1125899906842623001e-3",
    ]
    .map(Value::from)
    .to_vec();
    let range = |chance: &mut Chance, values: &Vec<Value>| {
        chance.object(&[("min", values.clone()), ("max", values.clone())])
    };
    agree_on(0x5eed_000d, cases(80)?, |chance| {
        let mut spec = json!({"displayName": "Agreement", "defaultImage": "a"});
        if chance.below(2) == 0 {
            let (of_cpu, of_memory) = (range(chance, &cpu), range(chance, &bytes));
            spec["resourceBounds"] = json!({"cpu": of_cpu, "memory": of_memory});
        }
        if chance.below(2) == 0 {
            let amounts = [("cpu", cpu.clone()), ("memory", bytes.clone())];
            spec["defaultResources"] =
                json!({"requests": chance.object(&amounts), "limits": chance.object(&amounts)});
        }
        if chance.below(2) == 0 {
            spec["primaryStorage"] = chance.object(&[
                ("minSize", bytes.clone()),
                ("maxSize", bytes.clone()),
                ("defaultSize", bytes.clone()),
            ]);
        }
        spec
    })
    .await
}
