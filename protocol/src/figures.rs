//! What a part of the product counts and measures: each figure stands once, with what an operator needs to know of it, and
//! `/metrics` and its catalogue are both made from that.
//!
//! Not here: the text format, and how a figure gets from the thread that counts to whoever is asked. Figures are plain
//! integers that one thread writes; none takes a lock, allocates or reads a clock.

mod by_code;
mod histogram;

use core::time::Duration;

pub use by_code::ByCode;
pub use histogram::{Buckets, Histogram, Sizes, Times};

/// How a figure moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from 0 at the start of the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts of values by size, which only rise.
    Histogram,
}

/// One metric, with what an operator needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// As it is exposed; a unit comes last, before `_total`.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Tells its samples apart; empty where there is one.
    pub label: &'static str,
    /// What it says, in one sentence.
    pub about: &'static str,
    /// When to look at it, and what to do then.
    pub look: &'static str,
}

/// A part's figures, in a fixed order.
pub trait Figures {
    /// Shows every family once, each followed by its samples.
    fn visit(&self, visitor: &mut dyn Visitor);
}

/// Whoever exports figures.
pub trait Visitor {
    /// A family begins.
    fn family(&mut self, family: &Family);
    /// A sample of it. `label` is the value of the family's label, empty where it has none.
    fn number(&mut self, label: &str, value: u64);
    /// Likewise, of a time.
    fn time(&mut self, label: &str, value: Duration);
    /// Likewise, of a histogram.
    fn buckets(&mut self, buckets: Buckets<'_>);
}

/// What a field of [`figures!`](crate::figures!) can be.
pub trait Figure {
    /// What its samples are told apart by.
    const LABEL: &'static str = "";
    /// Shows its samples.
    fn show(&self, visitor: &mut dyn Visitor);
    /// Takes in the same figure of another thread: a sum, and of what is true or not whether it is true of both.
    fn merge(&mut self, other: &Self);
}

impl Figure for u64 {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.number("", *self);
    }

    fn merge(&mut self, other: &u64) {
        *self += other;
    }
}

impl Figure for bool {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.number("", (*self).into());
    }

    fn merge(&mut self, other: &bool) {
        *self &= other;
    }
}

/// A struct of figures: a prefix of their names, and for each field its kind, its type, what it says and when to look at
/// it.
#[macro_export]
macro_rules! figures {
    (
        $(#[$meta:meta])*
        pub struct $name:ident of $part:literal {
            $($kind:ident $field:ident: $type:ty, $about:literal, $look:literal;)+
        }
    ) => {
        $(#[$meta])*
        pub struct $name { $(#[doc = $about] pub $field: $type,)+ }

        impl $name {
            /// Takes in what another thread has counted of the same.
            pub fn merge(&mut self, other: &$name) {
                $($crate::figures::Figure::merge(&mut self.$field, &other.$field);)+
            }
        }

        impl $crate::figures::Figures for $name {
            fn visit(&self, visitor: &mut dyn $crate::figures::Visitor) {
                $(
                    visitor.family(&$crate::figures::Family {
                        name: $crate::figures!(@name $kind $part $field),
                        kind: $crate::figures!(@kind $kind),
                        label: <$type as $crate::figures::Figure>::LABEL,
                        about: $about,
                        look: $look,
                    });
                    $crate::figures::Figure::show(&self.$field, visitor);
                )+
            }
        }
    };
    (@name counter $part:literal $field:ident) => { concat!("ringpost_", $part, "_", stringify!($field), "_total") };
    (@name $kind:ident $part:literal $field:ident) => { concat!("ringpost_", $part, "_", stringify!($field)) };
    (@kind counter) => { $crate::figures::Kind::Counter };
    (@kind gauge) => { $crate::figures::Kind::Gauge };
    (@kind histogram) => { $crate::figures::Kind::Histogram };
}

#[cfg(test)]
mod tests {
    #![expect(unreachable_pub, reason = "what is shown elsewhere is public")]

    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    figures! {
        /// Of a test.
        #[derive(Default)]
        pub struct Sample of "test" {
            counter frames: u64, "Frames.", "Never.";
            gauge held_bytes: u64, "Bytes.", "Often.";
            gauge ready: bool, "1 when ready.", "At a start.";
            histogram turn_seconds: Times, "Turns.", "When slow.";
        }
    }

    #[derive(Default)]
    struct Names(Vec<(&'static str, Kind)>, Vec<u64>);

    impl Visitor for Names {
        fn family(&mut self, family: &Family) {
            self.0.push((family.name, family.kind));
        }
        fn number(&mut self, label: &str, value: u64) {
            assert_eq!(label.to_string(), "");
            self.1.push(value);
        }
        fn time(&mut self, _: &str, _: Duration) {}
        fn buckets(&mut self, buckets: Buckets<'_>) {
            self.1.push(buckets.count());
        }
    }

    #[test]
    fn a_struct_of_figures_shows_each_of_them_under_its_name() {
        let mut sample = Sample { frames: 3, held_bytes: 70, ready: true, ..Sample::default() };
        sample.turn_seconds.observe(Duration::from_millis(1));
        let mut names = Names::default();
        sample.visit(&mut names);
        let expected = [
            ("ringpost_test_frames_total", Kind::Counter),
            ("ringpost_test_held_bytes", Kind::Gauge),
            ("ringpost_test_ready", Kind::Gauge),
            ("ringpost_test_turn_seconds", Kind::Histogram),
        ];
        assert_eq!((&names.0[..], &names.1[..]), (&expected[..], &[3, 70, 1, 1][..]));
    }

    #[test]
    fn figures_of_two_threads_are_summed_and_ready_are_both_or_none() {
        let mut one = Sample { frames: 3, held_bytes: 70, ready: true, ..Sample::default() };
        one.turn_seconds.observe(Duration::from_millis(1));
        let mut other = Sample { frames: 4, held_bytes: 1, ready: true, ..Sample::default() };
        other.turn_seconds.observe(Duration::from_secs(1));
        one.merge(&other);
        assert_eq!((one.frames, one.held_bytes, one.ready), (7, 71, true));
        let mut names = Names::default();
        one.turn_seconds.show(&mut names);
        assert_eq!(names.1, [2]);
        one.merge(&Sample::default());
        assert!(!one.ready);
    }
}
