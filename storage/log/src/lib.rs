//! A segmented append log with group commit, over a Disk seam.
