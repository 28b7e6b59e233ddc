//! A router on a real folder, with the gateway's end of its link in the test.

use std::path::{Path, PathBuf};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use protocol::ids::{DeviceGeneration, DeviceId, Realm, SessionId, StoreIncarnation, UserEpoch, UserId, UserSeq};
use protocol::link::{ConnectionKey, GatewayHello, GatewayMessage, LINK_VERSION, LinkEnd, RouterMessage, SessionOpen};
use protocol_shell::{LINK_BATCHES_MAX, LinkTransport};
use router_server::{Ended, NotLetIn, RouterConfig, RouterServer, StartError, StoreConfig};
use storage_log::FolderError;

const REALM: Realm = Realm(1);

struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new(name: &str) -> TemporaryFolder {
        let path = std::env::temp_dir().join(format!("router-server-{name}-{}", std::process::id()));
        let _was_not_there = std::fs::remove_dir_all(&path);
        TemporaryFolder(path)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _may_be_gone = std::fs::remove_dir_all(&self.0);
    }
}

fn start(folder: &Path) -> Result<(RouterServer, Gateway), StartError> {
    let (near, far) = LinkTransport::pair(LINK_BATCHES_MAX);
    let store = StoreConfig {
        segment_bytes: 1 << 20,
        disk_low_bytes: 0,
        ballast_bytes: 0,
        ..StoreConfig::new(folder.to_owned())
    };
    let server = RouterServer::start(RouterConfig::default(), &store, |_| {})?;
    assert_eq!(server.gate().let_in(far), Ok(()));
    Ok((server, Gateway { end: LinkEnd::default(), link: near }))
}

/// As much of a gateway as a test needs.
struct Gateway {
    end: LinkEnd,
    link: LinkTransport,
}

impl Gateway {
    fn send(&mut self, message: &GatewayMessage<'_>) {
        self.end.send_to_router(message).expect("the window is open");
        while let Some(batch) = self.end.poll_batch() {
            self.link.sender.send(batch).expect("the router lives");
        }
    }

    /// The first thing that `pick` takes of what comes.
    fn wait_for<T>(&mut self, mut pick: impl FnMut(RouterMessage<'_>) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut context = Context::from_waker(Waker::noop());
        while Instant::now() < deadline {
            let Poll::Ready(batch) = self.link.receiver.poll_receive(&mut context) else {
                std::thread::yield_now();
                continue;
            };
            let mut picked = None;
            let handled = self.end.handle_batch_of_router(&batch.expect("the router lives"), |_, message| {
                picked = picked.take().or_else(|| pick(message));
            });
            handled.expect("a valid batch");
            if let Some(picked) = picked {
                return picked;
            }
        }
        panic!("nothing came");
    }

    fn open_session(&mut self, user: UserId) -> SessionId {
        let hello = GatewayHello { version: LINK_VERSION, gateway_id: 0, shard_index: 0, gateway_incarnation: 1 };
        self.send(&GatewayMessage::Hello(hello));
        self.send(&GatewayMessage::SessionOpen(SessionOpen {
            connection: ConnectionKey(7),
            user,
            device: DeviceId(0),
            device_generation: DeviceGeneration(0),
            install_id: None,
            device_name: "",
            transient: true,
            store_incarnation: StoreIncarnation(0),
            user_epoch: UserEpoch(0),
            user_cursor: UserSeq(0),
            session: None,
        }));
        self.wait_for(|message| match message {
            RouterMessage::SessionOpened(opened) => {
                assert_eq!((opened.user, opened.handle), (user, "alice"));
                Some(opened.session)
            }
            _ => None,
        })
    }
}

fn wait_for_links(server: &RouterServer, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.published().links() != count {
        assert!(Instant::now() < deadline, "{} links instead of {count}", server.published().links());
        std::thread::yield_now();
    }
}

#[test]
fn gateways_come_and_go_while_the_router_runs_and_none_comes_after_it() {
    let folder = TemporaryFolder::new("gate");
    let (server, first) = start(&folder.0).expect("the folder is ours");
    let gate = server.gate();
    let (near, far) = LinkTransport::pair(LINK_BATCHES_MAX);
    assert_eq!(gate.let_in(far), Ok(()));
    wait_for_links(&server, 2);
    drop(first);
    wait_for_links(&server, 1);
    let alice = server.ensure_user(REALM, "alice").expect("a healthy store").id;
    Gateway { end: LinkEnd::default(), link: near }.open_session(alice);
    assert_eq!(server.stop(), Ended::Stopped);
    let (_near, far) = LinkTransport::pair(LINK_BATCHES_MAX);
    assert_eq!(gate.let_in(far), Err(NotLetIn));
}

#[test]
fn a_restart_keeps_users_and_gives_later_sessions_higher_ids() {
    let folder = TemporaryFolder::new("restart");
    let mut last = SessionId(0);
    let mut user = None;
    for _ in 0..3 {
        let (server, mut gateway) = start(&folder.0).expect("the folder is ours");
        let alice = server.ensure_user(REALM, "alice").expect("a healthy store").id;
        assert_eq!(*user.get_or_insert(alice), alice);
        assert_eq!(server.ensure_user(REALM, "alice").expect("a healthy store").id, alice);
        let session = gateway.open_session(alice);
        assert!(session > last, "{session:?} after {last:?}");
        last = session;
        assert_eq!(server.stop(), Ended::Stopped);
    }
}

#[test]
fn a_folder_in_use_is_refused_and_says_by_whom() {
    let folder = TemporaryFolder::new("in-use");
    let (server, _gateway) = start(&folder.0).expect("the folder is ours");
    match start(&folder.0) {
        Err(StartError::Folder(FolderError::InUse { pid, .. })) => assert_eq!(pid, Some(std::process::id())),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("two routers on one folder"),
    }
    assert_eq!(server.stop(), Ended::Stopped);
}

#[test]
fn a_gateway_that_breaks_the_rules_loses_its_link_and_nothing_else() {
    let folder = TemporaryFolder::new("rules");
    let (server, mut gateway) = start(&folder.0).expect("the folder is ours");
    wait_for_links(&server, 1);
    gateway.link.sender.send(b"no batch at all".to_vec()).expect("the router lives");
    wait_for_links(&server, 0);
    assert!(server.ensure_user(REALM, "bob").is_ok());
    assert_eq!(server.stop(), Ended::Stopped);
}
