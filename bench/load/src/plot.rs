//! What a page shows of a run beside its figures: distributions, and what happened when.

use hdrhistogram::Histogram;

use crate::order::{Progress, Times};

/// Points of a distribution: quantiles as far out as there are values.
const NINES_MAX: i32 = 5;
const POINTS_PER_NINE: i32 = 10;

/// In order of the first number.
pub(crate) type Points = Vec<(f64, f64)>;

/// See each field.
#[derive(Clone, Debug, Default)]
pub struct Plots {
    /// Until a connection is live: how many nines, and ms.
    pub(crate) arrivals: Points,
    /// Name and points, likewise.
    pub(crate) distributions: Vec<(&'static str, Points)>,
    /// Seconds, and how far it was.
    pub(crate) timeline: Vec<(f64, Progress)>,
}

impl Plots {
    /// Adds a distribution of messages.
    pub(crate) fn add(&mut self, name: &'static str, times: &Times) {
        self.distributions.push((name, points(times)));
    }
}

/// None where nothing was seen.
pub(crate) fn points(times: &Times) -> Points {
    let histogram = Histogram::<u64>::from(times);
    if histogram.is_empty() {
        return Vec::new();
    }
    let nines_max = (histogram.len() as f64).log10().min(f64::from(NINES_MAX));
    let at = |step: i32| f64::from(step) / f64::from(POINTS_PER_NINE);
    let steps = (0..=NINES_MAX * POINTS_PER_NINE).map(at).take_while(|nines| *nines <= nines_max);
    let point = |nines: f64| (nines, histogram.value_at_quantile(1.0 - 10_f64.powf(-nines)) as f64 / 1000.0);
    steps.map(point).collect()
}
