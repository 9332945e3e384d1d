//! What an allocator leaves in freed memory, as it shows in the values of a record.
//!
//! A freed chunk's first 8 to 32 bytes hold the allocator's own numbers (glibc's `malloc/malloc.c`): the thread cache
//! and the fast bins a link to the next free chunk, since glibc 2.32 mangled with the chunk's own address
//! (`PROTECT_PTR`: `(position >> 12) ^ next`, so that the last chunk of a list holds `position >> 12`); the thread
//! cache a key after it; the other bins two links, forward and back, large ones four. The chunk behind a free one keeps the
//! free one's size in the 8 bytes before its header, which are the last 8 that the freed one's user could write.
//!
//! User addresses of the 64-bit systems we know have at most 48 bits, so that the upper half of a link is a small integer,
//! 1 to 0xFFFF. Read as an `f32` that is a positive subnormal below 9.2e-41, next to a lower half that may be anything.

/// How a pair of consecutive `f32` looks as one 8-byte word, lower half first (little-endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeapWord {
    /// What the lower half could be.
    pub(super) low: Low,
    /// What the upper half could be.
    pub(super) high: High,
    /// The bits as printed; halves that were printed as zero may have been others.
    pub(super) bits: u64,
}

/// The lower half of a word against the rest of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Low {
    /// Zero, or too small for its text.
    Zero,
    /// Of the order of the rest.
    Ordinary,
    /// Far larger than everything in the rest, or not a number.
    Wild,
    /// Far smaller than everything in the rest, but not zero.
    Tiny,
}

/// The upper half of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum High {
    /// The upper half of an address, to the bit.
    Address,
    /// Zero: in text with few decimals the upper half of an address too.
    Zero,
    /// Anything else: not an address.
    Other,
}

/// A lower half at least this many times the largest of the rest is wild. Activations have outliers of some hundred
/// times the typical value, but not in one element, beside a zero, in record after record.
pub(super) const WILD_RATIO: f64 = 100.0;
/// Softmax rows reach 1 beside zeros; a lower half below this is never called wild.
const WILD_LEAST: f64 = 64.0;
const TINY_RATIO: f64 = 1e-20;

impl HeapWord {
    /// Two neighbours, and the largest magnitude among the ordinary elements of the record.
    pub(super) fn of(low: f64, high: f64, largest: f64) -> Self {
        let (low_bits, high_bits) = ((low as f32).to_bits(), (high as f32).to_bits());
        let size = low.abs();
        Self {
            low: if size == 0.0 {
                Low::Zero
            } else if !low.is_finite() || (size >= WILD_LEAST && size >= WILD_RATIO * largest) {
                Low::Wild
            } else if size <= TINY_RATIO * largest {
                Low::Tiny
            } else {
                Low::Ordinary
            },
            high: match high_bits {
                1..=0xFFFF => High::Address,
                0 => High::Zero,
                _ => High::Other,
            },
            bits: u64::from(high_bits) << 32 | u64::from(low_bits),
        }
    }

    /// True for the upper half of an address of the heap or of a mapped region as Linux hands them out: 0x5500 to 0x57FF
    /// (heap of a position-independent program) and 0x7E00 to 0x7FFF (mappings) on x86-64, 0xAAAA to 0xAAFF and 0xFFFF on Arm.
    pub(super) fn is_usual_address(self) -> bool {
        matches!(self.bits >> 32, 0x5500..=0x57FF | 0x7E00..=0x7FFF | 0xAAAA..=0xAAFF | 0xFFFF)
    }

    /// True for the size of a free chunk as its neighbour keeps it: a small multiple of 16, upper half zero.
    pub(super) fn is_chunk_size(self) -> bool {
        self.bits >= 32 && self.bits < 1 << 24 && self.bits.is_multiple_of(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_of_glibc() {
        // 0x00007ffff7e1_c6b0 as two floats, little-endian.
        let (low, high) = (f32::from_bits(0xF7E1_C6B0), f32::from_bits(0x7FFF));
        let word = HeapWord::of(low.into(), high.into(), 10.0);
        assert_eq!((word.low, word.high), (Low::Wild, High::Address));
        assert!(word.is_usual_address());
        assert_eq!(word.bits, 0x0000_7FFF_F7E1_C6B0);
    }

    #[test]
    fn ordinary_neighbours_and_sizes() {
        let word = HeapWord::of(1.5, -0.25, 10.0);
        assert_eq!((word.low, word.high), (Low::Ordinary, High::Other));
        // An attention sink beside an exact zero.
        assert_eq!(HeapWord::of(1.0, 0.0, 1e-9).low, Low::Ordinary);
        let size = HeapWord::of(f32::from_bits(0x30).into(), 0.0, 10.0);
        assert!(size.is_chunk_size() && size.low == Low::Tiny);
        assert!(!HeapWord::of(0.0, 0.0, 10.0).is_chunk_size());
    }
}
