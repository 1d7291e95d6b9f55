//! Confluent schema-registry framing: recognised and skipped, so that a client may use its registry's serializer.
//!
//! A framed value begins with a magic byte, 0 before a schema id of 4 bytes or 1 before a schema GUID of 16, then the
//! path of the message type in its file: an array of zigzag varints with its length in front, where a single 0 stands
//! for the array `[0]`. Source: `SchemaId` and `SchemaMessageIndexes` in Confluent's schema registry
//! (`io.confluent.kafka.serializers.schema.id`). Neither magic byte can begin a protobuf message: the field number
//! in it would be 0.

use thiserror::Error;

use super::fields::Fields;

/// Bytes of a schema id, after magic byte 0.
const SCHEMA_ID_BYTES: usize = 4;
/// Bytes of a schema GUID, after magic byte 1.
const SCHEMA_GUID_BYTES: usize = 16;

/// Why a value that begins like a framed one is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FramingError {
    /// The value ends within its framing.
    #[error("the value ends within its schema-registry framing")]
    Truncated,
    /// The message indexes are no array of non-negative 32-bit numbers.
    #[error("the message indexes of the schema-registry framing are malformed")]
    Indexes,
}

/// The protobuf message in `value`: all of it, or what follows the framing.
#[inline]
pub fn payload(value: &[u8]) -> Result<&[u8], FramingError> {
    match value.first() {
        Some(0) => after_schema(&value[1..], SCHEMA_ID_BYTES),
        Some(1) => after_schema(&value[1..], SCHEMA_GUID_BYTES),
        _ => Ok(value),
    }
}

#[cold]
fn after_schema(bytes: &[u8], schema_bytes: usize) -> Result<&[u8], FramingError> {
    let indexes = bytes.get(schema_bytes..).ok_or(FramingError::Truncated)?;
    let mut fields = Fields::new(indexes);
    // Each index takes a byte or more, so a wild length ends with the value.
    for _ in 0..index(&mut fields)? {
        index(&mut fields)?;
    }
    Ok(fields.rest())
}

/// A non-negative number as Kafka's `ByteUtils.readVarint` reads it: zigzag, 32 bits.
fn index(fields: &mut Fields<'_>) -> Result<u32, FramingError> {
    if fields.rest().is_empty() {
        return Err(FramingError::Truncated);
    }
    let zigzag = fields.varint().map_err(|_| FramingError::Indexes)?;
    match u32::try_from(zigzag) {
        Ok(zigzag) if zigzag % 2 == 0 => Ok(zigzag / 2),
        _ => Err(FramingError::Indexes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(head: &[u8], payload: &[u8]) -> Vec<u8> {
        [head, payload].concat()
    }

    #[test]
    fn a_bare_message_is_its_own_payload() {
        assert_eq!(payload(b""), Ok(&b""[..]));
        assert_eq!(payload(b"\x0a\x00"), Ok(&b"\x0a\x00"[..]));
    }

    #[test]
    fn framing_by_id_and_by_guid_is_skipped() {
        // The GUID and its indexes [1, 0] are those of Confluent's own serde tests.
        let guid = b"\x01\x89\x79\x17\x62\x23\x36\x41\x86\x96\x74\x29\x9b\x90\xa8\x02\xe2";
        for head in [
            &b"\x00\x00\x00\x00\x07\x00"[..],
            b"\x00\x00\x00\x00\x07\x02\x00",
            b"\x00\x00\x00\x00\x07\x04\x02\x00",
            b"\x00\xff\xff\xff\xff\x02\x80\x01",
            &framed(guid, b"\x00"),
            &framed(guid, b"\x06\x02\x04\x00"),
        ] {
            assert_eq!(payload(&framed(head, b"\x0a\x00")), Ok(&b"\x0a\x00"[..]), "{head:02x?}");
        }
    }

    #[test]
    fn what_cannot_be_framing_is_refused() {
        for (value, error) in [
            (&b"\x00"[..], FramingError::Truncated),
            (b"\x00\x00\x00\x00\x07", FramingError::Truncated),
            (b"\x00\x00\x00\x00\x07\x04\x02", FramingError::Truncated),
            (b"\x01\x00\x00\x00\x07\x00\x0a\x00", FramingError::Truncated),
            (b"\x00\x00\x00\x00\x07\x01\x00", FramingError::Indexes),
            (b"\x00\x00\x00\x00\x07\x02\x01", FramingError::Indexes),
            (b"\x00\x00\x00\x00\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", FramingError::Indexes),
            (b"\x00\x00\x00\x00\x07\x80", FramingError::Indexes),
            (b"\x00\x00\x00\x00\x07\xfe\xff\xff\xff\x0f", FramingError::Truncated),
        ] {
            assert_eq!(payload(value), Err(error), "{value:02x?}");
        }
    }
}
