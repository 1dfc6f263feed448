//! Template -> the bounds of one quantity and the values of its slider (pure).

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use super::model::{Kind, Scale};
use crate::quantity::Quantity;

/// Fewest values of a slider.
const FEW: u64 = 8;
/// Most devices on a slider.
const MANY: u64 = 64;
/// A unit and its amount.
type Unit = (&'static str, Quantity);

pub(super) const CPUS: &[Unit] = &[("", Quantity::units(1)), ("m", Quantity::thousandths(1))];
pub(super) const BYTES: &[Unit] = &[("Gi", Quantity::binary(1, 30)), ("Mi", Quantity::binary(1, 20))];
pub(super) const DEVICES: &[Unit] = &[("", Quantity::units(1))];

/// A control within bounds of the template; of several bounds the narrowest counts. Its units are in order of their amounts.
pub(super) fn quantity<'a>(
    bounds: impl IntoIterator<Item = (Option<&'a RawQuantity>, Option<&'a RawQuantity>)>,
    units: &[Unit],
) -> Kind {
    let (mut min, mut max) = (None, None);
    for (least, most) in bounds {
        min = min.max(amount(least));
        max = max.into_iter().chain(amount(most)).min();
    }
    let scale = max.and_then(|max| scale(min.unwrap_or(Quantity::ZERO), max, units));
    Kind::Quantity { min, max, scale }
}

fn amount(raw: Option<&RawQuantity>) -> Option<Quantity> {
    Quantity::try_from(raw?).ok()
}

/// Values for a slider, in the largest unit that has enough of them.
fn scale(min: Quantity, max: Quantity, units: &[Unit]) -> Option<Scale> {
    units.iter().find_map(|(name, unit)| {
        let (least, is_exact) = min.count(*unit);
        let is_countable = units.len() == 1;
        // Nothing needs no bytes or CPUs.
        let least = (least + u64::from(!is_exact)).max(u64::from(!is_countable));
        let (most, _) = max.count(*unit);
        let span = most.checked_sub(least).filter(|span| *span > 0)?;
        let steps: &[u64] = match *name {
            "m" => &[1000, 500, 250, 100, 50, 10, 5, 1],
            "" => &[1],
            _ => &[1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1],
        };
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
