//! Shapes: outermost dimension first, as everywhere in a trace.

/// How many elements a tensor of this shape has; `None` where the product does not fit 64 bits.
///
/// The empty shape is a scalar with one element.
///
/// # Example
///
/// ```
/// use parity::tensor::element_count;
/// assert_eq!(element_count(&[2, 9, 64]), Some(1152));
/// assert_eq!(element_count(&[]), Some(1));
/// assert_eq!(element_count(&[usize::MAX, 3]), None);
/// ```
pub fn element_count(dims: &[usize]) -> Option<u64> {
    dims.iter()
        .try_fold(1_u64, |product, dim| product.checked_mul(*dim as u64))
}

/// The shape of a single-token record without its leading 1-dimensions.
///
/// Loggers disagree on whether one token has a token axis: `[1, 151936]` and `[151936]` are the same
/// row of logits.
///
/// # Example
///
/// ```
/// use parity::tensor::without_token_axis;
/// assert_eq!(without_token_axis(&[1, 151_936]), [151_936]);
/// assert_eq!(without_token_axis(&[1]), [1]);
/// ```
pub fn without_token_axis(dims: &[usize]) -> &[usize] {
    let mut dims = dims;
    while let [1, rest @ ..] = dims {
        if rest.is_empty() {
            break;
        }
        dims = rest;
    }
    dims
}

/// The coordinates of the element at a row-major index, outermost first.
///
/// An index past the end wraps in the outermost dimension only, so that nothing is hidden: it gives a
/// coordinate outside the shape.
///
/// # Example
///
/// ```
/// use parity::tensor::coordinates;
/// assert_eq!(coordinates(65, &[2, 9, 64]), [0, 1, 1]);
/// ```
pub fn coordinates(index: u64, dims: &[usize]) -> Vec<u64> {
    let mut rest = index;
    let mut reversed = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate().rev() {
        let dim = (*dim as u64).max(1);
        if axis == 0 {
            reversed.push(rest);
        } else {
            reversed.push(rest % dim);
            rest /= dim;
        }
    }
    reversed.reverse();
    reversed
}

/// The shape as a trace writes it: `[6,9,64]`.
pub fn format_shape(dims: &[usize]) -> String {
    let numbers: Vec<String> = dims.iter().map(usize::to_string).collect();
    format!("[{}]", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_count_through_the_whole_tensor() {
        let dims = [2, 3, 4];
        let mut index = 0;
        for a in 0..2 {
            for b in 0..3 {
                for c in 0..4 {
                    assert_eq!(coordinates(index, &dims), [a, b, c]);
                    index += 1;
                }
            }
        }
        assert_eq!(coordinates(index, &dims), [2, 0, 0], "past the end");
        assert!(coordinates(0, &[]).is_empty());
    }

    #[test]
    fn only_leading_ones_are_dropped() {
        assert_eq!(without_token_axis(&[1, 1, 9, 64]), [9, 64]);
        assert_eq!(without_token_axis(&[9, 1, 64]), [9, 1, 64]);
        assert_eq!(without_token_axis(&[]), [0_usize; 0]);
        assert_eq!(format_shape(&[6, 9, 64]), "[6,9,64]");
    }
}
