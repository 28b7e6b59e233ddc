//! Every driver against the same expectations, with real sockets and real TLS: most with a shard of a few lines, some
//! with the shard of the product.

mod bad_peers;
mod contract;
mod moves;
mod product;
mod support;
