//! The numbers of a model's file.

use super::form::Form;
use crate::trace::RunInfo;
use orch_log::format::Dtype;
use std::collections::BTreeMap;

/// Keys and values of a GGUF file.
pub trait Metadata {
    /// A number of any type.
    fn number(&self, key: &str) -> Option<f64>;

    /// A string.
    fn text(&self, key: &str) -> Option<String>;
}

/// A tensor's entry in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Storage type by ggml's name.
    pub dtype: String,
}

/// How positions are stretched past the trained context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions are divided.
    Linear {
        /// By this.
        factor: f64,
    },
    /// YaRN (Peng et al. 2023).
    Yarn {
        /// Low frequencies are divided by this.
        factor: f64,
        /// Context before stretching.
        context: usize,
    },
    /// Divisors for each pair, in tensors of the file (Phi-3's long and short ones).
    Factors,
}

/// The hyper-parameters of a model, and what of the run decides its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Hparams {
    /// What the file does not say.
    pub form: Form,
    /// Blocks.
    pub layers: usize,
    /// Elements of the stream.
    pub embedding: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Lanes of a query or key head.
    pub head_dim: usize,
    /// Lanes of a value head.
    pub value_dim: usize,
    /// Lanes that are rotated.
    pub rope_dim: usize,
    /// Base of the rotation.
    pub rope_theta: f64,
    /// Base of the rotation in blocks with a window.
    pub rope_theta_window: f64,
    /// Stretching.
    pub rope_scaling: RopeScaling,
    /// Factor of cosine and sine.
    pub rope_amplitude: f64,
    /// Epsilon of all norms.
    pub norm_eps: f64,
    /// Trained context.
    pub context_len: usize,
    /// Context before stretching.
    pub original_context_len: usize,
    /// Soft cap of scores.
    pub score_cap: Option<f64>,
    /// Soft cap of logits.
    pub logit_cap: Option<f64>,
    /// Positions that blocks with a window see, the own one included.
    pub window: Option<usize>,
    /// All but every n-th block have the window.
    pub window_pattern: usize,
    /// Experts, and how many a token chooses.
    pub experts: Option<(usize, usize)>,
    /// Factor of the experts' weights.
    pub expert_scale: f64,
    /// All tensors of the file.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// Type that keys and values are kept in; the run's, not the model's.
    pub cache: Dtype,
    /// Whether the run rounded the inputs of products to the 11 bits of TF32.
    pub rounds_products: bool,
    /// Whether a GPU computed: ggml's kernels there round activations of products with quantised weights otherwise.
    pub on_gpu: bool,
    /// Context that the run was set up for, where it says so.
    pub run_context: Option<usize>,
}

