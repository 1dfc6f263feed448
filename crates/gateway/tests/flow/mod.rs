//! Signing in, tickets and decisions, through the gateway's routers and without sockets.

mod admission;
mod assertion;
mod backchannel;
mod bearer;
mod bearer_fuzz;
mod bearer_people;
mod bearer_sockets;
mod decisions;
mod flood;
mod folders;
mod foreign;
mod freshness;
mod fuzz;
mod home;
mod keys;
mod limits;
mod login;
mod matrix;
mod pages;
mod provider;
mod providers;
mod redirects;
mod renewal;
mod rights;
mod sign_out;
mod start;
