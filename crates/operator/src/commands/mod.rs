//! A command of Helm's hooks -> the installation changed (IO).
//!
//! | file | command | what it does |
//! |---|---|---|
//! | `apply_crds.rs` | `apply-crds` | CRDs of this build -> applied, unless newer ones are installed |
//! | `pause.rs` | `pause` | of pods that only wait: ends at SIGTERM |
//! | `prepare_uninstall/` | `prepare-uninstall` | the operator stopped, webhook configurations and finalizers removed |

pub mod apply_crds;
pub mod pause;
pub mod prepare_uninstall;
