//! The embedded store on a simulated disk.

mod indexes;
mod machine;
mod model;
mod world;
