//! Template, settings and workspace -> bounds of one quantity (pure).

use api::WorkspaceSpec;
use api::WorkspaceTemplateSpec as Template;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use super::model::{Bound, By, Kind, Scale};
use crate::checks::resources::{MAX_CPU, MAX_QUANTITY, MIN_MEMORY, field, of_container};
use crate::checks::resources::{bounds_of, may_overcommit};
use crate::quantity::Quantity;

/// The smallest disk and the smallest shared memory.
const MIN_SIZE: Quantity = Quantity::binary(1, 20);
/// The largest disk and the largest shared memory.
const MAX_SIZE: Quantity = Quantity::binary(1, 50);
const ONE: Quantity = Quantity::units(1);
/// Fewest values of a slider.
const FEW: u64 = 8;
/// Most devices on a slider.
const MANY: u64 = 64;

/// A range that only gets narrower.
pub(super) struct Range {
    min: Bound,
    max: Bound,
}

impl Range {
    fn new(min: Quantity, max: Quantity) -> Self {
        let bound = |value| Bound {
            value,
            by: By::Nature,
        };
        Self {
            min: bound(min),
            max: bound(max),
        }
    }

    /// The range of disks.
    pub(super) fn of_sizes() -> Self {
        Self::new(MIN_SIZE, MAX_SIZE)
    }

    pub(super) fn at_least(mut self, raw: Option<&RawQuantity>, by: &By) -> Self {
        if let Some(value) = amount(raw).filter(|value| *value > self.min.value) {
            self.min = Bound {
                value,
                by: by.clone(),
            };
        }
        self
    }

    pub(super) fn at_most(mut self, raw: Option<&RawQuantity>, by: &By) -> Self {
        if let Some(value) = amount(raw).filter(|value| *value < self.max.value) {
            self.max = Bound {
                value,
                by: by.clone(),
            };
        }
        self
    }

    /// Whether only 0 is left.
    pub(super) fn is_nothing(&self) -> bool {
        self.max.value.is_zero()
    }

    pub(super) fn kind(self, step: Quantity, units: &[(&'static str, Quantity)]) -> Kind {
        let is_open = self.max.by == By::Nature;
        let scale = (!is_open).then(|| scale(&self, units)).flatten();
        let Self { min, max } = self;
        Kind::Quantity {
            min,
            max,
            step,
            scale,
        }
    }

    /// A control for bytes.
    pub(super) fn bytes(self) -> Kind {
        self.kind(ONE, &[("Gi", Quantity::binary(1, 30)), ("Mi", MIN_SIZE)])
    }
}

fn amount(raw: Option<&RawQuantity>) -> Option<Quantity> {
    Quantity::try_from(raw?).ok()
}

/// The bounds on the request or limit of one resource.
pub(super) struct Resource<'a> {
    pub(super) name: &'a str,
    /// `requests` or `limits`.
    pub(super) map: &'static str,
    pub(super) template: Option<&'a Template>,
    /// The workspace's own spec.
    pub(super) given: &'a WorkspaceSpec,
    /// Effective shared memory, which counts against the memory limit.
    pub(super) shm_size: Option<&'a RawQuantity>,
    /// Effective init containers.
    pub(super) init: &'a [Container],
}

impl Resource<'_> {
    pub(super) fn range(&self) -> Range {
        let is_limit = self.map == "limits" && may_overcommit(self.name);
        let (min, max) = match self.name {
            "cpu" if is_limit => (Quantity::thousandths(1), MAX_CPU),
            "cpu" => (Quantity::ZERO, MAX_CPU),
            "memory" if is_limit => (MIN_MEMORY, MAX_QUANTITY),
            _ if is_limit => (ONE, MAX_QUANTITY),
            _ => (Quantity::ZERO, MAX_QUANTITY),
        };
        let bounds = self
            .template
            .and_then(|template| template.resource_bounds.as_ref());
        let beside = self.beside();
        let mut range = Range::new(min, max);
        for bounds in bounds_of(bounds, self.name) {
            let most = amount(bounds.max.as_ref()).map(|most| most.minus(beside).to_raw());
            range = range
                .at_least(bounds.min.as_ref(), &By::Template)
                .at_most(most.as_ref(), &By::Template);
        }
        if self.name == "memory" && is_limit {
            range = range.at_least(self.shm_size, &By::Field("spec.shmSize".to_owned()));
        }
        let given = self
            .given
            .resources
            .as_ref()
            .filter(|_| may_overcommit(self.name));
        let (requests, limits) = (given.map(|it| &it.requests), given.map(|it| &it.limits));
        let by = |map| By::Field(field("spec.resources", map, self.name));
        if is_limit {
            range.at_least(requests.and_then(|it| it.get(self.name)), &by("requests"))
        } else {
            range.at_most(limits.and_then(|it| it.get(self.name)), &by("limits"))
        }
    }

    /// The requests of init containers that keep running.
    fn beside(&self) -> Quantity {
        let staying = self
            .init
            .iter()
            .filter(|it| it.restart_policy.as_deref() == Some("Always"));
        staying.fold(Quantity::ZERO, |sum, container| {
            let amounts = container.resources.as_ref().map(of_container).unwrap_or_default();
            let amounts = if self.map == "limits" || !may_overcommit(self.name) {
                amounts.limits
            } else {
                amounts.requests
            };
            amount(amounts.get(self.name)).map_or(sum, |amount| sum.plus(amount))
        })
    }

    pub(super) fn kind(&self) -> Kind {
        let range = self.range();
        match self.name {
            "cpu" => {
                let milli = Quantity::thousandths(1);
                range.kind(milli, &[("", ONE), ("m", milli)])
            }
            name if may_overcommit(name) || name.starts_with("hugepages-") => range.bytes(),
            _ => range.kind(ONE, &[("", ONE)]),
        }
    }
}

/// Values for a slider, in the largest unit that has enough of them.
fn scale(range: &Range, units: &[(&'static str, Quantity)]) -> Option<Scale> {
    units.iter().find_map(|(name, unit)| {
        let (least, is_exact) = range.min.value.count(*unit);
        let least = least + u64::from(!is_exact);
        let (most, _) = range.max.value.count(*unit);
        let span = most.checked_sub(least).filter(|span| *span > 0)?;
        let steps: &[u64] = match *name {
            "m" => &[1000, 500, 250, 100, 50, 10, 5, 1],
            "" => &[1],
            _ => &[1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1],
        };
        let is_countable = name.is_empty() && units.len() == 1;
        let step = *steps
            .iter()
            .find(|step| span / **step >= FEW || (**step == 1 && is_countable))?;
        // From a whole number of steps: 250m, 500m, … and not 1m, 251m, ….
        let (min, max) = (least.div_ceil(step) * step, most / step * step);
        let is_useful = max > min && (!is_countable || span <= MANY);
        is_useful.then_some(Scale {
            unit: name,
            min,
            max,
            step,
        })
    })
}
