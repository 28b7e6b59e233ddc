//! A store over plain rows, with latency, failures, unknown outcomes and crashes, in two shapes.
//!
//! *One log*: a write is atomic, writes become durable and complete in order, and a crash keeps some first part of what
//! was under way. *Single rows*: every row becomes durable alone and in any order; at a crash each row under way is
//! durable, lost, or still to come.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::ids::{Epoch, StoreIncarnation};
use protocol::time::Instant;
use protocol::wire::Durability;
use storage_api::{Request, Response, StoreError, StoreToken, StoreTraits};

use super::database::{Database, Row};
use super::{Completion, Death, News, Store, StoreToll, Weather};
use crate::agenda::Agenda;
use crate::prng::Prng;

/// Nothing is faster.
const LATENCY_MIN: Duration = Duration::from_micros(50);
/// A row whose writer has given up on it, or is dead, becomes durable within this time or never.
const LATE_MAX: Duration = Duration::from_secs(4);
/// When the store stops waiting for itself and says that it does not know.
const UNKNOWN_AFTER: Duration = Duration::from_millis(400);

enum Step {
    /// Becomes durable at once.
    Apply(Vec<Row>),
    /// Likewise, after the death of its writer.
    ApplyLate(Row),
    /// Is looked at now and answered later.
    Answer(StoreToken, Request, Answer),
    Complete(StoreToken, Result<Response, StoreError>),
}

#[derive(Clone, Copy)]
struct Answer {
    completes_at: Instant,
    outcome_is_told: bool,
}

/// See the file's head.
pub struct SimulatedStore {
    traits: StoreTraits,
    database: Database,
    prng: Prng,
    weather: Weather,
    fair: Weather,
    toll: StoreToll,
    steps: Agenda<Step>,
    requests_under_way: usize,
    epoch: Epoch,
    news: VecDeque<News>,
    /// One log: no later write is durable before this.
    log_durable_at: Instant,
    /// One log: no later write completes before this.
    log_complete_at: Instant,
}

impl SimulatedStore {
    /// Empty. `fair` is how it is without faults.
    pub fn new(one_log: bool, fair: Weather, prng: Prng) -> SimulatedStore {
        SimulatedStore {
            traits: StoreTraits {
                one_log,
                durability: if one_log { Durability::Fsync } else { Durability::QuorumSync },
                incarnation: StoreIncarnation(1),
            },
            database: Database::default(),
            prng,
            weather: fair,
            fair,
            toll: StoreToll::default(),
            steps: Agenda::default(),
            requests_under_way: 0,
            epoch: Epoch(0),
            news: VecDeque::new(),
            log_durable_at: Instant::default(),
            log_complete_at: Instant::default(),
        }
    }

    fn latency(&mut self) -> Duration {
        self.prng.between(LATENCY_MIN, self.weather.latency_max)
    }

    fn write_to_log(&mut self, now: Instant, token: StoreToken, rows: Vec<Row>) {
        self.log_durable_at = self.log_durable_at.max(now + self.latency());
        self.log_complete_at = self.log_complete_at.max(self.log_durable_at + self.latency());
        self.steps.note(self.log_durable_at, Step::Apply(rows));
        self.steps.note(self.log_complete_at, Step::Complete(token, Ok(Response::Written)));
    }

    fn write_rows(&mut self, now: Instant, token: StoreToken, rows: Vec<Row>) {
        if self.prng.chance(self.weather.unknown_per_mille) {
            self.toll.unknown += 1;
            for row in rows {
                self.give_up(now, row);
            }
            self.steps.note(now + UNKNOWN_AFTER, Step::Complete(token, Err(StoreError::UnknownOutcome)));
            return;
        }
        let mut durable_at = now;
        for row in rows {
            let at = now + self.latency();
            durable_at = durable_at.max(at);
            self.steps.note(at, Step::Apply(vec![row]));
        }
        let completes_at = durable_at + self.latency();
        self.steps.note(completes_at, Step::Complete(token, Ok(Response::Written)));
    }

    /// Nobody waits for this row any more: it is durable now, later, or never.
    fn give_up(&mut self, now: Instant, row: Row) {
        match self.prng.below(3) {
            0 => self.database.apply(row),
            1 => {
                let at = now + self.prng.between(LATENCY_MIN, LATE_MAX);
                self.steps.note(at, Step::ApplyLate(row));
            }
            _ => self.toll.lost += 1,
        }
    }

    fn ask(&mut self, now: Instant, token: StoreToken, request: Request) {
        let registers = matches!(request, Request::EnsureUser { .. } | Request::RegisterDevice { .. });
        let outcome_is_told = !registers || self.traits.one_log || !self.prng.chance(self.weather.unknown_per_mille);
        if !outcome_is_told {
            self.toll.unknown += 1;
        }
        let answered_at = now + self.latency();
        let answer = Answer { completes_at: answered_at + self.latency(), outcome_is_told };
        self.steps.note(answered_at, Step::Answer(token, request, answer));
    }

    fn answer(&mut self, token: StoreToken, request: &Request, answer: Answer) {
        let response = self.database.answer(request);
        let result = if answer.outcome_is_told { Ok(response) } else { Err(StoreError::UnknownOutcome) };
        self.steps.note(answer.completes_at, Step::Complete(token, result));
    }
}

impl Store for SimulatedStore {
    fn traits(&self) -> StoreTraits {
        self.traits
    }

    fn open(&mut self, _now: Instant) {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.news.push_back(News::Opened { epoch: self.epoch, is_read_only: false });
    }

