//! The whole system in one thread: network, disk, clock and crashes simulated.
