//! Mistakes in norms.

use candle_core::{D, DType, Result, Tensor};

use super::replace::{self, Built};
use super::{Fault, Needs, Param};
use crate::arch::NormKind;
use crate::ops::norm_parts::{centred, mean_square, scaled, weighted};
use crate::ops::{Norm, Slot, Which, norm as correct};

const FAMILY: Fault = Fault {
    family: "norm",
    first: "layer_{L}_attn_norm",
    ..Fault::BASE
};

const RMS: Fault = Fault {
    needs: &[Needs::RmsNorm],
    ..FAMILY
};

const LAYER: Fault = Fault {
    needs: &[Needs::LayerNorm],
    ..FAMILY
};

const QUERY_KEY: Fault = Fault {
    first: "layer_{L}_q_norm",
    needs: &[Needs::Tensor("attn_q_norm.weight")],
    ..FAMILY
};

const FINAL: Fault = Fault {
    first: "final_norm",
    ..FAMILY
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "rms-eps",
        summary: "adds another epsilon than the model's",
        params: &[Param {
            name: "eps",
            default: "1e-6, or 1e-5 where the model has that",
        }],
        build: |params, config| {
            let usual = if config.norm_eps == 1e-6 { 1e-5 } else { 1e-6 };
            let eps = params.get("eps")?.unwrap_or(usual);
            every(move |x, norm| {
                correct(
                    x,
                    &Norm {
                        eps,
                        ..norm.clone()
                    },
                )
            })
        },
        ..FAMILY
    },
    Fault {
        name: "norm-eps-outside",
        summary: "adds epsilon to the root of the mean square instead of under the root",
        build: |_, _| {
            every(|x, norm| {
                let root = (mean_square(x)?.sqrt()? + f64::from(norm.eps))?;
                weighted(&x.broadcast_div(&root)?, norm)
            })
        },
        ..RMS
    },
    Fault {
        name: "norm-weight-plus-one",
        summary: "multiplies with 1 + weight, as Gemma's checkpoints want it, where the weight is whole",
        build: |_, _| every(|x, norm| correct(x, &plus_one(norm)?)),
        ..FAMILY
    },
    Fault {
        name: "final-norm-weight-plus-one",
        summary: "multiplies with 1 + weight in the final norm only",
        build: |_, _| only(Which::Final, |x, norm| correct(x, &plus_one(norm)?)),
        ..FINAL
    },
    Fault {
        name: "norm-weight-missing",
        summary: "normalises without the weight",
        build: |_, _| {
            every(|x, norm| {
                let weight = norm.weight.ones_like()?;
                correct(
                    x,
                    &Norm {
                        weight,
                        ..norm.clone()
                    },
                )
            })
        },
        ..FAMILY
    },
    Fault {
        name: "norm-centred",
        summary: "subtracts the mean, as a layer norm does, where the model divides by the root mean square only",
        build: |_, _| every(|x, norm| correct(&centred(x)?, norm)),
        ..RMS
    },
    Fault {
        name: "norm-inverted",
        summary: "divides by the reciprocal of the root mean square, that is multiplies",
        build: |_, _| {
            every(|x, norm| {
                let root = (mean_square(x)? + f64::from(norm.eps))?.sqrt()?;
                weighted(&x.broadcast_mul(&root)?, norm)
            })
        },
        ..RMS
    },
    Fault {
        name: "norm-sum-for-mean",
        summary: "divides by the root of the sum of squares instead of their mean",
        build: |_, _| {
            every(|x, norm| {
                let width = x.dim(D::Minus1)? as f64;
                scaled(x, &(mean_square(x)? * width)?, norm)
            })
        },
        ..RMS
    },
    Fault {
        name: "norm-bf16-before-weight",
        summary: "rounds the normalised stream to bf16 before it is multiplied with the weight",
        build: |_, _| {
            every(|x, norm| {
                let scale = (mean_square(x)? + f64::from(norm.eps))?.sqrt()?.recip()?;
                let rounded = x.broadcast_mul(&scale)?.to_dtype(DType::BF16)?;
                weighted(&rounded.to_dtype(DType::F32)?, norm)
            })
        },
        ..RMS
    },
    Fault {
        name: "final-norm-missing",
        summary: "multiplies the stream with the output matrix without the final norm",
        build: |_, _| only(Which::Final, |x, _| Ok(x.clone())),
        ..FINAL
    },
    Fault {
        name: "ffn-norm-attn-weight",
        summary: "uses the weight of the norm before attention again before the feed-forward network",
        first: "layer_{L}_ffn_norm",
        by_token: false,
        build: |_, _| {
            replace::source(|slot| match slot.name {
                "ffn_norm.weight" => Slot {
                    name: "attn_norm.weight",
                    ..slot
                }
                .full_name(),
                _ => slot.full_name(),
            })
        },
        ..FAMILY
    },
    Fault {
        name: "qk-norm-missing",
        summary: "does not norm queries and keys",
        build: |_, _| on_heads(|x, _| Ok(x.clone())),
        ..QUERY_KEY
    },
    Fault {
        name: "qk-norm-scope",
        summary: "takes one mean square over all heads of a token instead of one for each head",
        build: |_, _| {
            on_heads(|x, norm| {
                let whole = mean_square(&x.flatten_from(1)?)?.unsqueeze(1)?;
                scaled(x, &whole, norm)
            })
        },
        ..QUERY_KEY
    },
    Fault {
        name: "qk-norm-exchanged",
        summary: "norms queries with the keys' weight and the other way round",
        by_token: false,
        build: |_, _| {
            replace::source(|slot| {
                let name = match slot.name {
                    "attn_q_norm.weight" => "attn_k_norm.weight",
                    "attn_k_norm.weight" => "attn_q_norm.weight",
                    other => other,
                };
                Slot { name, ..slot }.full_name()
            })
        },
        ..QUERY_KEY
    },
    Fault {
        name: "layer-norm-not-centred",
        summary: "divides by the root mean square without subtracting the mean, where the model has layer norms",
        build: |_, _| {
            every(|x, norm| {
                let kind = NormKind::RootMeanSquare;
                correct(
                    x,
                    &Norm {
                        kind,
                        ..norm.clone()
                    },
                )
            })
        },
        ..LAYER
    },
    Fault {
        name: "layer-norm-sample-variance",
        summary: "divides the sum of squares by n − 1 instead of n",
        build: |_, _| {
            every(|x, norm| {
                let (width, centred) = (x.dim(D::Minus1)? as f64, centred(x)?);
                let variance = (mean_square(&centred)? * (width / (width - 1.0)))?;
                scaled(&centred, &variance, norm)
            })
        },
        ..LAYER
    },
];

/// Every norm of the faulty layers by another formula.
fn every(formula: impl Fn(&Tensor, &Norm) -> Result<Tensor> + Send + Sync + 'static) -> Built {
    replace::norm(move |_, _, x, norm| formula(x, norm))
}

/// One norm by another formula.
fn only(
    which: Which,
    formula: impl Fn(&Tensor, &Norm) -> Result<Tensor> + Send + Sync + 'static,
) -> Built {
    replace::norm(move |_, place, x, norm| {
        if place == which {
            formula(x, norm)
        } else {
            correct(x, norm)
        }
    })
}

/// The norms of single heads by another formula.
fn on_heads(formula: impl Fn(&Tensor, &Norm) -> Result<Tensor> + Send + Sync + 'static) -> Built {
    replace::norm(move |_, which, x, norm| match which {
        Which::Query | Which::Key => formula(x, norm),
        _ => correct(x, norm),
    })
}

fn plus_one(norm: &Norm) -> Result<Norm> {
    let weight = (&norm.weight + 1.0)?;
    Ok(Norm {
        weight,
        ..norm.clone()
    })
}
