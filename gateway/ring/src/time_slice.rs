//! How long a thread runs before others may, where several want a core.

use std::io;
use std::mem::size_of;
use std::time::Duration;

/// Asks the kernel for turns of this length on a core, from 100 µs to 100 ms, for the calling thread and every thread that
/// it starts from now on. Whoever asks for short ones waits less for a turn, and gets no more time in all. Kernels
/// before 6.12 do not look at it; a thread under another policy than the usual one keeps what it has.
pub fn set_time_slice(slice: Duration) -> io::Result<()> {
    let mut attributes = attributes()?;
    if attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return Ok(());
    }
    attributes.sched_runtime = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads attributes that live until it returns. 0 names this thread.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })
}

/// Of the calling thread.
fn attributes() -> io::Result<libc::sched_attr> {
    let size = size_of::<libc::sched_attr>() as u32;
    let mut attributes = libc::sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `size` bytes to attributes that live until it returns. 0 names this thread.
    check(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) })?;
    Ok(attributes)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice_ns() -> u64 {
        attributes().expect("everybody may ask").sched_runtime
    }

    /// Why it must stay: the server sets it once, before it has threads.
    #[test]
    fn threads_inherit_it() {
        std::thread::spawn(|| {
            set_time_slice(Duration::from_micros(200)).expect("it needs no permission");
            let of_child = std::thread::spawn(slice_ns).join().expect("no panic");
            // Kernels before 6.12 say 0.
            assert!(matches!((slice_ns(), of_child), (200_000, 200_000) | (0, 0)), "{of_child}");
        })
        .join()
        .expect("no panic");
    }
}
