//! The portal, through the proxy, on a real cluster: what users can do there, and what no user can.

mod access;
mod account;
mod administrators;
mod audit;
mod changes;
mod hostile;
mod layout;
mod live;
mod matrix;
mod pages;
mod site;
mod states;
mod streams;
mod untouched;
