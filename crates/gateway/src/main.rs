//! The gateway's process: crypto provider, arguments, run (IO).

fn main() {}
