//! The hyper-parameters of a model, read from its GGUF and checked.

use crate::arch::{ARCHITECTURES, Architecture, NormKind, Pairing, Positions};
use crate::error::{Error, Result, plain};
use crate::gguf::GgufFile;

/// The hyper-parameters of a model.
#[derive(Clone, Debug)]
pub struct Config {
    /// The row of the table of architectures.
    pub architecture: &'static Architecture,
    /// Number of transformer blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub embedding: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; `heads` is a multiple of it.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// The norms' epsilon, added to the mean square or the variance.
    pub norm_eps: f32,
    /// The rotary embedding; none where positions are learned.
    pub rope: Option<RopeConfig>,
    /// Positions that the model was trained for.
    pub context: usize,
}

/// The rotary embedding's hyper-parameters.
#[derive(Clone, Debug)]
pub struct RopeConfig {
    /// How lanes are paired.
    pub pairing: Pairing,
    /// How many leading lanes of a head are rotated.
    pub dims: usize,
    /// Base of the frequencies: lane pair i turns by `base^(-2i/dims)` radians per position.
    pub base: f32,
    /// What positions are multiplied with (linear scaling: 1/factor).
    pub scale: f32,
    /// Divisors of the frequencies, one a lane pair (tensor `rope_freqs.weight`).
    pub factors: Option<Vec<f32>>,
}

impl Config {
    /// Reads the hyper-parameters of an open file.
    ///
    /// # Errors
    ///
    /// When the architecture is not supported or a value is missing or impossible.
    pub fn read(file: &mut GgufFile) -> Result<Self> {
        let (mut config, path) = (Self::from_metadata(file)?, file.path().to_owned());
        const FACTORS: &str = "rope_freqs.weight";
        if let Some(rope) = &mut config.rope
            && file.has(FACTORS)
        {
            let tensor = file.tensor(FACTORS)?;
            let factors = tensor
                .dequantize(&tensor.device())
                .and_then(|factors| factors.flatten_all()?.to_vec1::<f32>())
                .map_err(|error| {
                    Error::gguf(&path, format_args!("tensor `{FACTORS}`: {}", plain(&error)))
                })?;
            if factors.len() != rope.dims / 2 {
                return Err(Error::gguf(
                    &path,
                    format_args!(
                        "tensor `{FACTORS}` has {} elements, expected one for each of {} lane pairs",
                        factors.len(),
                        rope.dims / 2,
                    ),
                ));
            }
            rope.factors = Some(factors);
        }
        Ok(config)
    }

    fn from_metadata(file: &GgufFile) -> Result<Self> {
        let metadata = file.metadata();
        let wrong = |problem: String| Err(Error::gguf(file.path(), problem));
        let name = metadata.require(
            "general.architecture",
            metadata.text("general.architecture")?,
        )?;
        let Some(architecture) = Architecture::find(name) else {
            return Err(Error::UnsupportedArchitecture {
                path: file.path().to_owned(),
                found: name.to_owned(),
                supported: ARCHITECTURES
                    .iter()
                    .map(|architecture| architecture.name)
                    .collect(),
            });
        };
        let key = |suffix: &str| format!("{name}.{suffix}");
        let size = |suffix: &str| -> Result<Option<usize>> {
            Ok(metadata.unsigned(&key(suffix))?.map(|n| n as usize))
        };
        let needed = |suffix: &str| metadata.require(&key(suffix), size(suffix)?);

        let layers = needed("block_count")?;
        let embedding = needed("embedding_length")?;
        let heads = needed("attention.head_count")?;
        let kv_heads = size("attention.head_count_kv")?.unwrap_or(heads);
        if heads == 0 || kv_heads == 0 || heads % kv_heads != 0 {
            return wrong(format!(
                "{heads} query heads cannot share {kv_heads} key heads evenly"
            ));
        }
        let head_dim = size("attention.key_length")?.unwrap_or(embedding / heads);
        let eps_key = key(match architecture.norm {
            NormKind::RootMeanSquare => "attention.layer_norm_rms_epsilon",
            NormKind::Layer => "attention.layer_norm_epsilon",
        });
        let norm_eps = metadata.require(&eps_key, metadata.float(&eps_key)?)?;

        let rope = match architecture.positions {
            Positions::Rotary(pairing) => Some(RopeConfig::read(file, name, pairing, head_dim)?),
            Positions::Learned => None,
        };
        Ok(Self {
            architecture,
            layers,
            embedding,
            heads,
            kv_heads,
            head_dim,
            norm_eps,
            rope,
            context: size("context_length")?.unwrap_or(usize::MAX),
        })
    }
}

impl RopeConfig {
    fn read(
        file: &GgufFile,
        architecture: &str,
        pairing: Pairing,
        head_dim: usize,
    ) -> Result<Self> {
        let metadata = file.metadata();
        let key = |suffix: &str| format!("{architecture}.{suffix}");
        let wrong = |problem: String| Err(Error::gguf(file.path(), problem));
        let dims = metadata
            .unsigned(&key("rope.dimension_count"))?
            .map_or(head_dim, |n| n as usize);
        if dims == 0 || dims % 2 != 0 || dims > head_dim {
            return wrong(format!(
                "cannot rotate {dims} lanes of a head of {head_dim}"
            ));
        }
        // 10000 is the base of the original rotary embedding and llama.cpp's default.
        let base = metadata.float(&key("rope.freq_base"))?.unwrap_or(10000.0);
        let scale = match metadata.text(&key("rope.scaling.type"))? {
            None | Some("none") => 1.0,
            Some("linear") => 1.0 / metadata.float(&key("rope.scaling.factor"))?.unwrap_or(1.0),
            Some(other) => {
                return wrong(format!(
                    "rope scaling `{other}` is not supported, only `none` and `linear`"
                ));
            }
        };
        Ok(Self {
            pairing,
            dims,
            base,
            scale,
            factors: None,
        })
    }
}
