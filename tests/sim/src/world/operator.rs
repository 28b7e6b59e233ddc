//! The store over the lives of the router: it opens, fails, is checked and restored, as by somebody who runs the product
//! and does what its messages say.

use std::time::Duration;

use super::{Event, World};
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::process::{Input, ProcessId};
use crate::promise::{Broken, Promise};
use crate::router_host::RouterHost;
use crate::sighting::Place;
use crate::store::{Death, Harm, News};

/// Whoever runs it notices within this time what it says.
const NOTICE_MAX: Duration = Duration::from_secs(2);
/// A process ends and the next one begins within this time.
const RESTART_MAX: Duration = Duration::from_millis(500);
/// Rot that nothing has met is looked for after this time.
const ROT_MAX: Duration = Duration::from_secs(15);
/// An operator who was not told that a message is erased orders it again after this time.
const ERASE_AGAIN: Duration = Duration::from_secs(1);
/// So many of a thousand processes are lost while they open or check the store, or soon after, when they prepare a file.
const LOST_PER_MILLE: u64 = 500;

impl World {
    /// The router's process has begun.
    pub(super) fn open_store(&mut self) {
        if self.wants_check {
            self.store.check(self.at);
        } else {
            self.store.open(self.at);
        }
        if !self.is_calm && self.prng.chance(LOST_PER_MILLE) {
            self.store.harm(Harm::Interrupts);
        }
    }

    pub(super) fn hear_of_store(&mut self, news: News) {
        self.trace.note(self.at, format_args!("store says {news:?}"));
        match news {
            News::Opened { epoch, is_read_only } => {
                if let Err(broken) = self.is_all_there() {
                    self.broken.get_or_insert(broken);
                }
                let life = self.process(ProcessId::Router).life;
                self.router = Some(RouterHost::new(self.router_config, self.store.traits(), life, epoch));
                self.listeners.insert(ProcessId::Router);
                self.arrive(ProcessId::Router, Input::Start);
                if is_read_only {
                    self.wants_check = true;
                    let at = self.at + self.prng.between(Duration::ZERO, NOTICE_MAX);
                    self.agenda.note(at, Event::CheckStore(life));
                }
            }
            News::Checked => {
                if let Some((fault @ (Fault::BitRotten | Fault::BitRottenLater), _)) = self.rotten {
                    let what = format!("a check has passed over a bit that has rotted ({fault:?})");
                    self.broken.get_or_insert(Broken::new(Promise::P10, what));
                }
                self.wants_check = false;
                self.work.checks_passed += 1;
                self.end_router(Death::OfProcess);
                self.start_within(ProcessId::Router, RESTART_MAX);
            }
            News::Pressed(is_pressed) => self.arrive(ProcessId::Router, Input::Pressed(is_pressed)),
            News::Damaged(what) | News::Refused(what) => self.hear_of_damage(what),
            News::Failed(_) => {
                self.end_router(Death::OfProcess);
                self.start_within(ProcessId::Router, NOTICE_MAX);
            }
            News::Interrupted => {
                let death = if self.prng.chance(250) { Death::OfProcess } else { Death::OfMachine };
                self.end_router(death);
                self.start_within(ProcessId::Router, RESTART_MAX);
            }
        }
    }

    /// One of the messages that were acknowledged is to go.
    pub(super) fn begin_erasure(&mut self, draw: u64) {
        let Ledger { acked, sent, .. } = &self.ledger;
        let messages: Vec<Place> =
            acked.iter().filter(|(name, _)| sent.contains_key(name)).map(|(_, place)| *place).collect();
        if let Some(place) = messages.get((draw % messages.len().max(1) as u64) as usize).copied() {
            self.ledger.erasures.entry(place).or_insert(false);
            self.erase(place);
        }
    }

    /// Until it is done.
    pub(super) fn erase(&mut self, place: Place) {
        if self.ledger.erasures.get(&place) == Some(&true) {
            return;
        }
        if self.router.is_some() {
            self.arrive(ProcessId::Router, Input::Erase(place));
        }
        self.agenda.note(self.at + ERASE_AGAIN, Event::Erase(place));
    }

    /// The router is read-only: it is stopped, for a check.
    pub(super) fn check_store(&mut self, life: u64) {
        if self.process(ProcessId::Router).life == life {
            self.end_router(Death::OfProcess);
            self.start_within(ProcessId::Router, RESTART_MAX);
        }
    }

    /// What is lost shows here first, before anybody is served from what is left.
    fn is_all_there(&mut self) -> Result<(), Broken> {
        self.with_evidence(|evidence| evidence.check_acked())
    }

    /// A bit rots, and sooner or later somebody reads it.
    pub(super) fn rot(&mut self, fault: Fault) -> bool {
        let harm = if fault == Fault::IndexRotten { Harm::IndexRots } else { Harm::BitRots };
        if self.rotten.is_some() || self.router.is_none() || !self.store.harm(harm) {
            return false;
        }
        self.rotten = Some((fault, false));
        let is_opened = fault == Fault::BitRotten || (fault == Fault::IndexRotten && self.prng.chance(500));
        if is_opened {
            self.end_router(Death::OfProcess);
            self.start_within(ProcessId::Router, RESTART_MAX);
        }
        self.agenda.note(self.at + ROT_MAX, Event::ClearUp(fault));
        true
    }

    /// The process ends; whoever runs it puts back what was there, and it goes on.
    fn hear_of_damage(&mut self, what: String) {
        let Some((fault, is_reported)) = &mut self.rotten else {
            let what = format!("a record is damaged on a disk that has kept everything: {what}");
            self.broken.get_or_insert(Broken::new(Promise::P1, what));
            return;
        };
        if !std::mem::replace(is_reported, true) {
            if !self.wants_check {
                self.faults.matter(*fault);
            }
            let at = self.at + self.prng.between(Duration::ZERO, NOTICE_MAX);
            self.agenda.note(at, Event::RestoreStore);
        }
        self.end_router(Death::OfProcess);
    }

    pub(super) fn restore_store(&mut self) {
        self.rotten = None;
        self.store.heal(Harm::BitRots);
        self.start_within(ProcessId::Router, RESTART_MAX);
    }

    /// Nobody has met the rot in all this time: a check must.
    pub(super) fn look_for_rot(&mut self) {
        if self.rotten.is_some_and(|(_, is_reported)| !is_reported) {
            self.wants_check = true;
            if self.is_up(ProcessId::Router) {
                self.end_router(Death::OfProcess);
            }
            self.start_within(ProcessId::Router, RESTART_MAX);
        }
    }

    /// Nobody has complained: an index that is read and damaged is made anew.
    pub(super) fn restore_index(&mut self) {
        if self.rotten.take_if(|rotten| *rotten == (Fault::IndexRotten, false)).is_some() {
            let replaced_before = self.store.toll().replaced;
            self.store.heal(Harm::IndexRots);
            if self.store.toll().replaced > replaced_before {
                self.faults.matter(Fault::IndexRotten);
            }
        }
    }
}
