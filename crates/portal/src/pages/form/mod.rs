//! Form or YAML -> a new workspace, or a change of one, made as the user (IO).
//!
//! | file | what it does |
//! |---|---|
//! | `new.rs` | `/new`: form or text -> a workspace |
//! | `address.rs` | query of `/new` <-> namespace, template, workspace to copy (pure) |
//! | `proposal.rs` | address of `/new` -> namespace, template, proposed values |
//! | `names.rs` | a free name for a new workspace (pure) |
//! | `choose.rs` | `/new` without a template: namespaces and templates |
//! | `no_form.rs` | `/new` where the user has no form -> a page with all that was typed |
//! | `edit.rs` | `/w/<namespace>/<name>/edit` and `…/yaml`: form or text -> a change |
//! | `editing.rs` | a workspace and what a user wrote about it -> page, change, newer version |
//! | `lost.rs` | a workspace that is gone while its form is open -> a page with what was typed |
//! | `typed.rs` | fields of a form that cannot be saved -> what was typed (pure) |
//! | `checks.rs` | dry runs and what fits, while a user types |
//! | `draft.rs` | what a user wrote, as form or as text (pure) |
//! | `place.rs` | namespace and template of a form |
//! | `text.rs` | YAML and its findings (pure) |
//! | `fields/` | form model and values -> fields of a page (pure) |
//! | `sent.rs` | body of a form -> values (pure) |
//! | `changes.rs` | patches, commands, and how two versions differ (pure) |
//! | `problems.rs` | refusals -> what is wrong with which field (pure) |
//! | `quotas.rs` | quotas -> what fits (pure) |

mod address;
mod changes;
mod checks;
mod choose;
mod draft;
pub(crate) mod edit;
mod editing;
mod fields;
mod lost;
mod names;
pub(crate) mod new;
mod no_form;
mod place;
mod problems;
mod proposal;
mod quotas;
mod sent;
mod text;
mod typed;

pub(super) use checks::quotas as quotas_of;

/// `kubectl apply` with this manifest.
fn apply_command(manifest: &str) -> String {
    format!("kubectl apply -f - <<'EOF'\n{}\nEOF", manifest.trim_end())
}
