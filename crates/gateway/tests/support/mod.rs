//! What the tests stand on: a whole gateway in memory (`fixture`, `browser`), a listener over real sockets (`rig`, `fake_authorizer`),
//! and Traefik before the gateway (`proxy`, configured by `chart`): before the stub, or before the whole of it (`behind_traefik`).

pub(crate) mod all_pages;
pub(crate) mod behind_proxy;
pub(crate) mod behind_traefik;
pub(crate) mod browser;
pub(crate) mod chart;
pub(crate) mod events;
pub(crate) mod fake_authorizer;
pub(crate) mod fixture;
pub(crate) mod other_proxy;
pub(crate) mod page;
pub(crate) mod pod;
pub(crate) mod proxy;
pub(crate) mod raw_http2;
pub(crate) mod rig;
pub(crate) mod tokens;
pub(crate) mod whole;
pub(crate) mod workspace;
