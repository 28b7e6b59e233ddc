//! The shell of the router: links, storage execution, workers.
