//! What the conductor and a worker say to each other: one JSON value a line. A worker is told its [`Setup`] first, and
//! then an [`Order`] after each [`Word::Done`]; the end of its input is its end.

use std::net::SocketAddr;
use std::path::PathBuf;

use bench_harness::{Figures, LATENCY_DIGITS, LATENCY_MAX_US, Resume, Rooms};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Who a worker is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Setup {
    pub(crate) subject: SubjectSetup,
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) share: Share,
    /// Between two signs of life of each; 0 for none.
    pub(crate) heartbeat_ms: u64,
    /// Processes of the server, which would outlive a conductor that was killed: a worker sees that and ends them.
    pub(crate) orphans: Vec<u32>,
}

/// Which of the run's people it has.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Share {
    pub(crate) rooms: Rooms,
    /// Of its first connection among all of the run.
    pub(crate) first_number: usize,
    /// That share the run. The more there are, the rarer each does what it does now and then: together they wake as often.
    pub(crate) workers: usize,
}

/// What it speaks to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum SubjectSetup {
    Product { gateway_dir: PathBuf, router_dir: PathBuf, users: Vec<u64>, resume: Resume, channels: bool },
    Baseline,
}

/// What a worker is to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Order {
    /// Everybody who is away connects, so many at a time; where all come at once, their times count from this moment.
    Arrive { arriving_max: usize, since_ns: Option<u64> },
    /// Messages at a rate of each who writes: to warm up, and then measured.
    Write { per_second_each: f64, warm_ms: u64, measured_ms: u64 },
    /// Everybody's connection is dropped.
    Leave,
    /// These are [`Setup::orphans`] from now on.
    Adopt(Vec<u32>),
    /// Nothing but to say who is there.
    Look,
}

/// What a worker says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Word {
    Progress(Progress),
    /// What is measured begins.
    Measuring,
    /// It has ended; what is on its way is waited for.
    Measured(Progress),
    Done(Box<Outcome>),
    Failed(String),
}

/// So far.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Progress {
    pub(crate) live: u64,
    pub(crate) answered: u64,
    pub(crate) delivered: u64,
}

/// What an order has given. Times are in µs, each with how often it was seen.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) live: u64,
    /// Connections that ended by themselves.
    pub(crate) gone: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) sessions_resumed: u64,
    pub(crate) refused: u64,
    pub(crate) refused_code: Option<u16>,
    pub(crate) arrival: Times,
    pub(crate) ack: Times,
    pub(crate) delivery: Times,
    pub(crate) lag: Times,
}

/// A distribution.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Times(Vec<(u64, u64)>);

impl Outcome {
    pub(crate) fn new(figures: &Figures, live: usize, gone: u64, lost: u64) -> Outcome {
        Outcome {
            live: live as u64,
            gone,
            lost,
            duplicated: figures.duplicated,
            reordered: figures.reordered,
            sessions_resumed: figures.sessions_resumed,
            refused: figures.refused,
            refused_code: figures.refused_code,
            arrival: (&figures.arrival).into(),
            ack: (&figures.ack).into(),
            delivery: (&figures.delivery).into(),
            lag: (&figures.lag).into(),
        }
    }

    /// With that of another worker.
    pub(crate) fn add(&mut self, other: Outcome) {
        self.live += other.live;
        self.gone += other.gone;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.sessions_resumed += other.sessions_resumed;
        self.refused += other.refused;
        self.refused_code = self.refused_code.or(other.refused_code);
        self.arrival.0.extend(other.arrival.0);
        self.ack.0.extend(other.ack.0);
        self.delivery.0.extend(other.delivery.0);
        self.lag.0.extend(other.lag.0);
    }
}

impl Progress {
    /// With that of another worker.
    pub(crate) fn add(&mut self, other: Progress) {
        self.live += other.live;
        self.answered += other.answered;
        self.delivered += other.delivered;
    }
}

impl From<&Histogram<u64>> for Times {
    fn from(histogram: &Histogram<u64>) -> Times {
        Times(histogram.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect())
    }
}

impl From<&Times> for Histogram<u64> {
    fn from(times: &Times) -> Histogram<u64> {
        let mut histogram =
            Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS).expect("the bounds are right");
        times.0.iter().for_each(|(value, count)| histogram.saturating_record_n(*value, *count));
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_two_workers_become_one_distribution() {
        let mut outcome = Outcome::default();
        for value in [1_000, 3_000] {
            let mut figures = Figures::default();
            figures.delivery.saturating_record_n(value, 50);
            let line = serde_json::to_string(&Outcome::new(&figures, 1, 0, 0)).expect("numbers");
            outcome.add(serde_json::from_str(&line).expect("it was written a line ago"));
        }
        let histogram = Histogram::from(&outcome.delivery);
        assert_eq!((histogram.len(), outcome.live), (100, 2));
        assert!(histogram.value_at_quantile(0.5).abs_diff(1_000) < 5, "{}", histogram.value_at_quantile(0.5));
        assert!(histogram.max().abs_diff(3_000) < 5, "{}", histogram.max());
    }
}