impl Hparams {
    /// Reads them from a file's metadata.
    ///
    /// # Errors
    ///
    /// A sentence: the architecture is not known here, or a number is missing.
    pub fn read(
        metadata: &dyn Metadata,
        tensors: BTreeMap<String, TensorInfo>,
    ) -> Result<Self, String> {
        let name = metadata
            .text("general.architecture")
            .ok_or("the model does not say its architecture (`general.architecture`)")?;
        let Some(form) = Form::of(&name) else {
            let known: Vec<&str> = Form::architectures().collect();
            return Err(format!(
                "architecture `{name}` is not known here, only {}",
                known.join(", ")
            ));
        };
        let number = |key: &str| metadata.number(&format!("{name}.{key}"));
        let size = |key: &str| number(key).map(|value| value as usize);
        let needed =
            |key: &str| number(key).ok_or_else(|| format!("the model does not say `{name}.{key}`"));
        let embedding = needed("embedding_length")? as usize;
        let heads = (needed("attention.head_count")? as usize).max(1);
        let kv_heads = size("attention.head_count_kv").unwrap_or(heads).max(1);
        let head_dim = size("attention.key_length").unwrap_or(embedding / heads);
        let eps = if form.layer_norm {
            "attention.layer_norm_epsilon"
        } else {
            "attention.layer_norm_rms_epsilon"
        };
        // 10000 is the base of the original rotary embedding (Su et al. 2021) and llama.cpp's default.
        let rope_theta = number("rope.freq_base").unwrap_or(10_000.0);
        let context_len = size("context_length").unwrap_or(usize::MAX);
        let original_context_len =
            size("rope.scaling.original_context_length").unwrap_or(context_len);
        let factor = number("rope.scaling.factor").unwrap_or(1.0);
        let scaling = metadata.text(&format!("{name}.rope.scaling.type"));
        let rope_scaling = match scaling.as_deref() {
            Some("linear") => RopeScaling::Linear { factor },
            Some("yarn") => RopeScaling::Yarn {
                factor,
                context: original_context_len,
            },
            _ if tensors.contains_key("rope_factors_short.weight") => RopeScaling::Factors,
            None | Some("none" | "longrope") => RopeScaling::None,
            Some(other) => {
                return Err(format!(
                    "rotary scaling `{other}` is not known here, only none, linear, yarn, longrope"
                ));
            }
        };
        let window = form
            .windows
            .and_then(|windows| size("attention.sliding_window").or(windows.length))
            .filter(|window| *window > 0);
        let pattern = form.windows.map_or(0, |windows| windows.pattern);
        let cap = |key: &str| number(key).filter(|cap| *cap > 0.0);
        Ok(Self {
            form: *form,
            layers: needed("block_count")? as usize,
            embedding,
            heads,
            kv_heads,
            head_dim,
            value_dim: size("attention.value_length").unwrap_or(head_dim),
            rope_dim: size("rope.dimension_count").unwrap_or(head_dim),
            rope_theta,
            rope_theta_window: number("rope.freq_base_swa").unwrap_or(match form.architecture {
                // llama.cpp's default for Gemma 3; elsewhere windows rotate as the other blocks do.
                "gemma3" => 10_000.0,
                _ => rope_theta,
            }),
            rope_scaling,
            rope_amplitude: number("rope.scaling.attn_factor").unwrap_or(1.0),
            norm_eps: needed(eps)?,
            context_len,
            original_context_len,
            score_cap: cap("attn_logit_softcapping"),
            logit_cap: cap("final_logit_softcapping"),
            window,
            window_pattern: size("attention.sliding_window_pattern").unwrap_or(pattern),
            experts: size("expert_count")
                .filter(|count| *count > 0)
                .map(|count| (count, size("expert_used_count").unwrap_or(1))),
            expert_scale: number("expert_weights_scale")
                .filter(|scale| *scale != 0.0)
                .unwrap_or(1.0),
            tensors,
            cache: Dtype::F32,
            rounds_products: false,
            on_gpu: false,
            run_context: None,
        })
    }

    /// The same for a run: the type of its cache, and its context.
    pub fn for_run(mut self, run: Option<&RunInfo>) -> Self {
        let setting = |name: &str| run.and_then(|run| run.setting(name));
        if let Some(cache) = setting("kv_type").and_then(|name| Dtype::parse(&name)) {
            self.cache = cache;
        }
        self.rounds_products = run.is_some_and(RunInfo::rounds_products);
        self.on_gpu = run.is_some_and(RunInfo::on_gpu);
        self.run_context = setting("n_ctx").and_then(|context| context.parse().ok());
        self
    }

    /// The model's architecture.
    pub fn architecture(&self) -> &'static str {
        self.form.architecture
    }

    /// True where the file has this tensor.
    pub fn has(&self, tensor: &str) -> bool {
        self.tensors.contains_key(tensor)
    }

    /// The window of a block, where it has one.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        let windowed = match self.window_pattern {
            0 => true,
            pattern => layer % pattern < pattern - 1,
        };
        self.window.filter(|_| windowed)
    }

    /// Base of a block's rotation.
    pub fn theta_of(&self, layer: usize) -> f64 {
        match self.window_of(layer) {
            Some(_) => self.rope_theta_window,
            None => self.rope_theta,
        }
    }

    /// Factor of the dot products of queries and keys.
    pub fn score_scale(&self) -> f64 {
        let lanes = if self.layers == self.form.wide_score_layers {
            self.embedding / self.heads
        } else {
            self.head_dim
        };
        1.0 / (lanes as f64).sqrt()
    }
}
