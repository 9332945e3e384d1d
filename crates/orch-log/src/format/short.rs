//! Appending a few bytes without a call of `memcpy`.

/// The most bytes that [`push_short`] takes.
pub(crate) const SHORT: usize = 32;

/// Appends at most [`SHORT`] bytes. A call of `memcpy` with a length that the compiler does not know costs as much
/// as printing the digits that it copies; here two moves that may overlap copy any length.
#[inline(always)]
pub(crate) fn push_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let count = bytes.len();
    if count > SHORT {
        out.extend_from_slice(bytes);
        return;
    }
    out.reserve(SHORT);
    let from = bytes.as_ptr();
    // SAFETY: there is room for `SHORT` bytes behind the end of `out`, and each pair of moves stays inside the `count`
    // bytes at `from`: the second starts as many bytes before their end as it moves. The first `count` bytes of the
    // room are then initialised.
    unsafe {
        let to = out.as_mut_ptr().add(out.len());
        macro_rules! both_ends {
            ($word:ty) => {{
                let tail = count - size_of::<$word>();
                let (first, last) = (
                    from.cast::<$word>().read_unaligned(),
                    from.add(tail).cast::<$word>().read_unaligned(),
                );
                to.cast::<$word>().write_unaligned(first);
                to.add(tail).cast::<$word>().write_unaligned(last);
            }};
        }
        match count {
            16.. => both_ends!(u128),
            8.. => both_ends!(u64),
            4.. => both_ends!(u32),
            2.. => both_ends!(u16),
            1 => to.write(*from),
            0 => {}
        }
        out.set_len(out.len() + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length() {
        let source: Vec<u8> = (0..40).collect();
        for start in 0..3 {
            for end in start..source.len() {
                let mut out = vec![99];
                push_short(&mut out, &source[start..end]);
                assert_eq!(out[0], 99);
                assert_eq!(out[1..], source[start..end]);
            }
        }
    }
}
