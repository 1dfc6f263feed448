//! Requests of the API server -> answers of the router, against an API server in memory (no sockets).

mod bounds;
mod http_surface;
mod ownership;
mod support;
