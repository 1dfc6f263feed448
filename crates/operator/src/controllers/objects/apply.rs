//! Desired objects, existing objects -> objects as desired (IO), written only where they differ.

use kube::{Api, api::DeleteParams};
use rules::objects::RenderedObject;

use super::{Desired, wording, write::Writer};
use crate::{
    apply::{
        WriteError,
        delete::{Ended, end},
    },
    blockers::Blocker,
    cache::{
        objects::{KindState, Live, Purpose},
        observed::Identity,
    },
    context::Context,
};

/// Whether a workspace has objects of this purpose.
pub fn has_any(context: &Context, identity: &Identity, purpose: Purpose) -> bool {
    let own = own(context, identity);
    own.iter().any(|live| live.purpose() == purpose)
}

fn own(context: &Context, identity: &Identity) -> Vec<Live> {
    let labelled = context.stores.objects.with_label_of(identity);
    let own = labelled
        .into_iter()
        .filter(|live| identity.owns(&live.object.metadata));
    own.collect()
}

/// Makes the objects of a workspace as desired for each purpose. Returns the first blocker, if any.
pub async fn apply_desired(
    context: &Context,
    identity: &Identity,
    desired: &[(Purpose, Desired<'_>)],
) -> Result<Option<Blocker>, WriteError> {
    let mut all = Vec::new();
    for (purpose, desired) in desired {
        all.push((
            *purpose,
            desired,
            place_all(context, identity, *purpose, desired).await?,
        ));
    }
    for live in &own(context, identity) {
        let desired = all
            .iter()
            .find(|(_, desired, _)| desired.names(live))
            .map(|(_, _, placed)| !placed.gap);
        let stays = desired.unwrap_or_else(|| {
            let mut of_purpose = all.iter().filter(|(purpose, ..)| *purpose == live.purpose());
            of_purpose.any(|(_, desired, _)| matches!(desired, Desired::AsTheyAre(_)))
        });
        if !stays {
            delete(context, identity, live).await?;
        }
    }
    Ok(all.into_iter().find_map(|(_, _, placed)| placed.blocker))
}

impl Desired<'_> {
    /// Whether this object is among the desired ones.
    fn names(&self, live: &Live) -> bool {
        let Self::These(objects) = self else {
            return false;
        };
        let name = live.object.metadata.name.as_ref();
        objects
            .iter()
            .any(|object| object.kind == live.kind && Some(&object.name) == name)
    }
}

/// Result of writing the objects of one purpose.
struct Placed {
    blocker: Option<Blocker>,
    /// Whether a route is missing that others may refer to, such as one that authenticates users. Then none of the routes may be left:
    /// they would work without it, or with an object of another owner.
    gap: bool,
}

/// Writes the objects of one purpose. Routes belong together, objects of a template do not.
async fn place_all(
    context: &Context,
    identity: &Identity,
    purpose: Purpose,
    desired: &Desired<'_>,
) -> Result<Placed, WriteError> {
    let objects = match desired {
        Desired::None | Desired::AsTheyAre(None) => return Ok(Placed::after(None, false)),
        Desired::AsTheyAre(Some(why)) => {
            let is_unrouted = !has_any(context, identity, purpose);
            return Ok(Placed::after(
                Some(wording::invalid(purpose, why, is_unrouted)),
                false,
            ));
        }
        Desired::These(objects) => objects,
    };
    let has_any = has_any(context, identity, purpose);
    if purpose == Purpose::Route {
        return place(context, identity, purpose, objects, has_any).await;
    }
    let mut blockers = Vec::new();
    for object in objects.chunks(1) {
        let placed = place(context, identity, purpose, object, has_any).await?;
        blockers.extend(placed.blocker);
    }
    Ok(Placed::after(wording::together(blockers), false))
}

/// Writes the objects in order, and none after one that cannot be written. `has_any`: as of [`Writer`].
async fn place(
    context: &Context,
    identity: &Identity,
    purpose: Purpose,
    desired: &[RenderedObject],
    has_any: bool,
) -> Result<Placed, WriteError> {
    let mut ready = Vec::new();
    for object in desired {
        match Writer::new(context, identity, purpose, object, has_any) {
            Ok(Some(writer)) => ready.push(writer),
            Ok(None) => return Ok(Placed::after(None, false)),
            Err(blocker) => return Ok(Placed::after(Some(blocker), false)),
        }
    }
    // Check that no name is taken before an object is made that would refer to that name.
    if ready.len() > 1 {
        for writer in ready.iter().filter(|writer| writer.cached_object().is_none()) {
            if let Some(blocker) = writer.name_conflict().await? {
                return Ok(Placed::after(Some(blocker), true));
            }
        }
    }
    let mut contested = None;
    for writer in &ready {
        let blocker = writer.write().await?;
        if let Some(Blocker::Contested { .. }) = blocker {
            contested = blocker;
        } else if let Some(blocker) = blocker {
            let own = writer
                .cached_object()
                .filter(|live| identity.owns(&live.metadata));
            let gap = purpose == Purpose::Route && own.is_none();
            return Ok(Placed::after(Some(blocker), gap));
        }
    }
    Ok(Placed::after(contested, false))
}

impl Placed {
    fn after(blocker: Option<Blocker>, gap: bool) -> Self {
        let blocker = blocker.map(|blocker| match blocker {
            Blocker::Object {
                reason,
                message,
                is_unrouted,
            } => Blocker::Object {
                reason,
                message,
                is_unrouted: is_unrouted || gap,
            },
            other => other,
        });
        Self { blocker, gap }
    }
}

/// Deletes every object of a workspace that is being deleted. Returns the kinds of those that still exist.
///
/// # Errors
/// An API error that is transient.
pub async fn remove(context: &Context, identity: &Identity) -> Result<Vec<String>, kube::Error> {
    for live in own(context, identity) {
        delete(context, identity, &live)
            .await
            .map_err(|error| error.source)?;
    }
    let left = own(context, identity);
    Ok(left.iter().map(|live| live.kind.kind.clone()).collect())
}

/// Deletes an object that is ours and not yet being deleted, and no other object of its name.
async fn delete(context: &Context, identity: &Identity, live: &Live) -> Result<(), WriteError> {
    let (store, object) = (&context.stores.objects, live.object.as_ref());
    let Some(KindState::Available(resource)) = store.state(&live.kind) else {
        return Ok(());
    };
    let objects = Api::namespaced_with(context.client.clone(), &identity.namespace, &resource);
    let ended = end(context, &objects, object, DeleteParams::background()).await;
    match ended.map_err(|source| WriteError::new(&live.kind.kind, source))? {
        Ended::Gone => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            store.remove(&live.kind, &identity.namespace, name);
        }
        Ended::Held(object) => store.update(&live.kind, object),
        Ended::Unknown => {}
    }
    Ok(())
}
