//! What both Helms render of the chart -> a real API server without anything else, which takes every object.

mod catalog;
mod files;
mod judge;
mod refused;
mod renderings;
mod server;
