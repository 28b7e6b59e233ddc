//! Values that are each in their range and cannot be meant together.

use protocol::limits::PAGE_SIZE_MAX;

use super::settings::Settings;

/// Keys that contradict each other, and why.
pub(super) struct Contradiction {
    /// The one that is named first is the likelier mistake.
    pub(super) keys: [&'static str; 2],
    pub(super) why: String,
}

pub(super) fn find(settings: &Settings) -> Vec<Contradiction> {
    let Settings { gateway, router, store, .. } = settings;
    let mut found = Vec::new();
    let mut refuse = |keys, is_wrong: bool, why: String| {
        if is_wrong {
            found.push(Contradiction { keys, why });
        }
    };
    let owed_bytes = router.push_window_bytes + PAGE_SIZE_MAX;
    refuse(
        ["gateway.send_queue_bytes_max", "router.push_window_bytes"],
        (gateway.shard.send_queue_bytes_max as usize) < owed_bytes,
        format!(
            "gateway.send_queue_bytes_max must be at least {owed_bytes}: what router.push_window_bytes lets a router push \
             without an ack, and one page"
        ),
    );
    refuse(
        ["router.store_retry_min_ms", "router.store_retry_max_ms"],
        router.store_retry_min > router.store_retry_max,
        "router.store_retry_min_ms is above router.store_retry_max_ms".to_owned(),
    );
    refuse(
        ["gateway.drain_timeout_ms", "gateway.close_timeout_ms"],
        gateway.drain_timeout < gateway.close_timeout,
        "gateway.drain_timeout_ms is below gateway.close_timeout_ms: a drain would cut who is only being closed"
            .to_owned(),
    );
    refuse(
        ["store.ballast_mib", "store.segment_bytes"],
        (1..store.segment_bytes).contains(&store.ballast_bytes),
        "store.ballast_mib is less than a segment (store.segment_bytes), and of no use then; 0 is none".to_owned(),
    );
    refuse(
        ["gateway.certificate_file", "gateway.certificate_key_file"],
        settings.certificate_file.is_some() != settings.certificate_key_file.is_some(),
        "gateway.certificate_file and gateway.certificate_key_file belong together: set both or none".to_owned(),
    );
    let listeners =
        [("gateway.listen", gateway.listen), ("admin.listen", settings.admin), ("http.listen", settings.http)];
    let others = settings.link.listen.map(|address| ("link.listen", address));
    let listeners: Vec<_> = listeners.into_iter().chain(others).collect();
    for (index, (key, address)) in listeners.iter().enumerate() {
        for (other, _) in listeners.iter().skip(index + 1).filter(|(_, other)| other == address && other.port() != 0) {
            refuse([key, other], true, format!("{key} and {other} are both {address}"));
        }
    }
    found
}
