//! Limit ranges and what a workspace takes -> what they refuse (pure).

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use kube::ResourceExt as _;
use rules::Quantity;

use super::Asked;
use crate::pages::answers::note;
use crate::pages::words::amount;
use crate::views::{Note, Tone};

/// What limit ranges refuse.
pub(super) fn of_ranges(ranges: &[LimitRange], asked: &Asked) -> Vec<Note> {
    let items = ranges.iter().flat_map(|range| {
        let items = range.spec.iter().flat_map(|spec| &spec.limits);
        items.map(move |item| (range.name_any(), item))
    });
    items
        .flat_map(|(name, item)| of_range(&name, item, asked))
        .collect()
}

fn of_range(name: &str, item: &LimitRangeItem, asked: &Asked) -> Vec<Note> {
    let is_over = |amount: &RawQuantity, bound: &RawQuantity| matches!((Quantity::try_from(amount), Quantity::try_from(bound)), (Ok(amount), Ok(bound)) if amount > bound);
    let mut notes = Vec::new();
    let mut say = |resource: &str, wanted: &RawQuantity, word: &str, bound: &RawQuantity| {
        notes.push(note(
            Tone::Bad,
            format!(
                "LimitRange `{name}` admits {word} {} for a {}; this asks for {}.",
                amount(resource, bound),
                item.type_,
                amount(resource, wanted),
            ),
        ));
    };
    match &*item.type_ {
        "Container" | "Pod" => {
            for (resource, most) in item.max.iter().flatten() {
                let wanted = asked
                    .limits
                    .get(resource)
                    .or_else(|| asked.requests.get(resource));
                if let Some(wanted) = wanted.filter(|wanted| is_over(wanted, most)) {
                    say(resource, wanted, "at most", most);
                }
            }
            for (resource, least) in item.min.iter().flatten() {
                let wanted = asked
                    .requests
                    .get(resource)
                    .or_else(|| asked.limits.get(resource));
                if let Some(wanted) = wanted.filter(|wanted| is_over(least, wanted)) {
                    say(resource, wanted, "at least", least);
                }
            }
        }
        "PersistentVolumeClaim" => {
            let Some(disk) = &asked.disk else { return notes };
            if let Some(most) = item
                .max
                .as_ref()
                .and_then(|max| max.get("storage"))
                .filter(|most| is_over(disk, most))
            {
                say("storage", disk, "at most", most);
            }
            if let Some(least) = item
                .min
                .as_ref()
                .and_then(|min| min.get("storage"))
                .filter(|least| is_over(least, disk))
            {
                say("storage", disk, "at least", least);
            }
        }
        _ => {}
    }
    notes
}
