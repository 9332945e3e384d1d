//! The checkpoints of the forward pass: names, producing operations and inputs.
//!
//! Built once when the model is loaded, so that the forward pass formats no names. The inputs are
//! checkpoints or weights of the file; together they are the model's dataflow graph. Operations have
//! ggml's names, so that both engines' traces read alike.

/// The most inputs that an operation has.
pub(crate) const MAX_SRC: usize = 3;

/// One checkpoint: its name, the operation that makes it, and what goes in.
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) op: &'static str,
    src: Vec<String>,
}

impl Label {
    /// `src` ends at the first empty name: an optional input that is not there.
    fn new(name: impl Into<String>, op: &'static str, src: [String; MAX_SRC]) -> Self {
        let src = src
            .into_iter()
            .take_while(|name| !name.is_empty())
            .collect();
        Self {
            name: name.into(),
            op,
            src,
        }
    }

    /// The names of the inputs, in an array that needs no allocation, and their number.
    pub(crate) fn src(&self) -> ([&str; MAX_SRC], usize) {
        let mut names = [""; MAX_SRC];
        for (slot, name) in names.iter_mut().zip(&self.src) {
            *slot = name;
        }
        (names, self.src.len())
    }
}

/// The checkpoints outside blocks.
pub(super) struct ModelLabels {
    pub(super) embedding: Label,
    pub(super) final_norm: Label,
    pub(super) logits: Label,
}

/// The checkpoints of a block outside its two halves.
pub(super) struct BlockLabels {
    pub(super) attn_norm: Label,
    pub(super) attn_residual: Label,
    pub(super) ffn_norm: Label,
    pub(super) output: Label,
}

/// The checkpoints of attention.
pub(super) struct AttentionLabels {
    pub(super) q: Label,
    pub(super) k: Label,
    pub(super) v: Label,
    pub(super) q_norm: Label,
    pub(super) k_norm: Label,
    pub(super) q_rope: Label,
    pub(super) k_rope: Label,
    pub(super) scores: Label,
    pub(super) probs: Label,
    pub(super) context: Label,
    pub(super) out: Label,
}

/// The checkpoints of the feed-forward network.
pub(super) struct FeedForwardLabels {
    pub(super) gate: Label,
    pub(super) up: Label,
    pub(super) act: Label,
    pub(super) out: Label,
}

fn none() -> String {
    String::new()
}

impl ModelLabels {
    /// `layers` blocks; `head` is the tensor whose rows the final norm is multiplied with.
    pub(super) fn new(layers: usize, head: &str) -> Self {
        let last = match layers.checked_sub(1) {
            Some(last) => format!("layer_{last}_output"),
            None => "embedding".into(),
        };
        let input = |name: &str| name.to_owned();
        Self {
            embedding: Label::new(
                "embedding",
                "GET_ROWS",
                [input("token_embd.weight"), input("tokens"), none()],
            ),
            final_norm: Label::new(
                "final_norm",
                "RMS_NORM",
                [last, input("output_norm.weight"), none()],
            ),
            logits: Label::new(
                "logits",
                "MUL_MAT",
                [input("final_norm"), input(head), none()],
            ),
        }
    }
}

/// Names of one block's checkpoints and weights.
#[derive(Clone, Copy)]
pub(super) struct Names {
    layer: usize,
}

impl Names {
    pub(super) fn new(layer: usize) -> Self {
        Self { layer }
    }

    fn checkpoint(self, name: &str) -> String {
        format!("layer_{}_{name}", self.layer)
    }

    fn weight(self, name: &str) -> String {
        format!("blk.{}.{name}", self.layer)
    }

    fn norm(self, name: &str, input: String, weight: &str) -> Label {
        Label::new(
            self.checkpoint(name),
            "RMS_NORM",
            [input, self.weight(weight), none()],
        )
    }

    fn project(self, name: &str, input: &str, weight: &str, bias: bool) -> Label {
        let bias = if bias {
            self.weight(&format!("{weight}.bias"))
        } else {
            none()
        };
        let inputs = [
            self.checkpoint(input),
            self.weight(&format!("{weight}.weight")),
            bias,
        ];
        Label::new(self.checkpoint(name), "MUL_MAT", inputs)
    }

    fn join(self, name: &str, op: &'static str, a: &str, b: &str) -> Label {
        Label::new(
            self.checkpoint(name),
            op,
            [self.checkpoint(a), self.checkpoint(b), none()],
        )
    }

    pub(super) fn block(self) -> BlockLabels {
        let input = match self.layer.checked_sub(1) {
            Some(previous) => format!("layer_{previous}_output"),
            None => "embedding".into(),
        };
        BlockLabels {
            attn_norm: self.norm("attn_norm", input.clone(), "attn_norm.weight"),
            attn_residual: Label::new(
                self.checkpoint("attn_residual"),
                "ADD",
                [self.checkpoint("attn_out"), input, none()],
            ),
            ffn_norm: self.norm(
                "ffn_norm",
                self.checkpoint("attn_residual"),
                "ffn_norm.weight",
            ),
            output: self.join("output", "ADD", "ffn_out", "attn_residual"),
        }
    }

    /// `biases` of query, key, value and output projection; `head_norms` of queries and keys.
    pub(super) fn attention(self, biases: [bool; 4], head_norms: [bool; 2]) -> AttentionLabels {
        let rope = |name: &str, normed: bool, normed_name: &str, raw: &str| {
            let input = self.checkpoint(if normed { normed_name } else { raw });
            Label::new(self.checkpoint(name), "ROPE", [input, none(), none()])
        };
        AttentionLabels {
            q: self.project("q", "attn_norm", "attn_q", biases[0]),
            k: self.project("k", "attn_norm", "attn_k", biases[1]),
            v: self.project("v", "attn_norm", "attn_v", biases[2]),
            q_norm: self.norm("q_norm", self.checkpoint("q"), "attn_q_norm.weight"),
            k_norm: self.norm("k_norm", self.checkpoint("k"), "attn_k_norm.weight"),
            q_rope: rope("q_rope", head_norms[0], "q_norm", "q"),
            k_rope: rope("k_rope", head_norms[1], "k_norm", "k"),
            scores: self.join("attn_scores", "MUL_MAT", "k_rope", "q_rope"),
            probs: Label::new(
                self.checkpoint("attn_probs"),
                "SOFT_MAX",
                [self.checkpoint("attn_scores"), none(), none()],
            ),
            context: self.join("attn_context", "MUL_MAT", "v", "attn_probs"),
            out: self.project("attn_out", "attn_context", "attn_output", biases[3]),
        }
    }

    /// `biases` of gate, up and down projection.
    pub(super) fn feed_forward(self, biases: [bool; 3]) -> FeedForwardLabels {
        FeedForwardLabels {
            gate: self.project("ffn_gate", "ffn_norm", "ffn_gate", biases[0]),
            up: self.project("ffn_up", "ffn_norm", "ffn_up", biases[1]),
            act: self.join("ffn_act", "GLU", "ffn_gate", "ffn_up"),
            out: self.project("ffn_out", "ffn_act", "ffn_down", biases[2]),
        }
    }
}
