//! Which mechanism moves the bytes of a shard, and why.

use std::fmt;
use std::str::FromStr;

/// What an operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The best that works here.
    #[default]
    Auto,
    /// Exactly this one, or none.
    Only(Driver),
}

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The monoio runtime on io_uring. Linux.
    MonoioUring,
    /// The monoio runtime on readiness: epoll on Linux, kqueue on macOS.
    MonoioReadiness,
}

/// The driver that will run, with the reason. Its text is one line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverPick {
    /// Which.
    pub driver: Driver,
    reason: String,
}

/// The only driver that was asked for does not work here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverUnavailable {
    reason: String,
}

/// A text that names no driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverUnknown;

impl Driver {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Driver::MonoioUring => "monoio-uring",
            Driver::MonoioReadiness => "monoio-readiness",
        }
    }
}

impl DriverChoice {
    /// Every one there is.
    pub const ALL: [DriverChoice; 3] =
        [DriverChoice::Auto, DriverChoice::Only(Driver::MonoioUring), DriverChoice::Only(Driver::MonoioReadiness)];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            DriverChoice::Auto => "auto",
            DriverChoice::Only(driver) => driver.name(),
        }
    }

    /// Tries io_uring, with a ring that is closed again.
    pub fn pick(self) -> Result<DriverPick, DriverUnavailable> {
        self.pick_given(probe_io_uring())
    }

    fn pick_given(self, io_uring: Result<(), String>) -> Result<DriverPick, DriverUnavailable> {
        match (self, io_uring) {
            (DriverChoice::Only(Driver::MonoioReadiness), _) => {
                Ok(DriverPick { driver: Driver::MonoioReadiness, reason: "it was asked for".to_owned() })
            }
            (DriverChoice::Auto, Ok(())) => {
                Ok(DriverPick { driver: Driver::MonoioUring, reason: "io_uring is allowed here".to_owned() })
            }
            (DriverChoice::Only(Driver::MonoioUring), Ok(())) => {
                Ok(DriverPick { driver: Driver::MonoioUring, reason: "it was asked for".to_owned() })
            }
            (DriverChoice::Auto, Err(reason)) => Ok(DriverPick { driver: Driver::MonoioReadiness, reason }),
            (DriverChoice::Only(Driver::MonoioUring), Err(reason)) => Err(DriverUnavailable { reason }),
        }
    }
}

/// Why io_uring cannot be used, with what an operator can check. On a thread of its own: the end of a ring interrupts
/// a later system call of the thread that made it.
#[cfg(target_os = "linux")]
fn probe_io_uring() -> Result<(), String> {
    std::thread::spawn(probe_on_this_thread).join().expect("the probe has nothing to panic about")
}

#[cfg(target_os = "linux")]
fn probe_on_this_thread() -> Result<(), String> {
    match monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build() {
        Ok(_) if monoio::utils::detect_uring() => Ok(()),
        Ok(_) => Err("this kernel's io_uring lacks operations, or MONOIO_FORCE_LEGACY_DRIVER is set".to_owned()),
        Err(error) => Err(format!("io_uring is not allowed here: {error}; {}", advice(&error))),
    }
}

/// See above.
#[cfg(not(target_os = "linux"))]
fn probe_io_uring() -> Result<(), String> {
    Err("io_uring exists on Linux only".to_owned())
}

#[cfg(target_os = "linux")]
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "a container's seccomp profile or `sysctl kernel.io_uring_disabled` blocks it"
        }
        std::io::ErrorKind::OutOfMemory => "the limit of locked memory is too low, see `ulimit -l`",
        std::io::ErrorKind::Unsupported => "the kernel is too old or a seccomp profile blocks it, see `uname -r`",
        _ => "see `sysctl kernel.io_uring_disabled` and `ulimit -l`",
    }
}

impl FromStr for DriverChoice {
    type Err = DriverUnknown;

    fn from_str(text: &str) -> Result<Self, DriverUnknown> {
        DriverChoice::ALL.into_iter().find(|choice| choice.name() == text).ok_or(DriverUnknown)
    }
}

impl fmt::Display for DriverPick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I/O driver {}: {}", self.driver.name(), self.reason)
    }
}

impl fmt::Display for DriverUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the I/O driver that was asked for cannot be used: {}", self.reason)
    }
}

impl std::error::Error for DriverUnavailable {}

impl fmt::Display for DriverUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the driver is one of auto, monoio-uring, monoio-readiness")
    }
}

impl std::error::Error for DriverUnknown {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_io_uring_where_it_may_and_says_why_not_elsewhere() {
        let allowed = DriverChoice::Auto.pick_given(Ok(())).expect("auto always finds one");
        assert_eq!(allowed.to_string(), "I/O driver monoio-uring: io_uring is allowed here");
        let blocked = DriverChoice::Auto.pick_given(Err("it is blocked".to_owned())).expect("auto always finds one");
        assert_eq!(blocked.to_string(), "I/O driver monoio-readiness: it is blocked");
    }

    #[test]
    fn a_driver_that_was_asked_for_is_never_exchanged() {
        let uring: DriverChoice = "monoio-uring".parse().expect("a known name");
        assert!(uring.pick_given(Err("it is blocked".to_owned())).is_err());
        let readiness: DriverChoice = "monoio-readiness".parse().expect("a known name");
        assert_eq!(readiness.pick_given(Ok(())).expect("works everywhere").driver, Driver::MonoioReadiness);
        assert_eq!("glommio".parse::<DriverChoice>(), Err(DriverUnknown));
    }

    #[test]
    fn the_probe_answers() {
        assert!(DriverChoice::Auto.pick().is_ok());
    }
}
