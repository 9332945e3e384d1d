//! GPUs whose kernels are not emulated.

use crate::report::v1::VerifiedOperation;
use std::collections::HashMap;

/// What an operation is allowed where its class is not emulated.
pub(super) struct Coarse {
    /// Operations of a class are computed alike.
    pub(super) class: String,
    /// 0 where nothing is.
    pub(super) limit: f64,
}

/// Operations of a class from which on it is judged by itself; fewer go with all that have a coarse limit.
const ENOUGH: usize = 3;

/// Lets operations follow by their coarse limits where at least half of their class do not follow by the narrow ones: a kernel
/// that is not emulated rounds otherwise everywhere, a mistake is a mistake in some places.
///
/// `coarse` belongs to `operations`, one by one.
pub(super) fn allow(operations: &mut [VerifiedOperation], coarse: &[Coarse]) {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut total = (0, 0);
    let pairs = || operations.iter().zip(coarse);
    for (operation, coarse) in pairs().filter(|(_, coarse)| coarse.limit > 0.0) {
        let of_class = counts.entry(&coarse.class).or_default();
        for (all, beyond) in [of_class, &mut total] {
            *all += 1;
            *beyond += usize::from(!operation.follows);
        }
    }
    for (operation, coarse) in operations.iter_mut().zip(coarse) {
        let of_class = counts.get(coarse.class.as_str()).copied();
        let (all, beyond) = of_class.filter(|(all, _)| *all >= ENOUGH).unwrap_or(total);
        let is_coarse = all >= ENOUGH && 2 * beyond >= all;
        if is_coarse && coarse.limit > operation.limit.0 {
            operation.limit = coarse.limit.into();
            operation.follows = operation.relative.0 <= coarse.limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(relative: f64) -> VerifiedOperation {
        VerifiedOperation {
            checkpoint: String::new(),
            kind: String::new(),
            follows: relative <= 1e-5,
            relative: relative.into(),
            limit: 1e-5.into(),
            position: 0,
            seq: 0,
            rows: 1,
            arithmetic: String::new(),
            f64: None,
            engine: None,
            inputs: Vec::new(),
            through: Vec::new(),
            weights: Vec::new(),
        }
    }

    fn allowed(class: &str, limit: f64, deviations: &[f64]) -> Vec<bool> {
        let mut operations: Vec<_> = deviations.iter().copied().map(operation).collect();
        let coarse = || Coarse {
            class: class.to_owned(),
            limit,
        };
        let coarse: Vec<Coarse> = deviations.iter().map(|_| coarse()).collect();
        allow(&mut operations, &coarse);
        operations
            .iter()
            .map(|operation| operation.follows)
            .collect()
    }

    #[test]
    fn one_of_many_is_a_mistake_and_all_are_a_kernel() {
        let one = [1e-7, 3e-2, 1e-7, 2e-7];
        assert_eq!(allowed("q4_1", 6e-2, &one), [true, false, true, true]);
        let all = [2e-2, 3e-2, 0.2, 4e-2];
        assert_eq!(allowed("q4_1", 6e-2, &all), [true, true, false, true]);
        assert_eq!(allowed("f32", 0.0, &all), [false; 4]);
    }

    #[test]
    fn one_of_its_kind_goes_with_the_others() {
        let among = |others: f64| {
            let mut operations = vec![operation(others); 4];
            operations.push(operation(3e-2));
            let coarse = ["q4_1", "q4_1", "q4_1", "q4_1", "q6_k"].map(|class| Coarse {
                class: class.to_owned(),
                limit: 6e-2,
            });
            allow(&mut operations, &coarse);
            operations[4].follows
        };
        assert!(!among(1e-7));
        assert!(among(2e-2));
    }
}
