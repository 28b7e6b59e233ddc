//! The verbs of the binary as scripts rely on them: what they print, how they end, and what a kill -9 leaves.

mod canary;
mod channel;
mod chat;
mod devices;
mod erase;
mod metrics;
mod mistakes;
mod one_shot;
mod signals;
mod support;
mod terminal;
mod trace;
