//! Sans-IO byte stages between a socket and frames.
