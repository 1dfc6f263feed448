//! Fixtures of the tests.
//!
//! - `fixture`, `browser`: a whole gateway in memory
//! - `rig`: a listener over real sockets
//! - `proxy`, configured by `chart`: Traefik in front of a `stub`
//! - `behind_traefik`, `behind_proxy` with `nginx`: Traefik or nginx in front of the whole gateway
//! - `workspace`, `pod`: a workspace with its domain, and a pod that counts what reaches it
//! - `page`, `all_pages`: a page as a browser parses it, and every page of the gateway
//! - `tokens`, `raw_http2`: tokens of scripts, and requests byte for byte

pub(crate) mod all_pages;
pub(crate) mod behind_proxy;
pub(crate) mod behind_traefik;
pub(crate) mod browser;
pub(crate) mod chart;
pub(crate) mod fixture;
pub(crate) mod nginx;
pub(crate) mod page;
pub(crate) mod pod;
pub(crate) mod proxy;
pub(crate) mod raw_http2;
pub(crate) mod rig;
pub(crate) mod stub;
pub(crate) mod tokens;
pub(crate) mod workspace;
