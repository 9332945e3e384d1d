//! Mistakes in the key-value cache.

use candle_core::{DType, Device, Result, Tensor};

use super::replace::{self, Built};
use super::{Fault, Param};
use crate::ops::At;

const FAMILY: Fault = Fault {
    family: "kv_cache_state",
    first: "layer_{L}_attn_scores",
    by_token: false,
    ..Fault::BASE
};

const DECODE: Fault = Fault {
    phase: "decode",
    by_token: true,
    ..FAMILY
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "kv-cache-stale",
        summary: "does not write the new token's keys and values in decode steps, so its row stays zero",
        build: |_, _| {
            replace::remember(|at, cache, k, v| {
                if at.step == 0 {
                    cache.store(at.first, k, v)?;
                }
                cache.read(at.first + at.rows)
            })
        },
        ..DECODE
    },
    Fault {
        name: "kv-values-stale",
        summary: "writes the new token's keys but not its values in decode steps",
        first: "layer_{L}_attn_context",
        build: |_, _| {
            writing(|at, k, v| match at.step {
                0 => Ok((k.clone(), v.clone())),
                _ => Ok((k.clone(), v.zeros_like()?)),
            })
        },
        ..DECODE
    },
    Fault {
        name: "kv-cache-early",
        summary: "writes a decoded token one place early, over the token before it",
        build: |_, _| {
            replace::remember(|at, cache, k, v| {
                let early = usize::from(at.step > 0).min(at.first);
                cache.store(at.first - early, k, v)?;
                cache.read(at.first + at.rows)
            })
        },
        ..DECODE
    },
    Fault {
        name: "kv-cache-exchanged",
        summary: "writes keys where values belong and the other way round",
        build: |_, _| writing(|_, k, v| Ok((v.clone(), k.clone()))),
        ..FAMILY
    },
    Fault {
        name: "kv-rows-zero",
        summary: "leaves every n-th row of the cache zero",
        params: &[Param {
            name: "every",
            default: "4",
        }],
        build: |params, _| {
            let every: usize = params.get("every")?.unwrap_or(4).max(1);
            writing(move |at, k, v| {
                let kept: Vec<f32> = (at.first..at.first + at.rows)
                    .map(|position| f32::from((position + 1) % every != 0))
                    .collect();
                let kept = Tensor::from_vec(kept, (at.rows, 1, 1), k.device())?;
                Ok((k.broadcast_mul(&kept)?, v.broadcast_mul(&kept)?))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "kv-scale-forgotten",
        summary: "divides by a scale on writing and does not multiply with it on reading",
        params: &[Param {
            name: "scale",
            default: "2",
        }],
        build: |params, _| {
            let scale: f64 = params.get("scale")?.unwrap_or(2.0);
            writing(move |_, k, v| Ok(((k / scale)?, (v / scale)?)))
        },
        ..FAMILY
    },
    Fault {
        name: "kv-fp8",
        summary: "keeps keys and values in eight bits (e4m3) without a scale",
        build: |_, _| {
            writing(|_, k, v| {
                // On the processor, whatever the model is on: CUDA's backend has no kernel for this conversion.
                let rounded = |x: &Tensor| {
                    let narrow = x.to_device(&Device::Cpu)?.to_dtype(DType::F8E4M3)?;
                    narrow.to_dtype(DType::F32)?.to_device(x.device())
                };
                Ok((rounded(k)?, rounded(v)?))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "kv-pages-exchanged",
        summary: "reads the first two pages of the cache in the wrong order: a stale page table",
        params: &[Param {
            name: "page",
            default: "2",
        }],
        build: |params, _| {
            let page: usize = params.get("page")?.unwrap_or(2);
            reading(move |x| {
                let length = x.dim(0)?;
                if length < 2 * page {
                    return Ok(x.clone());
                }
                let rest = x.narrow(0, 2 * page, length - 2 * page)?;
                Tensor::cat(
                    &[&x.narrow(0, page, page)?, &x.narrow(0, 0, page)?, &rest],
                    0,
                )
            })
        },
        ..FAMILY
    },
    Fault {
        name: "kv-row-repeated",
        summary: "reads the second token's row of the cache where the first one's should be",
        build: |_, _| {
            reading(|x| {
                let length = x.dim(0)?;
                if length < 2 {
                    return Ok(x.clone());
                }
                let (second, rest) = (x.narrow(0, 1, 1)?, x.narrow(0, 1, length - 1)?);
                Tensor::cat(&[&second, &rest], 0)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "kv-heads-outermost",
        family: "kernel_stride_graph",
        summary: "reads the cache as [heads, tokens, lanes] though it is [tokens, heads, lanes]",
        build: |_, _| {
            reading(|x| {
                let (tokens, heads, lanes) = x.dims3()?;
                x.contiguous()?
                    .reshape((heads, tokens, lanes))?
                    .transpose(0, 1)
            })
        },
        ..FAMILY
    },
];

/// A cache that keeps something else than it is given.
fn writing(
    change: impl Fn(At, &Tensor, &Tensor) -> Result<(Tensor, Tensor)> + Send + Sync + 'static,
) -> Built {
    replace::remember(move |at, cache, k, v| {
        let (k, v) = change(at, k, v)?;
        cache.store(at.first, &k, &v)?;
        cache.read(at.first + at.rows)
    })
}

/// A cache whose content is read wrongly, keys and values alike.
fn reading(change: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Built {
    replace::remember(move |at, cache, k, v| {
        cache.store(at.first, k, v)?;
        let (keys, values) = cache.read(at.first + at.rows)?;
        Ok((change(&keys)?.contiguous()?, change(&values)?.contiguous()?))
    })
}
