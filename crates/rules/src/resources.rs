//! Requests and limits as given, defaults and bounds -> every request and limit the container gets (pure).

use std::collections::BTreeSet;

use api::template::{Bounds, ResourceBounds};
use api::workspace::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::quantity::Quantity;

/// The resource that a bound on `gpu` means when a workspace asks for none of its kind.
pub(crate) const GPU: &str = "nvidia.com/gpu";
const MIG_PREFIX: &str = "nvidia.com/mig-";

/// Whether a bound on `gpu` means the resource `name`.
pub(crate) fn is_gpu(name: &str) -> bool {
    name == GPU || name.starts_with(MIG_PREFIX)
}

/// Whether request and limit of `name` may differ. They may not for what a node cannot lend twice: devices and
/// huge pages.
pub(crate) fn may_overcommit(name: &str) -> bool {
    !name.contains('/') && !name.starts_with("hugepages-")
}

/// The bounds on `name`, if any.
pub(crate) fn bounds_of<'a>(bounds: Option<&'a ResourceBounds>, name: &str) -> Option<&'a Bounds> {
    let bounds = bounds?;
    match name {
        "cpu" => bounds.cpu.as_ref(),
        "memory" => bounds.memory.as_ref(),
        name if is_gpu(name) => bounds.gpu.as_ref(),
        _ => None,
    }
}

/// Fills every request and limit that `given` leaves out, name by name: from the template's defaults, else from
/// the installation's. What is given is never changed; what is no quantity is left to validation.
pub(crate) fn fill(
    given: &ResourceRequirements,
    template: Option<&ResourceRequirements>,
    built_in: &ResourceRequirements,
    bounds: Option<&ResourceBounds>,
) -> ResourceRequirements {
    let nothing = ResourceRequirements::default();
    let template = template.unwrap_or(&nothing);
    let bounded = ["cpu", "memory"].map(str::to_owned);
    let names: BTreeSet<&String> = [given, template, built_in]
        .iter()
        .flat_map(|map| map.requests.keys().chain(map.limits.keys()))
        .chain(&bounded)
        .collect();
    let mut filled = ResourceRequirements::default();
    for name in names {
        // The template is to the installation what the workspace is to the template.
        let default = Pair::of(template, name).or(&Pair::of(built_in, name), name);
        let pair = Pair::of(given, name)
            .or(&default, name)
            .within(&Pair::of(given, name), bounds, name);
        filled
            .requests
            .extend(pair.request.map(|value| (name.clone(), value)));
        filled
            .limits
            .extend(pair.limit.map(|value| (name.clone(), value)));
    }
    filled
}

#[derive(Default, Clone)]
struct Pair {
    request: Option<RawQuantity>,
    limit: Option<RawQuantity>,
}

impl Pair {
    fn of(map: &ResourceRequirements, name: &str) -> Self {
        Self {
            request: map.requests.get(name).cloned(),
            limit: map.limits.get(name).cloned(),
        }
    }

    /// What is missing here, from `default`.
    fn or(self, default: &Self, name: &str) -> Self {
        if !may_overcommit(name) {
            let Self { request, limit } = self;
            return Self {
                request: request
                    .clone()
                    .or_else(|| limit.clone())
                    .or_else(|| default.request.clone()),
                limit: limit.or(request).or_else(|| default.limit.clone()),
            };
        }
        let request = self.request.or_else(|| match (&self.limit, &default.request) {
            (Some(limit), Some(request)) => Some(by_order(limit, request).0),
            (_, request) => request.clone(),
        });
        let limit = self.limit.or_else(|| match (&request, &default.limit) {
            (Some(request), Some(limit)) => Some(by_order(request, limit).1),
            (_, limit) => limit.clone(),
        });
        // As Kubernetes does it: a limit without any request is requested too.
        Self {
            request: request.or_else(|| limit.clone()),
            limit,
        }
    }

    /// A limit that was filled in ends at the bound; so does one that is missing altogether, which would be none.
    fn within(mut self, given: &Self, bounds: Option<&ResourceBounds>, name: &str) -> Self {
        let max = bounds_of(bounds, name).and_then(|bounds| bounds.max.as_ref());
        if let Some(max) = max
            && given.limit.is_none()
            && may_overcommit(name)
        {
            self.request.get_or_insert_with(|| RawQuantity("0".into()));
            self.limit = Some(
                self.limit
                    .map_or_else(|| max.clone(), |limit| by_order(&limit, max).0),
            );
        }
        self
    }
}

/// Lesser and greater of two; the first counts as both when one is no quantity.
fn by_order(left: &RawQuantity, right: &RawQuantity) -> (RawQuantity, RawQuantity) {
    match (Quantity::try_from(left), Quantity::try_from(right)) {
        (Ok(l), Ok(r)) if l <= r => (left.clone(), right.clone()),
        (Ok(_), Ok(_)) => (right.clone(), left.clone()),
        _ => (left.clone(), left.clone()),
    }
}
