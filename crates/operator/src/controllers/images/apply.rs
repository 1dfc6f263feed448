//! Desired and live objects of one kind -> writes (IO). One that is refused keeps no other away.
//!
//! An object is applied when it is missing, when it should be another, and once by each leader, which puts back what others changed.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::Arc,
    time::Duration,
};

use api::names::OPERATOR;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::causes::Refusals;
use crate::{
    context::Context,
    controllers::attempt::{Attempt, Failed, attempt},
    support::{failure::message_of, send::delete_uid},
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);

/// What this leader wrote, by name.
pub(super) type Applied = HashMap<String, Value>;

/// What came of the writes.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) refusals: Refusals,
    /// When to try again.
    pub(super) again: Option<Duration>,
}

impl Outcome {
    fn failed(&mut self, failed: &Failed) {
        self.again = [self.again, Some(failed.again)].into_iter().flatten().min();
    }
}

/// Makes the objects as desired, and deletes all others.
pub(super) async fn apply<K>(
    context: &Context,
    api: &Api<K>,
    desired: &BTreeMap<String, K>,
    live: &[Arc<K>],
    applied: &mut Applied,
    outcome: &mut Outcome,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let params = PatchParams::apply(OPERATOR).force();
    for (name, object) in desired {
        let is_live = live
            .iter()
            .any(|it| it.name_any() == *name && it.meta().deletion_timestamp.is_none());
        let planned = serde_json::to_value(object).unwrap_or_default();
        if is_live && applied.get(name) == Some(&planned) {
            continue;
        }
        let patch = Patch::Apply(&planned);
        let answer = attempt(context, &what::<K>(name), api.patch(name, &params, &patch)).await;
        match answer {
            Ok(_) => {
                context.metrics.write("images");
                applied.insert(name.clone(), planned);
            }
            Err(failed) => {
                outcome.failed(&failed);
                outcome.refusals.insert(name.clone(), message_of(&failed.error));
            }
        }
    }
    let others = live
        .iter()
        .filter(|it| it.meta().deletion_timestamp.is_none() && !desired.contains_key(&it.name_any()));
    for other in others {
        let name = other.name_any();
        applied.remove(&name);
        let delete = async {
            match api.delete(&name, &delete_uid(other.uid())).await {
                Ok(_) => context.metrics.write("images"),
                // It is gone, or another one has its name.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(error),
            }
            Ok(())
        };
        if let Err(failed) = attempt(context, &what::<K>(&name), delete).await {
            outcome.failed(&failed);
        }
    }
}

fn what<K: Resource<DynamicType = ()>>(name: &str) -> Attempt {
    Attempt {
        step: "images",
        key: format!("{} {name}", K::kind(&())),
        limit: LIMIT,
        complaint: "an object that prepares nodes cannot be written",
    }
}
