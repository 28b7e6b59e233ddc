//! One thing that a client was told, as a line of the ledger.

use std::fmt;
use std::str::FromStr;

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Seq, UserId};

/// One of the devices under load: its place in the cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceIndex(pub usize);

/// A message as it is recognised: its name and the CRC32C of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The sender's name for it.
    pub client_msg_id: ClientMsgId,
    /// Of the body.
    pub checksum: u32,
}

/// What happened to which device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// To which one.
    pub device: DeviceIndex,
    /// What.
    pub news: News,
}

/// See each variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It begins, with what its last process left.
    Opened,
    /// The server knows it under this id.
    Online(DeviceId),
    /// A message is in its outbox on disk.
    Queued(ConversationId, Content),
    /// A message of its own is durable.
    Acked(ConversationId, Seq, ClientMsgId),
    /// It was told a message of somebody else, or of another device of its user.
    Told(ConversationId, Seq, Content),
    /// Somebody has everything up to here.
    Delivered(ConversationId, Seq, UserId),
    /// Somebody has read everything up to here.
    Read(ConversationId, Seq, UserId),
    /// Something that breaks a promise by itself.
    Mishap(&'static str, String),
}

/// A line that no ledger has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInvalid;

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.device.0)?;
        match &self.news {
            News::Opened => f.write_str("opened"),
            News::Online(id) => write!(f, "online {id}"),
            News::Queued(conversation, content) => write!(f, "queued {conversation} {content}"),
            News::Acked(conversation, seq, id) => write!(f, "acked {conversation} {seq} {id}"),
            News::Told(conversation, seq, content) => write!(f, "told {conversation} {seq} {content}"),
            News::Delivered(conversation, seq, by) => write!(f, "delivered {conversation} {seq} {by}"),
            News::Read(conversation, seq, by) => write!(f, "read {conversation} {seq} {by}"),
            News::Mishap(promise, text) => write!(f, "mishap {promise} {}", text.replace('\n', " ")),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.client_msg_id, self.checksum)
    }
}

impl FromStr for Fact {
    type Err = LineInvalid;

    fn from_str(line: &str) -> Result<Fact, LineInvalid> {
        let mut words = line.split(' ');
        let device = DeviceIndex(next(&mut words)?);
        let news = match words.next().ok_or(LineInvalid)? {
            "opened" => News::Opened,
            "online" => News::Online(next(&mut words)?),
            "queued" => News::Queued(next(&mut words)?, content(&mut words)?),
            "acked" => News::Acked(next(&mut words)?, next(&mut words)?, next(&mut words)?),
            "told" => News::Told(next(&mut words)?, next(&mut words)?, content(&mut words)?),
            "delivered" => News::Delivered(next(&mut words)?, next(&mut words)?, next(&mut words)?),
            "read" => News::Read(next(&mut words)?, next(&mut words)?, next(&mut words)?),
            "mishap" => {
                let promise: String = next(&mut words)?;
                let promise = PROMISES.iter().find(|known| **known == promise).ok_or(LineInvalid)?;
                News::Mishap(promise, words.collect::<Vec<_>>().join(" "))
            }
            _ => return Err(LineInvalid),
        };
        Ok(Fact { device, news })
    }
}

/// The promises that a single event can break.
const PROMISES: &[&str] = &["P1", "P5", "P8"];

fn next<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Result<T, LineInvalid> {
    words.next().and_then(|word| word.parse().ok()).ok_or(LineInvalid)
}

fn content<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Content, LineInvalid> {
    Ok(Content { client_msg_id: next(words)?, checksum: next(words)? })
}

#[cfg(test)]
mod tests {
    use protocol::time::WallTime;

    use super::*;

    #[test]
    fn every_fact_survives_its_line() {
        let conversation = ConversationId([7; 16]);
        let client_msg_id = ClientMsgId::new(WallTime(1_764_000_000_123), 42);
        let content = Content { client_msg_id, checksum: 5 };
        for news in [
            News::Opened,
            News::Online(DeviceId(9)),
            News::Queued(conversation, content),
            News::Acked(conversation, Seq(3), client_msg_id),
            News::Told(conversation, Seq(4), content),
            News::Delivered(conversation, Seq(5), UserId(6)),
            News::Read(conversation, Seq(5), UserId(6)),
            News::Mishap("P8", "refused for good".to_owned()),
        ] {
            let fact = Fact { device: DeviceIndex(2), news };
            assert_eq!(fact.to_string().parse(), Ok(fact));
        }
        assert_eq!("2 told".parse::<Fact>(), Err(LineInvalid));
    }
}