    fn submit(&mut self, now: Instant, token: StoreToken, request: Request) {
        self.requests_under_way += 1;
        // One log takes writes in order or not at all: it never refuses one and takes the next.
        let is_refusable = !(self.traits.one_log && matches!(request, Request::Write(_)));
        if is_refusable && self.prng.chance(self.weather.unavailable_per_mille) {
            self.toll.refused += 1;
            let at = now + self.latency();
            self.steps.note(at, Step::Complete(token, Err(StoreError::Unavailable)));
            return;
        }
        if self.weather.latency_max > self.fair.latency_max {
            self.toll.slowed += 1;
        }
        match request {
            Request::Write(mutations) => {
                assert!(!mutations.is_empty(), "a write writes something");
                let rows = mutations.into_iter().flat_map(Row::of).collect();
                if self.traits.one_log {
                    self.write_to_log(now, token, rows)
                } else {
                    self.write_rows(now, token, rows)
                }
            }
            request => self.ask(now, token, request),
        }
    }

    fn poll(&mut self, now: Instant) -> Vec<Completion> {
        let mut completions = Vec::new();
        while let Some((_, step)) = self.steps.pop_due(now) {
            match step {
                Step::Apply(rows) => rows.into_iter().for_each(|row| self.database.apply(row)),
                Step::ApplyLate(row) => {
                    self.toll.late += 1;
                    self.database.apply(row);
                }
                Step::Answer(token, request, answer) => self.answer(token, &request, answer),
                Step::Complete(token, result) => {
                    self.requests_under_way -= 1;
                    completions.push((token, result));
                }
            }
        }
        completions
    }

    fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    fn next_at(&self) -> Option<Instant> {
        self.steps.next_at()
    }

    fn under_way(&self) -> usize {
        self.requests_under_way
    }

    fn crash(&mut self, now: Instant, _death: Death) {
        self.requests_under_way = 0;
        (self.log_durable_at, self.log_complete_at) = (now, now);
        let mut log_goes_on = self.traits.one_log;
        for (at, step) in self.steps.drain() {
            match step {
                Step::Apply(rows) if self.traits.one_log => {
                    log_goes_on = log_goes_on && self.prng.chance(700);
                    if log_goes_on {
                        rows.into_iter().for_each(|row| self.database.apply(row));
                    } else {
                        self.toll.lost += 1;
                    }
                }
                Step::Apply(rows) => rows.into_iter().for_each(|row| self.give_up(now, row)),
                Step::ApplyLate(row) => self.steps.note(at, Step::ApplyLate(row)),
                Step::Answer(..) | Step::Complete(..) => {}
            }
        }
    }

    fn set_weather(&mut self, weather: Option<Weather>) {
        self.weather = weather.unwrap_or(self.fair);
    }

    fn toll(&self) -> StoreToll {
        self.toll
    }

    fn look(&mut self, request: &Request) -> Response {
        self.database.answer(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{HERE, are_dense, seqs, void};
    use protocol::ids::Seq;

    #[test]
    fn one_log_keeps_a_first_part_at_a_crash_and_completes_in_order() {
        let mut cut_short = 0;
        for seed in 0..50 {
            let mut store = SimulatedStore::new(true, Weather::FAIR, Prng::new(seed));
            (1..=9).for_each(|seq| store.submit(Instant(0), StoreToken(seq), void(seq, 1)));
            let half = store.next_at().expect("nine writes are under way") + Duration::from_millis(2);
            let completed: Vec<u64> = store.poll(half).into_iter().map(|(token, _)| token.0).collect();
            assert!(are_dense(&completed));
            store.crash(half, Death::OfProcess);
            let kept = seqs(&mut store);
            assert!(are_dense(&kept) && kept.len() >= completed.len());
            cut_short += u32::from(kept.len() < 9);
            assert_eq!(store.poll(half + Duration::from_secs(60)), []);
        }
        assert!(cut_short > 10, "a crash that never loses anything proves nothing");
    }

    #[test]
    fn single_rows_leave_holes_and_arrive_late() {
        let (mut holes, mut late) = (0, 0);
        for seed in 0..50 {
            let mut store = SimulatedStore::new(false, Weather::FAIR, Prng::new(seed));
            (1..=9).for_each(|seq| store.submit(Instant(0), StoreToken(seq), void(seq, 1)));
            store.crash(Instant(1), Death::OfProcess);
            let at_once = seqs(&mut store);
            holes += u32::from(!are_dense(&at_once));
            store.poll(Instant(1) + LATE_MAX);
            late += u32::from(seqs(&mut store).len() > at_once.len());
        }
        assert!(holes > 10 && late > 10);
    }

    #[test]
    fn of_two_rows_of_one_place_the_higher_epoch_counts_whenever_it_came() {
        let mut store = SimulatedStore::new(false, Weather::FAIR, Prng::new(1));
        for epoch in [2, 1] {
            store.submit(Instant(0), StoreToken(epoch), void(1, epoch));
            store.poll(Instant(u64::MAX));
        }
        let Response::Conversation(Some(row)) = store.look(&Request::LoadConversation(HERE)) else {
            panic!("it is there")
        };
        assert_eq!(row.head, Seq(1));
        let read = Request::ReadEntries {
            conversation: HERE,
            from: Seq(1),
            to: Seq(1),
            newest_first: false,
            count_max: 1,
            bytes_max: 1,
        };
        let Response::Entries(entries) = store.look(&read) else { panic!("entries were asked for") };
        assert_eq!(entries.iter().map(|entry| entry.epoch).collect::<Vec<_>>(), [Epoch(2)]);
    }
}
