//! What a client says of itself in its first frame, without the token.

use alloc::boxed::Box;

use wire::Capability;

use crate::codes::Code;
use crate::ids::{ClientMsgId, DeviceGeneration, DeviceId, StoreIncarnation, UserEpoch, UserSeq};
use crate::limits::{DEVICE_NAME_SIZE_MAX, VERSION_MAX, VERSION_MIN};

/// Kept from the Hello until the router has opened the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// A session without a device: answers, no events.
    pub is_transient: bool,
    /// 0 for a transient session, and where `install_id` asks for a new one.
    pub device: DeviceId,
    /// Of the device.
    pub device_generation: DeviceGeneration,
    /// The client's name for a device that is to be registered.
    pub install_id: Option<ClientMsgId>,
    /// For people. At most 64 bytes.
    pub device_name: Box<str>,
    /// Where the cursor is from.
    pub store_incarnation: StoreIncarnation,
    /// Likewise.
    pub user_epoch: UserEpoch,
    /// Everything up to here is on the device.
    pub user_cursor: UserSeq,
}

impl Hello {
    /// A device names itself or asks to be registered; a transient session does neither.
    pub(super) fn decode(hello: wire::Hello<'_>) -> Result<Hello, Code> {
        let is_transient = hello.capabilities().contains(Capability::Transient);
        let device = DeviceId(hello.device_id());
        let install_id = hello.install_id().map(ClientMsgId::from);
        let device_name = hello.device_name().unwrap_or_default();
        let names_a_device = device != DeviceId(0);
        let is_consistent =
            if is_transient { !names_a_device && install_id.is_none() } else { names_a_device || install_id.is_some() };
        if !is_consistent || device_name.len() > DEVICE_NAME_SIZE_MAX {
            return Err(Code::FrameInvalid);
        }
        Ok(Hello {
            is_transient,
            device,
            device_generation: DeviceGeneration(hello.device_generation()),
            install_id,
            device_name: device_name.into(),
            store_incarnation: StoreIncarnation(hello.store_incarnation()),
            user_epoch: UserEpoch(hello.user_epoch()),
            user_cursor: UserSeq(hello.user_cursor()),
        })
    }
}

/// The newest version that both sides speak.
pub(super) fn agree_on_version(hello: wire::Hello<'_>) -> Result<u16, Code> {
    let newest = hello.version_max().min(VERSION_MAX);
    if newest < hello.version_min().max(VERSION_MIN) { Err(Code::VersionUnsupported) } else { Ok(newest) }
}
