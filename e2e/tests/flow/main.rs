//! What users do, through the proxy, on a real cluster.

mod access;
mod assertion;
mod edge;
mod hostile;
mod idle;
mod images_in_advance;
mod kernel;
mod kubectl_sign_in;
mod lifecycle;
mod limits;
mod metrics;
mod pages;
mod plugin;
mod pod;
mod ports;
mod profiles;
mod provider_link;
mod recovery;
mod sign_in_again;
mod sign_ins;
mod sign_out;
mod updates;
