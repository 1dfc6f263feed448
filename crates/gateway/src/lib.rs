//! HTTP request in -> allow, deny or login out, decided from an index that watches feed.
//!
//! `router` is the table of contents of what is served; `index` is what every answer is decided from.

pub mod index;
