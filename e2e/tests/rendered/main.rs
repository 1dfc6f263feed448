//! What both Helms render -> a real API server, which accepts every object.

mod catalog;
mod files;
mod judge;
mod older;
mod refused;
mod renderings;
mod server;
