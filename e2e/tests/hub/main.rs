//! deploy/samples/jupyterhub on the cluster: JupyterHub with its proxy, whose servers are workspaces.

mod browser;
mod culler;
mod failures;
mod life;
mod page;
mod profiles;
mod removed;
mod renamed;
mod rights;
mod sample;
mod secrets;
mod servers;
