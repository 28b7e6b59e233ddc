//! Waiting for what can only be asked for, with a bound.

use std::thread;
use std::time::{Duration, Instant};

/// How often it is asked.
const INTERVAL: Duration = Duration::from_millis(10);

/// Asks until there is an answer. `None`: there was none in time.
pub fn until<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}

/// Asks until the answer is `wanted`, for as long as it changes: only an answer that stays for so long is a stall, and is
/// given back.
pub fn until_it_stalls<T: PartialEq>(patience: Duration, wanted: &T, mut ask: impl FnMut() -> T) -> Result<(), T> {
    let mut last = ask();
    while last != *wanted {
        let Some(other) = until(patience, || Some(ask()).filter(|answer| *answer != last)) else { return Err(last) };
        last = other;
    }
    Ok(())
}
