//! P038.

use crate::explain::numbers::Narrow;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Tables or positions in 16 bits.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P038",
        name: "rope tables or positions in a narrow type",
        detects: "Cosine and sine are kept in 16 bits, or positions or angles are rounded to 16 bits before they are taken: bf16 \
                  cannot count past 256.",
        evidence: "The candidate's rotation recomputed from its own input with rounded tables, angles or positions.",
        confirm: "Print the table at a position above 256: consecutive rows are equal where positions are bf16.",
        fix: "Compute angles in f32 at least, and round the rotated vectors only.",
        reports: &["huggingface/candle#3520"],
    },
    kinds: &[Kind::Rope],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (Some(rope), Some(x)) = (scene.rope(), scene.input(Side::Candidate)) else {
        return Vec::new();
    };
    let positions: Vec<f64> = scene.positions().map(|at| at as f64).collect();
    let mut fits = Vec::new();
    for narrow in [Narrow::Bf16, Narrow::F16] {
        let angles: Vec<Vec<f64>> = positions.iter().map(|at| rope.angles(*at)).collect();
        let table = rope.turned(&x, &|row, _, pair| {
            let angle = angles[row][pair];
            (narrow.round(angle.sin()), narrow.round(angle.cos()))
        });
        let of_angles = rope.turned(&x, &|row, _, pair| {
            narrow.round(angles[row][pair]).sin_cos()
        });
        let places: Vec<f64> = positions.iter().map(|at| narrow.round(*at)).collect();
        let name = narrow.name();
        // A table entry between two numbers may be rounded either way.
        fits.push(
            scene
                .fit(
                    &table,
                    Basis::Inputs,
                    format!("rope keeps cosine and sine in {name}"),
                )
                .tolerance(1e-5),
        );
        fits.push(
            scene
                .fit(
                    &of_angles,
                    Basis::Inputs,
                    format!("rope rounds angles to {name}"),
                )
                .tolerance(1e-5),
        );
        fits.push(scene.fit(
            &rope.at(&x, &places),
            Basis::Inputs,
            format!("rope rounds positions to {name}"),
        ));
    }
    fits
}
