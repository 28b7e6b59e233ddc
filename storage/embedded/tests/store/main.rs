//! The embedded store on a simulated disk, and its tools on a real one.

mod devices;
mod indexes;
mod machine;
mod model;
mod process;
mod retention;
mod tools;
mod world;
