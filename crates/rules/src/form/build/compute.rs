//! Requests, limits and shared memory -> fields (pure).

use std::collections::BTreeSet;

use api::workspace::ResourceRequirements;

use super::super::amounts::{Range, Resource};
use super::super::model::{By, Field, Group, Source};
use super::Builder;
use crate::checks::resources::{GPU, may_overcommit};
use crate::checks::resources::{field as path_of, unknown_resource};
use crate::effective::effective;

impl Builder<'_> {
    pub(super) fn resources(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        let names = self.resource_names();
        for (map, is_further) in [("limits", false), ("requests", true)] {
            for name in names
                .iter()
                .filter(|name| map == "limits" || may_overcommit(name))
            {
                let resource = Resource {
                    name,
                    map,
                    template: self.template,
                    given: &self.given,
                    shm_size: self.now.shm_size.as_ref(),
                    init: &self.now.pod.init_containers,
                };
                let range = resource.range();
                if range.is_nothing() {
                    continue;
                }
                let field = self
                    .field(
                        Group::Resources,
                        path_of("spec.resources", map, name),
                        label(name, map),
                        resource.kind(),
                    )
                    .help(if is_further {
                        "Reserved on the node. A higher request waits longer for a node."
                    } else {
                        ""
                    })
                    .default(self.resource_default(map, name), self.resource_source(name));
                let is_plain = matches!(name.as_str(), "cpu" | "memory") || name.contains('/');
                let field = field.required_without_default();
                let is_further = (is_further || !is_plain) && !field.is_required;
                fields.push(if is_further { field.further() } else { field });
            }
        }
        let memory = self.now.resources.limits.get("memory");
        let most = self.template.and_then(|template| template.max_shm_size.as_ref());
        let range = Range::of_sizes()
            .at_most(most, &By::Template)
            .at_most(memory, &By::Field("spec.resources.limits.memory".to_owned()));
        let default = self
            .template
            .and_then(|template| template.default_shm_size.as_ref());
        fields.push(
            self.field(
                Group::Resources,
                "spec.shmSize",
                "Shared memory (/dev/shm)",
                range.bytes(),
            )
            .help("It counts against the memory limit.")
            .default(default.map(|size| size.0.clone()), Source::Template)
            .further(),
        );
        fields
    }

    /// CPU and memory, and the resources that template or workspace name.
    fn resource_names(&self) -> Vec<String> {
        let bounds = self
            .template
            .and_then(|template| template.resource_bounds.as_ref());
        let keys = |amounts: Option<&ResourceRequirements>| -> Vec<String> {
            let amounts = amounts.into_iter();
            amounts
                .flat_map(|it| it.requests.keys().chain(it.limits.keys()).cloned())
                .collect()
        };
        let mut others: BTreeSet<String> = BTreeSet::new();
        others.extend(keys(self.given.resources.as_ref()));
        others.extend(keys(
            self.template
                .and_then(|template| template.default_resources.as_ref()),
        ));
        others.extend(keys(Some(&self.offer.settings.default_resources)));
        if let Some(bounds) = bounds {
            others.extend(bounds.resources.keys().cloned());
            others.extend(bounds.gpu.as_ref().map(|_| GPU.to_owned()));
        }
        let first = ["cpu", "memory"].map(str::to_owned);
        let rest = others
            .into_iter()
            .filter(|name| !first.contains(name) && unknown_resource(name).is_none());
        first.clone().into_iter().chain(rest).collect()
    }

    /// The effective value if the workspace omits this one.
    fn resource_default(&self, map: &str, name: &str) -> Option<String> {
        let mut given = self.given.clone();
        if let Some(resources) = &mut given.resources {
            let is_one = !may_overcommit(name);
            if map == "limits" || is_one {
                resources.limits.remove(name);
            }
            if map == "requests" || is_one {
                resources.requests.remove(name);
            }
        }
        let resources = effective(&given, self.template, self.offer.settings).resources;
        let amounts = if map == "limits" {
            resources.limits
        } else {
            resources.requests
        };
        amounts.get(name).map(|amount| amount.0.clone())
    }

    fn resource_source(&self, name: &str) -> Source {
        let default = self
            .template
            .and_then(|template| template.default_resources.as_ref());
        let is_theirs =
            default.is_some_and(|it| it.requests.contains_key(name) || it.limits.contains_key(name));
        if is_theirs {
            Source::Template
        } else {
            Source::Installation
        }
    }
}

fn label(name: &str, map: &str) -> String {
    let name = match name {
        "cpu" => "CPUs".to_owned(),
        "memory" => "Memory".to_owned(),
        "ephemeral-storage" => "Temporary storage".to_owned(),
        GPU => "GPUs".to_owned(),
        name => name.to_owned(),
    };
    if map == "requests" {
        format!("{name}, reserved")
    } else {
        name
    }
}
