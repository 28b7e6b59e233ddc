//! Messages at a rate, and what they gave.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_harness::{Border, Rooms, Stages, spent_between};

use crate::conductor::{Event, Workers};
use crate::order::{Order, Outcome, Progress};
use crate::teller::Teller;

/// Every message before what is measured.
const WARM_TIME: Duration = Duration::from_secs(1);

/// See the file's head.
pub(crate) struct Written {
    pub(crate) outcome: Outcome,
    pub(crate) answered: u64,
    pub(crate) delivered: u64,
    pub(crate) measured: Duration,
    pub(crate) stages: Stages,
}

/// Has everybody who writes do so, with the cost of the server between the borders.
pub(crate) fn write(
    workers: &mut Workers,
    rooms: Rooms,
    (per_second, measured): (f64, Duration),
    mut border: impl FnMut() -> Result<Border>,
    teller: &mut Teller,
) -> Result<Written> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let per_second_each = per_second / rooms.writers() as f64;
    let order = Order::Write { per_second_each, warm_ms: millis(WARM_TIME), measured_ms: millis(measured) };
    let (mut before, mut after) = (None, None);
    let outcome = workers.follow(order, |event| {
        match event {
            Event::Progress(progress) => teller.hear(progress, "writing"),
            Event::Measuring => before = Some((border()?, Instant::now())),
            Event::Measured(progress) => after = Some((border()?, Instant::now(), progress)),
        }
        Ok(())
    })?;
    let (before, began) = before.context("a measured time begins")?;
    let (after, ended, progress) = after.context("a measured time ends")?;
    let Progress { answered, delivered, .. } = progress;
    let stages = spent_between(&before, &after, answered);
    Ok(Written { outcome, answered, delivered, measured: ended - began, stages })
}
