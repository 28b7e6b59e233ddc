//! The adapter alone: each fault has its effect, and what was told is kept.

use std::ops::RangeInclusive;

use super::*;
use crate::store::fixtures::{are_dense, seqs, void};

/// One store, and what it said.
struct Bench {
    store: EmbeddedHost,
    at: Instant,
    written: Vec<u64>,
    news: Vec<News>,
}

impl Bench {
    fn new(seed: u64, lies: bool) -> Bench {
        let store = EmbeddedHost::new(&["alice".to_owned()], Weather::FAIR, lies, Prng::new(seed));
        Bench { store, at: Instant::default(), written: Vec::new(), news: Vec::new() }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.at + duration;
        while let Some(next) = self.store.next_at().filter(|next| *next <= end) {
            self.at = self.at.max(next);
            self.written.extend(self.store.poll(self.at).into_iter().map(|(token, _)| token.0));
            self.news.extend(std::iter::from_fn(|| self.store.poll_news()));
        }
        self.at = end;
    }

    /// Opens it, and answers what it says then.
    fn open(&mut self) -> News {
        self.store.open(self.at);
        self.first_news()
    }

    fn first_news(&mut self) -> News {
        self.news.clear();
        while self.news.is_empty() {
            self.run(Duration::from_millis(1));
        }
        self.news.remove(0)
    }

    fn open_to_serve(&mut self) {
        let news = self.open();
        assert!(matches!(news, News::Opened { is_read_only: false, .. }), "{news:?}");
    }

    /// Writes these places, one after the other, each before the one before is durable.
    fn write(&mut self, seqs: RangeInclusive<u64>) {
        self.write_every(Duration::from_micros(300), seqs);
    }

    fn write_every(&mut self, interval: Duration, seqs: RangeInclusive<u64>) {
        for seq in seqs {
            self.store.submit(self.at, StoreToken(seq), void(seq, 1));
            self.run(interval);
        }
    }

    fn crash(&mut self, death: Death) {
        self.store.crash(self.at, death);
    }

    fn kept(&mut self) -> Vec<u64> {
        self.store.reread().expect("what is on the medium can be read");
        seqs(&mut self.store)
    }
}

#[test]
fn what_was_told_durable_survives_a_kill_and_a_loss_of_power() {
    let (mut told, mut cut_short) = (0, 0);
    for seed in 0..60 {
        let mut bench = Bench::new(seed, false);
        bench.open_to_serve();
        bench.write(1..=30);
        bench.crash(if seed % 2 == 0 { Death::OfProcess } else { Death::OfMachine });
        bench.open_to_serve();
        let kept = bench.kept();
        assert!(are_dense(&bench.written) && are_dense(&kept), "seed {seed}: {kept:?}");
        assert!(kept.len() >= bench.written.len(), "seed {seed}: {kept:?}");
        told += bench.written.len();
        cut_short += u32::from(kept.len() < 30);
    }
    assert!(told > 200 && cut_short > 20, "a crash that loses nothing, or all, proves nothing: {told}, {cut_short}");
}

#[test]
fn a_disk_that_lies_about_syncs_has_nothing_on_its_medium() {
    let mut bench = Bench::new(1, true);
    bench.open_to_serve();
    bench.write(1..=30);
    bench.run(Duration::from_secs(1));
    assert_eq!((bench.written.len(), bench.kept()), (30, Vec::new()));
}

#[test]
fn a_failed_sync_ends_the_process_and_the_next_ones_only_read_until_a_check_has_passed() {
    let mut bench = Bench::new(1, false);
    bench.open_to_serve();
    bench.write(1..=10);
    bench.run(Duration::from_secs(1));
    assert!(bench.store.harm(Harm::SyncFails));
    bench.write(11..=20);
    bench.run(Duration::from_secs(1));
    assert!(matches!(bench.news.last(), Some(News::Failed(_))), "{:?}", bench.news);
    for _ in 0..2 {
        bench.crash(Death::OfProcess);
        let news = bench.open();
        assert!(matches!(news, News::Opened { is_read_only: true, .. }), "{news:?}");
    }
    bench.crash(Death::OfProcess);
    bench.store.check(bench.at);
    assert_eq!(bench.first_news(), News::Checked);
    bench.crash(Death::OfProcess);
    bench.open_to_serve();
    let kept = bench.kept();
    assert!(are_dense(&kept) && kept.len() >= bench.written.len(), "{kept:?}");
}

#[test]
fn a_rotten_bit_keeps_it_from_opening_until_it_is_put_back() {
    for seed in 0..60 {
        let mut bench = Bench::new(seed, false);
        bench.open_to_serve();
        bench.write(1..=30);
        bench.run(Duration::from_secs(1));
        assert!(bench.store.harm(Harm::BitRots));
        assert!(!bench.store.harm(Harm::BitRots), "one at a time");
        bench.crash(Death::OfProcess);
        let news = bench.open();
        assert!(matches!(news, News::Refused(_)), "seed {seed}: {news:?}");
        bench.crash(Death::OfProcess);
        bench.store.heal(Harm::BitRots);
        bench.open_to_serve();
        assert_eq!(bench.kept().len(), 30);
    }
}

#[test]
fn a_rotten_index_is_made_anew() {
    let mut replaced = 0;
    for seed in 0..20 {
        let mut bench = Bench::new(seed, false);
        bench.open_to_serve();
        // Each is a batch of its own, which fills a sector.
        bench.write_every(Duration::from_millis(10), 1..=900);
        bench.run(Duration::from_secs(1));
        assert!(bench.store.harm(Harm::IndexRots), "a full segment has an index");
        bench.crash(Death::OfProcess);
        bench.open_to_serve();
        bench.run(Duration::from_secs(1));
        bench.store.heal(Harm::IndexRots);
        assert_eq!(bench.kept().len(), 900);
        replaced += bench.store.toll().replaced;
    }
    assert!(replaced > 0, "no opening has met the rot");
}

#[test]
fn a_full_disk_is_told_and_so_is_its_end() {
    let mut bench = Bench::new(1, false);
    bench.open_to_serve();
    assert!(bench.store.harm(Harm::Full));
    bench.run(Duration::from_secs(3));
    bench.store.heal(Harm::Full);
    bench.run(Duration::from_secs(3));
    assert_eq!(bench.news, [News::Pressed(true), News::Pressed(false)]);
}
