//! What a buffer held before, in the result.

use crate::{Memory, explained, noise, proven, single};

/// A product's buffer, with what another operation left in it, `times` as much.
fn accumulated(left: &str, times: f64, below: &str) -> (Memory, Memory) {
    let (rows, width) = (5, 48);
    let product = noise(61, rows * width);
    let before = noise(62, rows * width);
    let base = Memory::default()
        .with(left, &[rows, width], before.clone())
        .with("layer_3_ffn_norm", &[rows, width], noise(63, rows * width));
    let on_top = product
        .iter()
        .zip(&before)
        .map(|(x, left)| x + times * left);
    let wrong = single(on_top.collect());
    (
        base.clone().with(below, &[rows, width], product),
        base.with(below, &[rows, width], wrong),
    )
}

#[test]
fn a_product_added_to_what_the_layer_before_left() {
    for (left, times, says) in [
        ("layer_2_ffn_up", 1.0, "`layer_2_ffn_up`"),
        ("layer_3_q", 1.0, "beta = 1"),
        ("layer_2_ffn_up", 0.5, "0.5 times `layer_2_ffn_up`"),
        ("layer_2_ffn_up", -1.0, "-1 times `layer_2_ffn_up`"),
    ] {
        let (right, wrong) = accumulated(left, times, "layer_3_ffn_up");
        let claim = proven(&explained(&right, &wrong, "layer_3_ffn_up"), "P008");
        assert!(claim.contains(says), "{claim}");
        let found = explained(&right, &right, "layer_3_ffn_up");
        assert!(found.causes.is_empty(), "{}", found.summary());
    }
    // Of two layers before, or of a later operation, nothing can be left; and nothing is added to a norm's output.
    for (left, place) in [
        ("layer_1_ffn_up", "layer_3_ffn_up"),
        ("layer_3_ffn_out", "layer_3_ffn_up"),
        ("layer_2_ffn_up", "layer_3_attn_norm"),
    ] {
        let (right, wrong) = accumulated(left, 1.0, place);
        let found = explained(&right, &wrong, place);
        let named = found.causes.iter().any(|cause| cause.page.code == "P008");
        assert!(!named, "{left} in {place}: {}", found.summary());
    }
}

#[test]
fn the_stream_added_by_the_product_itself_is_benign_where_the_sum_is_right() {
    let (rows, width) = (5, 48);
    let (stream, product) = (noise(64, rows * width), noise(65, rows * width));
    let sum = single(stream.iter().zip(&product).map(|(a, b)| a + b).collect());
    let of = |logged: &[f64], after: &[f64]| {
        Memory::default()
            .with("layer_0_attn_residual", &[rows, width], stream.clone())
            .with("layer_0_ffn_out", &[rows, width], logged.to_vec())
            .with("layer_0_output", &[rows, width], after.to_vec())
    };
    let right = of(&product, &sum);
    let once = explained(&right, &of(&sum, &sum), "layer_0_ffn_out");
    let claim = proven(&once, "P008");
    assert!(claim.contains("residual stream"), "{claim}");
    assert!(once.causes[0].fit.benign);
    let twice = single(stream.iter().zip(&sum).map(|(a, b)| a + b).collect());
    let again = explained(&right, &of(&sum, &twice), "layer_0_ffn_out");
    proven(&again, "P008");
    assert!(!again.causes[0].fit.benign);
}

#[test]
fn elements_that_are_still_those_of_the_last_user() {
    let (rows, width) = (5, 48);
    let (before, right) = (noise(66, rows * width), noise(67, rows * width));
    let of = |logged: Vec<f64>| {
        Memory::default()
            .with("layer_1_attn_out", &[rows, width], before.clone())
            .with("layer_1_ffn_out", &[rows, width], logged)
    };
    // Rows from the third on, and one element in seven as a race would leave it.
    let late = |at: usize| at / width >= 2;
    let torn = |at: usize| at % 7 == 3;
    for (is_left, says) in [
        (&late as &dyn Fn(usize) -> bool, "144 of 240 elements"),
        (&torn, "34 of 240 elements"),
        (&|_| true, "never written"),
    ] {
        let mixed = (0..rows * width).map(|at| if is_left(at) { before[at] } else { right[at] });
        let found = explained(&of(right.clone()), &of(mixed.collect()), "layer_1_ffn_out");
        let claim = proven(&found, "P008");
        assert!(
            claim.contains(says) && claim.contains("`layer_1_attn_out`"),
            "{claim}"
        );
    }
}
