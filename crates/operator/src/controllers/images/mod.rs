//! Labels of templates -> images on nodes, and room, before a workspace starts (IO: [`reconcile`]).
//!
//! All objects are in one namespace that holds nothing else (docs/decisions/0164). Without it, templates only say so.
//!
//! | file | input -> output |
//! |---|---|
//! | `labels.rs` | labels of a template -> what it asks for, and which values are wrong (pure) |
//! | `pods.rs` | an image, or requests -> the pod that pulls it, or keeps them (pure) |
//! | `offered.rs` | template -> images that its workspaces may have, each with its nodes (pure) |
//! | `desired.rs` | templates, settings -> DaemonSets and Deployments (pure) |
//! | `live.rs` | the namespace of images -> its objects by name (pure) |
//! | `causes.rs` | DaemonSets, Deployments, pods, Events -> why images or placeholders are missing (pure) |
//! | `progress.rs` | DaemonSets, Deployments, causes -> what the status of a template says (pure) |
//! | `apply.rs` | desired and live objects -> writes (IO) |
//! | `report.rs` | what a status says -> the status of a template, an Event (IO) |
//! | `reconcile.rs` | a change -> the writes that are due (IO) |
//! | `watch.rs` | watches of the namespace -> reconciles (IO) |

mod apply;
mod causes;
mod desired;
mod labels;
mod live;
mod offered;
mod pods;
mod progress;
mod reconcile;
mod report;
mod watch;

pub use self::{
    live::Live,
    reconcile::{ImagesState, reconcile},
    watch::run,
};
