//! Which shard a pool belongs to.

/// Kafka's seed.
const SEED: u32 = 0x9747_b28c;
/// Multiplier and shift of MurmurHash2.
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition of `pool` among `partitions` (at least 1): where Java's default partitioner, and librdkafka's
/// `murmur2_random`, send a record with this key.
#[inline]
pub fn partition_of(pool: &[u8], partitions: u32) -> u32 {
    (murmur2(pool) & 0x7fff_ffff) % partitions
}

/// The 32-bit MurmurHash2 of Kafka's clients (`org.apache.kafka.common.utils.Utils.murmur2`).
pub fn murmur2(key: &[u8]) -> u32 {
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_figures_in_kafkas_own_test() {
        // clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }

    #[test]
    fn partitions_by_the_positive_part() {
        // toPositive(-973932308) % 7, as BuiltInPartitioner.partitionForKey does it
        assert_eq!(partition_of(b"21", 7), (-973_932_308_i32 as u32 & 0x7fff_ffff) % 7);
        for n in 1..50 {
            assert!(partition_of(b"fulfilment-centre-3", n) < n);
        }
    }
}
