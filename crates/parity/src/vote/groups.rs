//! Traces that agree, directly or through others.

/// Splits `members` by the pairs that agree: the largest group first, then by the smallest number.
pub(super) fn groups(members: &[usize], agreeing: &[[usize; 2]]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = members.iter().map(|member| vec![*member]).collect();
    for [a, b] in agreeing {
        let place = |wanted: &usize| groups.iter().position(|group| group.contains(wanted));
        if let (Some(first), Some(second)) = (place(a), place(b))
            && first != second
        {
            let moved = groups.remove(first.max(second));
            groups[first.min(second)].extend(moved);
        }
    }
    for group in &mut groups {
        group.sort_unstable();
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(groups(&[0, 1, 2], &[[0, 2]]), [vec![0, 2], vec![1]]);
        assert_eq!(
            groups(&[0, 1, 2, 3], &[[3, 1], [0, 2]]),
            [vec![0, 2], vec![1, 3]]
        );
        // Agreement passes on: 0 and 3 need not have met.
        assert_eq!(groups(&[0, 1, 3], &[[0, 1], [1, 3]]), [vec![0, 1, 3]]);
        assert_eq!(groups(&[2, 5], &[]), [vec![2], vec![5]]);
    }
}
