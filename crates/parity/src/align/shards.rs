//! Slices of a tensor that several processes hold, put together.

use orch_log::format::Dtype;

use crate::recompute::round_to;

/// What one process holds of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Process in the group.
    pub rank: u64,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Axis, index and count where the record says that it is a slice.
    pub shard: Option<(usize, usize, usize)>,
    /// All elements, row-major.
    pub data: Vec<f64>,
    /// Storage type: what a sum of partial results is rounded to after each addition.
    pub dtype: Dtype,
}

/// How slices became one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Only one process has it.
    Alone,
    /// Side by side along an axis: outputs of column-parallel layers.
    Concatenated,
    /// Added in the order of the ranks: outputs of row-parallel layers before they are reduced.
    Summed,
    /// The same everywhere.
    Replicated,
}

/// A tensor put together.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// All elements, row-major.
    pub data: Vec<f64>,
    /// How.
    pub joined: Joined,
}

/// Why slices do not make a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Slices are missing, or do not fit together.
    Incomplete(String),
    /// Copies that should be the same differ.
    ReplicasDiffer(String),
}

/// Puts slices together: by what their records say, as partial sums where that is known (`is_partial_sum`), else as copies,
/// which must then be the same to the bit.
///
/// Several processes may hold the same slice, as they do of key and value heads where there are fewer of these than processes;
/// those are copies of each other.
///
/// # Errors
///
/// What is missing or differs.
///
/// # Panics
///
/// When there is no slice.
pub fn join(mut slices: Vec<Slice>, is_partial_sum: bool) -> Result<Whole, Apart> {
    slices.sort_by_key(|slice| slice.rank);
    if let [only] = slices.as_slice()
        && only.shard.is_none_or(|(_, _, count)| count <= 1)
    {
        let only = slices.remove(0);
        return Ok(Whole {
            shape: only.shape,
            data: only.data,
            joined: Joined::Alone,
        });
    }
    let split = slices
        .iter()
        .filter(|slice| slice.shard.is_some_and(|(_, _, count)| count > 1));
    match split.count() {
        0 if is_partial_sum => sum(&slices),
        0 => same(slices),
        n if n == slices.len() => concatenate(slices),
        n => Err(Apart::Incomplete(format!(
            "{n} of {} ranks say that they hold a slice, the others do not",
            slices.len()
        ))),
    }
}

fn sum(slices: &[Slice]) -> Result<Whole, Apart> {
    let [first, others @ ..] = slices else {
        unreachable!("there is at least one slice")
    };
    let mut data = first.data.clone();
    for other in others {
        if other.shape != first.shape {
            return Err(Apart::Incomplete(format!(
                "rank {} has the shape {:?}, rank {} {:?}",
                first.rank, first.shape, other.rank, other.shape
            )));
        }
        for (total, part) in data.iter_mut().zip(&other.data) {
            *total = rounded(*total + part, first.dtype);
        }
    }
    Ok(Whole {
        shape: first.shape.clone(),
        data,
        joined: Joined::Summed,
    })
}

/// A sum as a reduction in this type leaves it. The sum of two numbers of a narrow type is exact in `f64`, so that rounding
/// it once is what the hardware does.
fn rounded(sum: f64, dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 | Dtype::F16 | Dtype::Bf16 => round_to(dtype, sum),
        _ => sum,
    }
}

fn same(mut slices: Vec<Slice>) -> Result<Whole, Apart> {
    let first = slices.remove(0);
    for other in &slices {
        equal(&first, other)?;
    }
    Ok(Whole {
        shape: first.shape,
        data: first.data,
        joined: Joined::Replicated,
    })
}

/// Two copies, to the bit.
fn equal(a: &Slice, b: &Slice) -> Result<(), Apart> {
    if a.shape != b.shape {
        return Err(Apart::Incomplete(format!(
            "rank {} has the shape {:?}, rank {} {:?}, and neither says which slice it holds",
            a.rank, a.shape, b.rank, b.shape
        )));
    }
    let differs = |(x, y): (&f64, &f64)| x.to_bits() != y.to_bits() && !(x.is_nan() && y.is_nan());
    let pairs = || a.data.iter().zip(&b.data);
    let count = pairs().filter(|pair| differs(*pair)).count();
    if count == 0 {
        return Ok(());
    }
    let largest = pairs().map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    Err(Apart::ReplicasDiffer(format!(
        "ranks {} and {} differ in {count} of {} elements, by at most {largest:e}",
        a.rank,
        b.rank,
        a.data.len()
    )))
}

