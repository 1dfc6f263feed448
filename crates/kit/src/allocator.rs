//! Memory of every server: jemalloc (docs/decisions/0041).
//!
//! It is set when it is built, by `.cargo/config.toml`.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
