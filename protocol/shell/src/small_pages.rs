//! Memory in pages of the usual size. Not what is allocated, but what the kernel gives for it.

/// From now on this process and those it starts get no transparent huge pages. The allocator asks for them, and a server that
/// holds connections has live memory strewn over what their handshakes have freed: with huge pages the kernel holds, and
/// gives back in the background what was returned, two megabytes around every piece.
///
/// Where it cannot be, nothing but memory is lost.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
