//! `SetChannels`: how the stock of a SKU is shared among channels.

use super::{Listed, put_text};
use crate::wire::fields::{Fields, Malformed};
use crate::wire::keys::{Unknown, channel_share, set_channels};
use crate::wire::put;
use crate::wire::text::Text;

/// `SetChannels`; its list is read when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Channels<'a> {
    message: &'a [u8],
    pub sku: Text<'a>,
    pub protected_until_ms: i64,
}

/// What one channel has of a SKU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct ChannelShare<'a> {
    pub channel: Text<'a>,
    pub protected: u64,
    pub at_most: Option<u64>,
}

impl<'a> Channels<'a> {
    /// As [`Sale::read`](super::Sale::read).
    pub(in crate::wire) fn read(message: &'a [u8]) -> Result<Channels<'a>, Malformed> {
        let mut channels = Channels { message, sku: Text::EMPTY, protected_until_ms: 0 };
        let mut fields = Fields::new(message);
        while let Some(key) = fields.next_key()? {
            match key {
                set_channels::SKU_STRING => channels.sku = fields.text()?,
                set_channels::PROTECTED_UNTIL_MS_INT64 => channels.protected_until_ms = fields.varint()? as i64,
                _ => fields.pass(key)?,
            }
        }
        Ok(channels)
    }

    /// The shares, in the order given.
    pub fn shares(&self) -> impl Iterator<Item = ChannelShare<'a>> + Clone + use<'a> {
        Listed::all(self.message, set_channels::CHANNELS_MESSAGE).entries().map(|message| {
            let mut share = ChannelShare::default();
            let mut fields = Fields::new(message);
            while let Ok(Some(key)) = fields.next_key() {
                match key {
                    channel_share::CHANNEL_STRING => share.channel = fields.text().unwrap_or(Text::EMPTY),
                    channel_share::PROTECTED_UINT64 => share.protected = fields.varint().unwrap_or(0),
                    channel_share::AT_MOST_UINT64 => share.at_most = fields.varint().ok(),
                    _ if fields.pass(key).is_err() => break,
                    _ => {}
                }
            }
            share
        })
    }

    /// Bytes of the message, as in [`Rule::bytes`](super::Rule::bytes).
    pub(super) fn bytes(&self) -> usize {
        self.message.len()
    }

    /// Whether it removes the rule that stands.
    pub fn removes(&self) -> bool {
        self.shares().next().is_none()
    }

    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        fields.text(set_channels::SKU_STRING, self.sku.as_bytes());
        for share in self.shares() {
            put::message_within(fields, set_channels::CHANNELS_MESSAGE, |fields| {
                fields.text(channel_share::CHANNEL_STRING, share.channel.as_bytes());
                fields.number(channel_share::PROTECTED_UINT64, share.protected);
                if let Some(at_most) = share.at_most {
                    fields.any_number(channel_share::AT_MOST_UINT64, at_most);
                }
            });
        }
        fields.number(set_channels::PROTECTED_UNTIL_MS_INT64, self.protected_until_ms as u64);
    }

    pub(super) fn define(&self, out: &mut Vec<u8>) {
        put_text(out, self.sku);
        out.extend_from_slice(&(self.shares().count() as u32).to_le_bytes());
        for ChannelShare { channel, protected, at_most } in self.shares() {
            put_text(out, channel);
            out.extend_from_slice(&protected.to_le_bytes());
            out.push(at_most.is_some().into());
            out.extend_from_slice(&at_most.unwrap_or(0).to_le_bytes());
        }
        out.extend_from_slice(&self.protected_until_ms.to_le_bytes());
    }
}

/// Walks a `SetChannels` and checks all of it.
pub(in crate::wire) fn walk_channels<'a>(
    body: &'a [u8],
    depth: u32,
    unknown: Unknown<'_, 'a>,
) -> Result<(), Malformed> {
    let mut fields = Fields::new(body);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            set_channels::SKU_STRING => _ = fields.take_text(number)?,
            set_channels::CHANNELS_MESSAGE => channel_share::SHAPE.walk(fields.take(number)?, depth + 1, unknown)?,
            set_channels::PROTECTED_UNTIL_MS_INT64 => {}
            _ => fields = unknown(field, set_channels::LAST, depth)?,
        }
    }
    Ok(())
}
