//! The embedded store: the log and its index behind storage-api.
