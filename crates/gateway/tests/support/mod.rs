//! What the tests stand on: a whole gateway in memory (`world`, `browser`), a listener over real sockets (`rig`, `door`),
//! and Traefik before the gateway (`proxy`, configured by `chart`): before the stub, or before the whole of it (`guarded`).

pub(crate) mod all_pages;
pub(crate) mod behind;
pub(crate) mod browser;
pub(crate) mod chart;
pub(crate) mod door;
pub(crate) mod events;
pub(crate) mod guarded;
pub(crate) mod other_proxy;
pub(crate) mod page;
pub(crate) mod pod;
pub(crate) mod proxy;
pub(crate) mod raw_http2;
pub(crate) mod rig;
pub(crate) mod tokens;
pub(crate) mod whole;
pub(crate) mod workspace;
pub(crate) mod world;
