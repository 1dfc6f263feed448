//! Pods -> what they break.
//!
//! - `contexts`: security contexts
//! - `bounds`: our own bounds
//! - `fixtures`: the pods by which Kubernetes tests the Standards

mod bounds;
mod contexts;
mod fixtures;
