//! Name of a resource -> whether it is a GPU, whether it can be overcommitted, its bounds (pure).

use api::template::{Bounds, ResourceBounds};

/// The resource of a bound on `gpu` when a workspace requests none of these resources.
pub const GPU: &str = "nvidia.com/gpu";
const MIG_PREFIX: &str = "nvidia.com/mig-";
/// The same GPUs under the name that the device plugin uses for time-sharing.
pub const SHARED_GPU: &str = "nvidia.com/gpu.shared";

/// Whether a bound on `gpu` applies to the resource `name`.
pub fn is_gpu(name: &str) -> bool {
    name == GPU || name == SHARED_GPU || name.starts_with(MIG_PREFIX)
}

/// Whether request and limit of `name` may differ. They must be equal for resources that cannot be overcommitted: devices and huge
/// pages.
pub(crate) fn may_overcommit(name: &str) -> bool {
    !name.contains('/') && !name.starts_with("hugepages-")
}

/// All bounds on `name`: those of its own field, and those by its name. All of them apply.
pub(crate) fn bounds_of<'a>(bounds: Option<&'a ResourceBounds>, name: &str) -> Vec<&'a Bounds> {
    let Some(bounds) = bounds else {
        return Vec::new();
    };
    let field = match name {
        "cpu" => bounds.cpu.as_ref(),
        "memory" => bounds.memory.as_ref(),
        name if is_gpu(name) => bounds.gpu.as_ref(),
        _ => None,
    };
    field.into_iter().chain(bounds.resources.get(name)).collect()
}
