//! What a process finds that comes after one that died, at whatever byte.

use protocol::client::{Draft, Mark, OUTBOX_BYTES_MAX, Outgoing, Position, ResumeTicket};
use protocol::encode::FrameBuilder;
use protocol::ids::{ConversationId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserId, UserSeq};
use protocol::limits::{BODY_SIZE_MAX, CONTENT_TYPE_SIZE_MAX, MENTIONS_MAX};
use protocol::time::WallTime;

use super::*;

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        Folder(std::env::temp_dir().join(format!("ringpost-client-{:016x}", seed::draw())))
    }

    fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    fn open(&self) -> StateDir {
        StateDir::open(&self.0).expect("it opens")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn id(number: u64) -> ClientMsgId {
    ClientMsgId::new(WallTime(1_764_000_000_000 + number), 5)
}

fn outgoing(number: u64, body_size: usize) -> Outgoing {
    let draft = Draft::text(ConversationId([3; 16]), None, &"x".repeat(body_size));
    let frame = FrameBuilder::default().message_send(id(number), 0, &draft).to_vec();
    Outgoing::decode(&frame, number.is_multiple_of(2), number.is_multiple_of(3)).expect("it is one of ours")
}

fn progress(user_seq: u64) -> Change {
    let position =
        Position { store_incarnation: StoreIncarnation(9), user_epoch: UserEpoch(2), user_seq: UserSeq(user_seq) };
    let mark =
        Mark { conversation: ConversationId([4; 16]), held: Seq(user_seq), read: Seq(2), read_confirmed: Seq(1) };
    Change::Progress(position, vec![mark])
}

/// One of each kind.
fn changes() -> Vec<Change> {
    vec![
        Change::Registered(DeviceId(7), DeviceGeneration(2)),
        Change::Queued(outgoing(1, 10)),
        Change::Queued(outgoing(2, 0)),
        progress(40),
        Change::Attempted,
        Change::Renamed { from: id(1), to: outgoing(5, 300) },
        Change::Queued(outgoing(6, 5)),
        Change::Answered(id(2)),
        Change::Ticket(ResumeTicket([1, 2, 3].into())),
    ]
}

#[test]
fn what_was_written_is_there_for_the_next_process() {
    let folder = Folder::new();
    let mut state_dir = folder.open();
    let mut expected = state_dir.state().clone();
    for change in changes() {
        state_dir.write(std::slice::from_ref(&change)).expect("it writes");
        expected.apply(&change);
        assert_eq!(*state_dir.state(), expected);
        drop(state_dir);
        state_dir = folder.open();
        assert_eq!(*state_dir.state(), expected);
    }
    assert_eq!((expected.device, expected.outbox.len(), expected.marks.len()), (DeviceId(7), 2, 1));
}

#[test]
fn an_installation_keeps_its_name_and_another_one_has_another() {
    let (folder, other) = (Folder::new(), Folder::new());
    let install_id = folder.open().state().install_id;
    assert!(install_id.is_uuid_v7());
    assert_eq!(folder.open().state().install_id, install_id);
    assert_ne!(other.open().state().install_id, install_id);
}

#[test]
fn a_second_one_is_told_who_has_the_folder() {
    let folder = Folder::new();
    let first = folder.open();
    let Err(error) = StateDir::open(&folder.0) else { panic!("it is in use") };
    let StateError::InUse { pid, .. } = &error else { panic!("in use: {error}") };
    assert_eq!(*pid, Some(std::process::id()));
    assert!(error.to_string().contains(&std::process::id().to_string()));
    drop(first);
    folder.open();
}

#[cfg(unix)]
#[test]
fn the_folder_is_for_its_owner_alone() {
    let folder = Folder::new();
    folder.open();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&folder.0).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_batch_is_there_whole_or_not_at_all_wherever_it_is_torn() {
    let folder = Folder::new();
    let mut state_dir = folder.open();
    state_dir.write(&changes()[..3]).expect("it writes");
    let (before, size_before) = (state_dir.state().clone(), fs::read(folder.journal()).expect("it is there").len());
    state_dir.write(&changes()[3..]).expect("it writes");
    let after = state_dir.state().clone();
    drop(state_dir);
    let bytes = fs::read(folder.journal()).expect("it is there");
    for size in size_before..bytes.len() {
        fs::write(folder.journal(), &bytes[..size]).expect("it writes");
        let mut state_dir = folder.open();
        assert_eq!(*state_dir.state(), before, "torn at {size}");
        state_dir.write(&changes()[3..]).expect("it goes on");
        drop(state_dir);
        assert_eq!(fs::read(folder.journal()).expect("it is there"), bytes);
    }
    // A power cut may also leave the size of what was written and not its bytes.
    let mut zeros = bytes.clone();
    zeros[size_before..].fill(0);
    fs::write(folder.journal(), &zeros).expect("it writes");
    assert_eq!(*folder.open().state(), before);
    fs::write(folder.journal(), &bytes).expect("it writes");
    assert_eq!(*folder.open().state(), after);
}

#[test]
fn a_bad_byte_before_the_last_batch_is_damage() {
    let folder = Folder::new();
    let mut state_dir = folder.open();
    changes().chunks(2).for_each(|batch| state_dir.write(batch).expect("it writes"));
    let last_batch_at = fs::read(folder.journal()).expect("it is there").len();
    state_dir.write(&[progress(41)]).expect("it writes");
    drop(state_dir);
    let bytes = fs::read(folder.journal()).expect("it is there");
    for place in 0..last_batch_at {
        let mut rotten = bytes.clone();
        rotten[place] ^= 0x10;
        fs::write(folder.journal(), &rotten).expect("it writes");
        match StateDir::open(&folder.0).err() {
            Some(StateError::Damaged { offset, .. }) => assert!(offset <= place as u64),
            Some(StateError::TooNew { .. }) => assert!((12..16).contains(&place)),
            other => panic!("byte {place}: {other:?}"),
        }
    }
}

#[test]
fn a_journal_of_a_later_version_is_refused() {
    let folder = Folder::new();
    folder.open();
    let mut bytes = fs::read(folder.journal()).expect("it is there");
    bytes[12] = 3;
    fs::write(folder.journal(), &bytes).expect("it writes");
    let error = StateDir::open(&folder.0).err();
    assert!(matches!(error, Some(StateError::TooNew { version: 3, .. })), "{error:?}");
}

#[test]
fn a_journal_of_an_earlier_version_becomes_one_of_this() {
    let folder = Folder::new();
    let mut state_dir = folder.open();
    state_dir.write(&changes()).expect("it writes");
    let expected = state_dir.state().clone();
    drop(state_dir);
    let mut bytes = fs::read(folder.journal()).expect("it is there");
    bytes[12] = 1;
    fs::write(folder.journal(), &bytes).expect("it writes");
    assert_eq!(*folder.open().state(), expected);
    assert_eq!(fs::read(folder.journal()).expect("it is there")[12], 2, "an older client is told so");
}

#[test]
fn the_journal_does_not_grow_with_what_is_over() {
    let folder = Folder::new();
    let mut state_dir = folder.open();
    let mut size_max = 0;
    for number in 0..300 {
        state_dir.write(&[Change::Queued(outgoing(number, 4_000)), progress(number)]).expect("it writes");
        state_dir.write(&[Change::Answered(id(number))]).expect("it writes");
        size_max = size_max.max(fs::metadata(folder.journal()).expect("it is there").len());
    }
    assert!(size_max < 300 * 1024, "{size_max}");
    let expected = state_dir.state().clone();
    drop(state_dir);
    let state_dir = folder.open();
    assert_eq!(*state_dir.state(), expected);
    assert!(state_dir.state().outbox.is_empty() && state_dir.state().last_used_id.is_some());
}

#[test]
fn a_full_outbox_of_the_largest_messages_is_kept_and_renamed_as_a_whole() {
    let largest = |number: u64| {
        let draft = Draft {
            content_type: "c".repeat(CONTENT_TYPE_SIZE_MAX),
            body: vec![0xff; BODY_SIZE_MAX],
            reply_to: Some(Seq(u64::MAX)),
            mentions: vec![UserId(u64::MAX); MENTIONS_MAX],
            expires_in_s: u32::MAX,
            ..Draft::text(ConversationId([3; 16]), Some(UserId(u64::MAX)), "")
        };
        let frame = FrameBuilder::default().message_send(id(number), 0, &draft).to_vec();
        Outgoing::decode(&frame, false, false).expect("it is one of ours")
    };
    let folder = Folder::new();
    let mut state_dir = folder.open();
    let count = (OUTBOX_BYTES_MAX / largest(0).frame().len()) as u64;
    let queued: Vec<Change> = (0..count).map(|number| Change::Queued(largest(number))).collect();
    let renamed = (0..count).map(|number| Change::Renamed { from: id(number), to: largest(count + number) });
    state_dir.write(&queued).expect("it writes");
    state_dir.write(&renamed.collect::<Vec<_>>()).expect("it writes");
    let expected = state_dir.state().clone();
    drop(state_dir);
    assert_eq!(*folder.open().state(), expected);
    assert_eq!(expected.outbox.len() as u64, count);
    assert_eq!(expected.outbox.back(), Some(&largest(2 * count - 1)));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    fs::write(&folder.0, b"a file").expect("it writes");
    let Err(error) = StateDir::open(&folder.0) else { panic!("it is a file") };
    assert!(error.to_string().contains(folder.0.to_str().expect("plain")), "{error}");
    fs::remove_file(&folder.0).expect("it is there");
}
