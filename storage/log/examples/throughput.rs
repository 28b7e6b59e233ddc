//! Durable commits per second on a real folder: `throughput FOLDER BATCH SECONDS [SEGMENT_MIB]`.
//!
//! Keeps one batch of `BATCH` records of 300 bytes with a 24-byte key waiting while another is on its way, as a busy
//! server does, and prints rate and commit latency.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use storage_log::{
    Admission, AppendRefusal, AppendToken, Class, Disk, Log, LogEvent, LogId, LogIdentity, Monotonic, Options, Purpose,
    RealDisk, Record, Recovery, StoreIncarnation,
};

/// A real disk, and the sign that it has something to say.
struct Folder {
    disk: RealDisk,
    woken: Receiver<()>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, batch, seconds, rest @ ..] = &arguments[..] else { panic!("throughput FOLDER BATCH SECONDS") };
    let batch: u64 = batch.parse().expect("BATCH is a number");
    let seconds: u64 = seconds.parse().expect("SECONDS is a number");
    let segment_mib: u32 = rest.first().map_or(64, |mib| mib.parse().expect("SEGMENT_MIB is a number"));

    let (wake, woken) = sync_channel(1);
    let notify = move || {
        let _is_awake = wake.try_send(());
    };
    let disk = RealDisk::open(Path::new(folder), notify).expect("the folder can be used");
    let mut folder = Folder { disk, woken };
    let opening = Instant::now();
    let (log, record_count) = open(&mut folder, segment_mib << 20);
    let opened_in = opening.elapsed();
    let (rate, mut latencies_us) = measure(&mut folder, log, batch, Duration::from_secs(seconds));

    latencies_us.sort_unstable();
    let quantile = |share: f64| latencies_us[((latencies_us.len() - 1) as f64 * share) as usize];
    let line = format!(
        "batch {batch}: {rate:.0} records/s; append to ack µs: p50 {} p99 {} p999 {} max {}; \
         opened {record_count} records in {opened_in:?}\n",
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0),
    );
    std::io::stdout().write_all(line.as_bytes()).expect("standard output is open");
}

/// The log of the folder, and how many records it had.
fn open(folder: &mut Folder, segment_bytes: u32) -> (Log, u64) {
    let identity = LogIdentity { log_id: LogId([9; 16]), incarnation: StoreIncarnation(1) };
    let options = Options { segment_bytes, ..Options::new(identity) };
    let mut recovery = Recovery::new(options, Purpose::Open);
    while !recovery.is_done() {
        while let Some((id, operation)) = recovery.poll_operation() {
            folder.disk.submit(id, operation);
        }
        match folder.disk.poll_completion() {
            Some(completion) => recovery.handle_completion(completion).expect("the log can be opened"),
            None => folder.woken.recv().expect("the disk lives"),
        }
        while recovery.poll_record().expect("the log can be opened").is_some() {}
    }
    let record_count = recovery.summary().record_count;
    (recovery.finish(Monotonic::default()), record_count)
}

/// Records per second, and for each the µs from append to ack.
fn measure(folder: &mut Folder, mut log: Log, batch: u64, duration: Duration) -> (f64, Vec<u64>) {
    let started = Instant::now();
    let (mut token, mut acked) = (0u64, 0u64);
    let mut latencies_us = Vec::new();
    let mut departures = VecDeque::new();
    let (mut places, payload, mut key) = (Vec::new(), [7; 300], [0; 24]);
    while started.elapsed() < duration {
        while token - acked < 2 * batch {
            key[..8].copy_from_slice(&token.to_be_bytes());
            let record = Record { class: Class::Permanent, format_version: 1, key: &key, payload: &[&payload] };
            places.clear();
            match log.append(AppendToken(token), Admission::New, &[record], &mut places) {
                Ok(()) => departures.push_back(Instant::now()),
                Err(AppendRefusal::Full) => break,
                Err(refusal) => panic!("{refusal}"),
            }
            token += 1;
        }
        while let Some((id, operation)) = log.poll_operation() {
            folder.disk.submit(id, operation);
        }
        let _is_woken = folder.woken.recv_timeout(Duration::from_millis(10));
        let now = Monotonic(started.elapsed());
        while let Some(completion) = folder.disk.poll_completion() {
            log.handle_completion(now, completion);
        }
        log.handle_timeout(now);
        while let Some(event) = log.poll_event() {
            assert!(matches!(event, LogEvent::Appended { .. }), "{event:?}");
            acked += 1;
            let departure: Instant = departures.pop_front().expect("it was appended");
            latencies_us.push(departure.elapsed().as_micros() as u64);
        }
    }
    (acked as f64 / started.elapsed().as_secs_f64(), latencies_us)
}
