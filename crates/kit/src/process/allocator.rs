//! Allocations of every server -> memory from jemalloc (docs/decisions/0041).
//!
//! `.cargo/config.toml` configures jemalloc at build time.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
