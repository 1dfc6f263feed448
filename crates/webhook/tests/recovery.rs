//! Recovery: refused where the recovery image would be open to all, or the template does not allow it.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

fn webhook(authentication: &Value, allow_recovery: bool) -> Webhook {
    let mut template = testkit::objects::template("prod");
    template.spec.allow_recovery = allow_recovery;
    let mut manager = testkit::objects::manager("main");
    manager.spec.authentication = serde_json::from_value(authentication.clone()).unwrap();
    Cluster {
        managers: vec![manager],
        ..Cluster::with(template)
    }
    .webhook()
}

#[tokio::test]
async fn recovery_is_refused_where_its_image_would_be_open_or_the_template_forbids_it() {
    let forward = json!({"forwardAuth": {"address": "http://auth.team.svc/verify"}});
    for (authentication, allow_recovery, why) in [
        (json!({"gateway": {}}), true, None),
        (forward, true, None),
        (
            json!({"application": {}}),
            true,
            Some("whose authentication is application"),
        ),
        (json!({"none": {}}), true, Some("whose authentication is none")),
        (json!({"gateway": {}}), false, Some("allowRecovery is false")),
    ] {
        let webhook = webhook(&authentication, allow_recovery);
        let of = |in_recovery: bool| {
            workspace(json!({"templateRef": "prod", "storage": {"size": "1Gi"}, "recoveryMode": in_recovery}))
        };
        let normal = webhook.validate_create("alice", &of(false)).await;
        assert!(normal.allowed, "{authentication}: {normal:?}");
        for answer in [
            webhook.validate_create("alice", &of(true)).await,
            webhook.validate_update("alice", &of(false), &of(true)).await,
        ] {
            assert_eq!(answer.allowed, why.is_none(), "{authentication}: {answer:?}");
            let Some(why) = why else { continue };
            let field = answer.message.starts_with("spec.recoveryMode: ");
            assert!(field && answer.message.contains(why), "{answer:?}");
        }
    }
}
