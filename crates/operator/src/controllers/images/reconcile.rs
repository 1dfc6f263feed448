//! A change -> objects in the namespace of images, and the status of templates, that are due (IO).

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use kube::{Api, ResourceExt as _};
use tokio::time::Instant;

use super::{
    apply::{Applied, Outcome, apply},
    desired::desired,
    live::Live,
    progress::assess,
    report::{self, Written},
};
use crate::{cache::stores, context::Context};

/// What a leader remembers between reconciles.
#[derive(Debug, Default)]
pub struct ImagesState {
    applied: Applied,
    /// When the status of each template was last written, by its UID.
    reported: HashMap<String, Instant>,
}

/// Makes the writes that are due. Returns after which time a write becomes due without any change.
pub async fn reconcile(context: &Context, live: &Live, state: &mut ImagesState) -> Option<Duration> {
    let images = context.installation.images.as_ref();
    let templates = stores::select(&context.stores.templates, |_| true);
    let profiles = stores::select(&context.stores.profiles, |_| true);
    let desired = desired(&templates, &profiles, &context.settings, images);
    let mut outcome = Outcome::default();
    if let Some(images) = images {
        let (client, applied) = (&context.client, &mut state.applied);
        let sets = Api::<DaemonSet>::namespaced(client.clone(), &images.name);
        let (wanted, there) = (&desired.daemon_sets, &live.daemon_sets);
        apply(context, &sets, wanted, there, applied, &mut outcome).await;
        let deployments = Api::<Deployment>::namespaced(client.clone(), &images.name);
        let (wanted, there) = (&desired.deployments, &live.deployments);
        apply(context, &deployments, wanted, there, applied, &mut outcome).await;
    }
    let mut again = outcome.again;
    state
        .reported
        .retain(|uid, _| templates.iter().any(|it| it.metadata.uid.as_ref() == Some(uid)));
    for template in &templates {
        let uid = template.uid().unwrap_or_default();
        let wanted = desired
            .templates
            .iter()
            .find(|wanted| wanted.template.metadata.uid.as_ref() == Some(&uid));
        let report = wanted.map(|wanted| assess(wanted, live, &outcome.refusals, images));
        let since = state.reported.get(&uid).map(Instant::elapsed);
        match report::write(context, template, report.as_ref(), since).await {
            Written::Nothing => {}
            Written::Done => {
                state.reported.insert(uid, Instant::now());
            }
            Written::Later(wait) => again = [again, Some(wait)].into_iter().flatten().min(),
        }
    }
    again
}
