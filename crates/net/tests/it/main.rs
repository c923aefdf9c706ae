//! Hosts in both worlds: the same scenarios on the system and in a simulation.

mod worlds;

mod tcp;
mod time;
mod udp;
