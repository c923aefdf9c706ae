//! Hosts: clock, tasks, sockets and batched sends, on the system or simulated.
