//! Which mechanism moves the bytes of a shard, and why.

use std::fmt;
use std::str::FromStr;

/// What an operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The best that works here.
    #[default]
    Auto,
    /// The best of the monoio runtime that works here.
    Monoio,
    /// Exactly this one, or none.
    Only(Driver),
}

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Rings of our own: many sockets, little memory. Linux.
    Uring,
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
            Driver::Uring => "uring",
            Driver::MonoioUring => "monoio-uring",
            Driver::MonoioReadiness => "monoio-readiness",
        }
    }
}

impl DriverChoice {
    /// Every one there is.
    pub const ALL: [DriverChoice; 5] = [
        DriverChoice::Auto,
        DriverChoice::Only(Driver::Uring),
        DriverChoice::Monoio,
        DriverChoice::Only(Driver::MonoioUring),
        DriverChoice::Only(Driver::MonoioReadiness),
    ];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            DriverChoice::Auto => "auto",
            DriverChoice::Monoio => "monoio",
            DriverChoice::Only(driver) => driver.name(),
        }
    }

    /// Tries io_uring, with rings that are closed again. Where connections move between shards a driver has to know how.
    pub fn pick(self, has_moves: bool) -> Result<DriverPick, DriverUnavailable> {
        self.pick_given(&|driver| probe(driver, has_moves))
    }

    /// `probe` says why a driver cannot be used here.
    fn pick_given(self, probe: &dyn Fn(Driver) -> Result<(), String>) -> Result<DriverPick, DriverUnavailable> {
        let choices = match self {
            DriverChoice::Only(driver) => {
                let reason = "it was asked for".to_owned();
                return match probe(driver) {
                    Ok(()) => Ok(DriverPick { driver, reason }),
                    Err(reason) => Err(DriverUnavailable { reason }),
                };
            }
            DriverChoice::Auto => &[Driver::Uring, Driver::MonoioUring][..],
            DriverChoice::Monoio => &[Driver::MonoioUring],
        };
        let mut refusals = Vec::new();
        for driver in choices {
            match probe(*driver) {
                Ok(()) if refusals.is_empty() => {
                    return Ok(DriverPick { driver: *driver, reason: "io_uring is allowed here".to_owned() });
                }
                Ok(()) => return Ok(DriverPick { driver: *driver, reason: refusals.join("; ") }),
                Err(reason) => refusals.push(format!("{} cannot be used: {reason}", driver.name())),
            }
        }
        // Readiness works everywhere.
        Ok(DriverPick { driver: Driver::MonoioReadiness, reason: refusals.join("; ") })
    }
}

fn probe(driver: Driver, has_moves: bool) -> Result<(), String> {
    match driver {
        Driver::Uring => probe_rings(has_moves),
        Driver::MonoioUring => probe_io_uring(),
        Driver::MonoioReadiness => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn probe_rings(has_moves: bool) -> Result<(), String> {
    gateway_ring::probe(has_moves).map_err(|error| refusal(&error))
}

/// See above.
#[cfg(not(target_os = "linux"))]
fn probe_rings(_has_moves: bool) -> Result<(), String> {
    Err("io_uring exists on Linux only".to_owned())
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
        Err(error) => Err(refusal(&error)),
    }
}

/// See above.
#[cfg(not(target_os = "linux"))]
fn probe_io_uring() -> Result<(), String> {
    Err("io_uring exists on Linux only".to_owned())
}

#[cfg(target_os = "linux")]
fn refusal(error: &std::io::Error) -> String {
    format!("io_uring is not allowed here: {error}; {}", advice(error))
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
        let names = DriverChoice::ALL.map(DriverChoice::name);
        write!(f, "the driver is one of {}", names.join(", "))
    }
}

impl std::error::Error for DriverUnknown {}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(_: Driver) -> Result<(), String> {
        Ok(())
    }

    fn blocked(driver: Driver) -> Result<(), String> {
        if driver == Driver::MonoioReadiness { Ok(()) } else { Err("it is blocked".to_owned()) }
    }

    /// A kernel that is too old for what our rings need.
    fn old(driver: Driver) -> Result<(), String> {
        if driver == Driver::Uring { Err("it is old".to_owned()) } else { Ok(()) }
    }

    #[test]
    fn auto_takes_the_best_that_it_may_and_says_why_not_a_better_one() {
        let pick = |probe: &dyn Fn(Driver) -> _| DriverChoice::Auto.pick_given(probe).expect("auto always finds one");
        assert_eq!(pick(&allowed).to_string(), "I/O driver uring: io_uring is allowed here");
        assert_eq!(pick(&old).to_string(), "I/O driver monoio-uring: uring cannot be used: it is old");
        let text = "I/O driver monoio-readiness: uring cannot be used: it is blocked; \
                    monoio-uring cannot be used: it is blocked";
        assert_eq!(pick(&blocked).to_string(), text);
    }

    #[test]
    fn monoio_is_whatever_that_runtime_can_do_here() {
        let pick = |probe: &dyn Fn(Driver) -> _| DriverChoice::Monoio.pick_given(probe).expect("there is one").driver;
        assert_eq!((pick(&allowed), pick(&blocked)), (Driver::MonoioUring, Driver::MonoioReadiness));
    }

    #[test]
    fn a_driver_that_was_asked_for_is_never_exchanged() {
        for name in ["uring", "monoio-uring"] {
            let choice: DriverChoice = name.parse().expect("a known name");
            assert!(choice.pick_given(&blocked).is_err());
        }
        let readiness: DriverChoice = "monoio-readiness".parse().expect("a known name");
        assert_eq!(readiness.pick_given(&allowed).expect("works everywhere").driver, Driver::MonoioReadiness);
        assert_eq!("glommio".parse::<DriverChoice>(), Err(DriverUnknown));
    }

    #[test]
    fn the_probes_answer() {
        assert!(DriverChoice::Auto.pick(true).is_ok());
    }
}
