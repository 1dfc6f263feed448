//! Shares, at their creation.

use api::WorkspaceShare;

use super::*;

pub(super) async fn agree(scratch: &Scratch) -> anyhow::Result<()> {
    let client = cluster::admin().await?;
    let resource = ApiResource::erase::<WorkspaceShare>(&());
    let api = Api::namespaced_with(unasked().await?, &scratch.namespace, &resource);
    let mut chance = Chance::new(0x5eed_0003);
    let kinds = ["User", "Group", "ServiceAccount"].map(Value::from);
    let names = [
        "bob",
        "ml",
        "system:masters",
        "system:authenticated",
        "system:serviceaccounts",
        "system:serviceaccounts:ci",
        "system:serviceaccounts:",
        "system:serviceaccounts:a:b",
    ]
    .map(Value::from);
    let all = cases(50)?;
    let mut objects = Vec::new();
    for _ in 0..all {
        let subjects: Vec<_> = (0..chance.below(3))
            .map(|_| {
                let kind = chance.of(&kinds).clone();
                // Names of service accounts are checked more closely by the webhook.
                let name = if kind == "ServiceAccount" {
                    json!("bot")
                } else {
                    chance.of(&names).clone()
                };
                let mut subject = json!({"kind": kind, "name": name});
                if chance.below(3) == 0 || (kind == "ServiceAccount" && chance.below(4) > 0) {
                    subject["namespace"] = json!("ci");
                }
                subject
            })
            .collect();
        let spec = json!({"workspaceRef": "missing-lab", "subjects": subjects});
        let object = json!({"metadata": {"name": "agreement", "namespace": scratch.namespace}, "spec": spec});
        objects.push(object);
    }
    let admitted = all_agree::<WorkspaceShare>(&api, &client, objects).await?;
    both_came_up(admitted, all)
}
