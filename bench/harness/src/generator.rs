//! What drives a crowd of pairs: one thread that waits for its sockets.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock::now_ns;
use crate::crowd::Crowd;
use crate::dial::Dial;
use crate::figures::Figures;
use crate::peer::Peer;
use crate::rooms::Rooms;
use crate::schedule::Schedule;

/// Connections that are not live yet, at most: a server bounds strangers, and closes the oldest beyond.
const ARRIVING_MAX: usize = 64;
/// All connections are live within this time.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(60);
/// What is on its way at the end of a phase has arrived within this time, or is lost.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
const WARM_TIME: Duration = Duration::from_secs(1);
/// A turn waits no longer, so that the end of a phase is seen.
const PATIENCE: Duration = Duration::from_millis(10);

/// How messages are timed.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As acks come: so many of each end on their way.
    Window(usize),
    /// So many a second in all, each at its time.
    PerSecond(f64),
}

/// What a phase gave.
pub struct Phase {
    /// How long.
    pub measured: Duration,
    /// `answered` is of the measured time; what comes later counts for the rest.
    pub figures: Figures,
    /// Messages that have not come, and acks.
    pub lost: u64,
}

impl Phase {
    /// Messages a second.
    pub fn rate(&self) -> f64 {
        self.figures.answered as f64 / self.measured.as_secs_f64()
    }
}

/// Connects all ends and waits until they are live.
pub fn gather<P: Peer>(server: SocketAddr, pairs: usize, peer: impl FnMut(usize) -> P) -> Result<Crowd<P>> {
    let mut crowd = Crowd::new(Rooms::all_writing(pairs, 2), peer)?;
    let dial = Dial::new(vec![server]);
    let deadline_ns = now_ns() + nanos(ARRIVAL_TIMEOUT);
    for index in 0..2 * pairs {
        await_live(&mut crowd, ARRIVING_MAX - 1, deadline_ns)?;
        crowd.arrive(index, dial.connect(index)?, now_ns())?;
        crowd.turn(Duration::ZERO)?;
    }
    await_live(&mut crowd, 0, deadline_ns)?;
    Ok(crowd)
}

/// Until at most so many are on their way to be live.
fn await_live<P: Peer>(crowd: &mut Crowd<P>, arriving_max: usize, deadline_ns: u64) -> Result<()> {
    while crowd.arriving_count() > arriving_max {
        ensure!(now_ns() < deadline_ns, "not all connections are live after {} s", ARRIVAL_TIMEOUT.as_secs());
        turn(crowd, PATIENCE)?;
    }
    Ok(())
}

/// Runs a phase: a second to warm up, then what is measured, then until all has arrived. `at_border` is called when
/// measuring begins and ends.
pub fn run_phase<P: Peer>(
    crowd: &mut Crowd<P>,
    pace: Pace,
    measured: Duration,
    mut at_border: impl FnMut(),
) -> Result<Phase> {
    load(crowd, pace, WARM_TIME)?;
    at_border();
    crowd.begin_figures();
    let began_ns = now_ns();
    load(crowd, pace, measured)?;
    let measured = Duration::from_nanos(now_ns() - began_ns);
    at_border();
    let answered = crowd.figures().answered;
    let deadline_ns = now_ns() + nanos(SETTLE_TIMEOUT);
    while now_ns() < deadline_ns && crowd.missing_count() > 0 {
        turn(crowd, PATIENCE)?;
    }
    let figures = Figures { answered, ..crowd.figures().clone() };
    Ok(Phase { measured, figures, lost: crowd.missing_count() })
}

fn load<P: Peer>(crowd: &mut Crowd<P>, pace: Pace, time: Duration) -> Result<()> {
    let until_ns = now_ns() + nanos(time);
    match pace {
        Pace::Window(window) => {
            while now_ns() < until_ns {
                crowd.fill_windows(window)?;
                turn(crowd, PATIENCE)?;
            }
        }
        Pace::PerSecond(rate) => {
            let mut schedule = Schedule::new(now_ns(), rate);
            while now_ns() < until_ns {
                crowd.send_due(&mut schedule)?;
                let next = Duration::from_nanos(schedule.next_due_ns().saturating_sub(now_ns()));
                turn(crowd, next.min(PATIENCE))?;
            }
        }
    }
    Ok(())
}

fn turn<P: Peer>(crowd: &mut Crowd<P>, patience: Duration) -> Result<()> {
    let until_ack = crowd.next_ack_ns().map(|at| Duration::from_nanos(at.saturating_sub(now_ns())));
    crowd.turn(until_ack.map_or(patience, |until_ack| patience.min(until_ack)))?;
    ensure!(crowd.take_gone().is_empty(), "the server has closed a connection");
    Ok(())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