fn concatenate(slices: Vec<Slice>) -> Result<Whole, Apart> {
    let places: Vec<(usize, usize, usize)> =
        slices.iter().filter_map(|slice| slice.shard).collect();
    let (axis, _, count) = places[0];
    if places
        .iter()
        .any(|place| (place.0, place.2) != (axis, count))
    {
        return Err(Apart::Incomplete(
            "the ranks do not agree on axis and number of slices".to_owned(),
        ));
    }
    let mut ordered: Vec<Option<&Slice>> = vec![None; count];
    for (slice, (_, index, _)) in slices.iter().zip(&places) {
        let Some(place) = ordered.get_mut(*index) else {
            return Err(Apart::Incomplete(format!(
                "rank {} holds slice {index} of {count}",
                slice.rank
            )));
        };
        match place {
            Some(first) => equal(first, slice)?,
            None => *place = Some(slice),
        }
    }
    let missing: Vec<String> = (0..count)
        .filter(|index| ordered[*index].is_none())
        .map(|index| index.to_string())
        .collect();
    if !missing.is_empty() {
        return Err(Apart::Incomplete(format!(
            "of {count} slices these are missing: {}",
            missing.join(", ")
        )));
    }
    let ordered: Vec<&Slice> = ordered.into_iter().flatten().collect();
    let mut shape = ordered[0].shape.clone();
    let fits = |slice: &&Slice| {
        slice.shape.len() == shape.len()
            && (0..shape.len()).all(|other| other == axis || slice.shape[other] == shape[other])
    };
    if axis >= shape.len() || !ordered.iter().all(fits) {
        return Err(Apart::Incomplete(format!(
            "the slices do not fit together along axis {axis}"
        )));
    }
    let outer: usize = shape[..axis].iter().product();
    let width = |slice: &Slice| slice.shape[axis..].iter().product::<usize>();
    let mut data = Vec::new();
    for row in 0..outer {
        for slice in &ordered {
            let width = width(slice);
            data.extend_from_slice(&slice.data[row * width..(row + 1) * width]);
        }
    }
    shape[axis] = ordered.iter().map(|slice| slice.shape[axis]).sum();
    Ok(Whole {
        shape,
        data,
        joined: Joined::Concatenated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(
        rank: u64,
        shape: &[usize],
        shard: Option<(usize, usize, usize)>,
        data: &[f64],
    ) -> Slice {
        Slice {
            rank,
            shape: shape.to_vec(),
            shard,
            data: data.to_vec(),
            dtype: Dtype::F32,
        }
    }

    #[test]
    fn sums_are_kept_in_their_type() {
        // Between two numbers the one with an even last bit is taken; bf16 has seven bits behind the point, f16 ten.
        for (dtype, a, b, expected) in [
            (Dtype::Bf16, 1.0, 0.003_906_25, 1.0),
            (Dtype::Bf16, 1.007_812_5, 0.003_906_25, 1.015_625),
            (Dtype::F16, 2048.0, 1.0, 2048.0),
            (Dtype::F16, 2048.0, 3.0, 2052.0),
            (Dtype::F32, 16_777_216.0, 1.0, 16_777_216.0),
        ] {
            let part = |rank, value| Slice {
                dtype,
                ..slice(rank, &[1], None, &[value])
            };
            let whole = join(vec![part(0, a), part(1, b)], true).unwrap();
            assert_eq!(whole.data, [expected], "{dtype:?} {a} + {b}");
        }
    }

    #[test]
    fn side_by_side_along_either_axis() {
        // numpy: np.concatenate([[[1, 2], [3, 4]], [[5], [6]]], axis=1)
        let parts = vec![
            slice(1, &[2, 1], Some((1, 1, 2)), &[5.0, 6.0]),
            slice(0, &[2, 2], Some((1, 0, 2)), &[1.0, 2.0, 3.0, 4.0]),
        ];
        let whole = join(parts, false).unwrap();
        assert_eq!(
            (whole.shape, whole.data),
            (vec![2, 3], vec![1.0, 2.0, 5.0, 3.0, 4.0, 6.0])
        );
        let parts = vec![
            slice(0, &[1, 2], Some((0, 0, 2)), &[1.0, 2.0]),
            slice(1, &[1, 2], Some((0, 1, 2)), &[3.0, 4.0]),
        ];
        assert_eq!(
            join(parts, true).unwrap().data,
            [1.0, 2.0, 3.0, 4.0],
            "what a record says goes before a rule"
        );
    }

    #[test]
    fn sums_are_rounded_as_the_ranks_add() {
        let parts = |dtype| {
            let mut parts = vec![
                slice(0, &[1], None, &[1.0]),
                slice(1, &[1], None, &[2_f64.powi(-30)]),
                slice(2, &[1], None, &[0.5]),
            ];
            parts.iter_mut().for_each(|part| part.dtype = dtype);
            parts
        };
        assert_eq!(
            join(parts(Dtype::F32), true).unwrap().data,
            [1.5],
            "2⁻³⁰ is lost beside 1 in f32"
        );
        assert_eq!(
            join(parts(Dtype::F64), true).unwrap().data,
            [1.5 + 2_f64.powi(-30)]
        );
    }

    #[test]
    fn what_does_not_make_a_tensor() {
        let (a, b) = (
            slice(0, &[2], None, &[1.0, 2.0]),
            slice(1, &[2], None, &[1.0, 2.5]),
        );
        assert_eq!(
            join(vec![a.clone(), a.clone()], false).unwrap().joined,
            Joined::Replicated
        );
        assert!(
            matches!(join(vec![a.clone(), b], false), Err(Apart::ReplicasDiffer(said)) if said.contains("1 of 2 elements") && said.contains("5e-1"))
        );
        let half = slice(0, &[2], Some((0, 0, 2)), &[1.0, 2.0]);
        assert!(
            matches!(join(vec![half.clone()], false), Err(Apart::Incomplete(said)) if said.contains("missing: 1"))
        );
        assert!(matches!(
            join(vec![half.clone(), a], false),
            Err(Apart::Incomplete(_))
        ));
        let other_axis = slice(1, &[2], Some((1, 1, 2)), &[1.0, 2.0]);
        assert!(matches!(
            join(vec![half, other_axis], false),
            Err(Apart::Incomplete(_))
        ));
        // Two ranks that hold the same key heads.
        let kv = |rank, index, x| slice(rank, &[1], Some((0, index, 2)), &[x]);
        let parts = vec![kv(0, 0, 7.0), kv(1, 0, 7.0), kv(2, 1, 8.0), kv(3, 1, 8.0)];
        assert_eq!(join(parts, false).unwrap().data, [7.0, 8.0]);
    }
}
