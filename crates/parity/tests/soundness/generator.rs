//! Sound traces, as varied as engines make them: what a check must pass over in silence.

use std::fmt::Write;

/// A small generator of pseudo-random numbers (splitmix64), so that a seed is a trace.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 on, below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Cauchy: no variance at all.
    fn cauchy(&mut self) -> f64 {
        self.normal() / self.normal()
    }
}

/// How the elements of a checkpoint are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Gaussian(f64),
    /// Student's t with 1 to 3 degrees of freedom.
    Heavy(f64),
    /// Gaussian, with a few channels a thousand times larger, the same in every record.
    Massive(f64),
    /// `exp` of a wide Gaussian, of either sign.
    LogNormal,
    Relu,
    /// SiLU of a gate times an up projection: many orders of magnitude, subnormals too.
    Gated,
    /// Rows of probabilities; sharp ones underflow to subnormals and to exact zeros.
    Softmax(f64),
    /// Rows of probabilities with causal zeros behind.
    CausalSoftmax,
    MaskedScores,
    OneHot,
    /// Few levels times a scale.
    Levels,
    Tiny,
    /// Gaussian with channels that are always zero.
    DeadChannels,
    Constant(f64),
    /// The same numbers in every step: weights, tables.
    Static,
    Cosine,
}

/// How numbers get to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Exact,
    /// `%f` and the like, with so many decimals.
    Decimals(usize),
    /// `%.8e` and the like.
    Digits(usize),
}

pub(crate) struct Checkpoint {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    width: usize,
    /// `f32`, `f16`, `bf16`: what the numbers are rounded to, and what the record says.
    rounded_to: Stored,
    declared: &'static str,
    massive: Vec<usize>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    F32,
    F16,
    Bf16,
}

/// What a logger writes.
#[derive(Clone, Copy, Debug)]
struct Style {
    statistics: bool,
    values: usize,
    /// Nothing else, not even how many tokens a record covers.
    six_fields: bool,
}

/// A whole trace.
pub(crate) struct Sound {
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) text: Text,
    pub(crate) lines: String,
}

impl Sound {
    /// The trace of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let text = match dice.below(8) {
            0 | 1 => Text::Decimals([4, 6, 6, 6, 8][dice.below(5)]),
            2 => Text::Digits([6, 9][dice.below(2)]),
            _ => Text::Exact,
        };
        let checkpoints = checkpoints(&mut dice);
        let mut sound = Self {
            checkpoints,
            text,
            lines: String::new(),
        };
        sound.write(&mut dice);
        sound
    }

    fn write(&mut self, dice: &mut Dice) {
        let style = Style {
            statistics: self.text == Text::Exact && dice.chance(0.6),
            values: [4, 8, 10, 10, 10, 16, 33][dice.below(7)],
            six_fields: dice.chance(0.2),
        };
        let prompt = 1 + dice.below(12);
        let steps = dice.below(20);
        let batched = dice.chance(0.6);
        let vocabulary = [32, 500, 50_000][dice.below(3)];
        // Repeated tokens are common: they repeat embeddings and what hangs on these alone.
        let ids: Vec<usize> = (0..prompt + steps)
            .scan(0, |last, _| {
                if !dice.chance(0.4) {
                    *last = dice.below(vocabulary);
                }
                Some(*last)
            })
            .collect();
        let tells_tokens = dice.chance(0.6);
        let mut position = 0;
        let mut step = 0;
        while position < ids.len() {
            let n = if step == 0 && batched { prompt } else { 1 };
            let fed = &ids[position..position + n];
            if tells_tokens {
                let list: Vec<String> = fed.iter().map(usize::to_string).collect();
                let _ = writeln!(
                    self.lines,
                    r#"{{"checkpoint":"tokens","team":"t","token_idx":{position},"dtype":"i32","shape":"[{n}]","values":[{}],"n_tokens":{n},"step":{step}}}"#,
                    list.join(",")
                );
            }
            for index in 0..self.checkpoints.len() {
                let values = self.checkpoints[index].values(fed, position, dice);
                self.line(index, &values, (position, n, step), style);
            }
            position += n;
            step += 1;
        }
    }

    fn line(&mut self, index: usize, values: &[f64], at: (usize, usize, usize), style: Style) {
        let checkpoint = &self.checkpoints[index];
        let (position, n, step) = at;
        let shown: Vec<String> = values
            .iter()
            .take(style.values)
            .map(|value| number(*value, self.text))
            .collect();
        let _ = write!(
            self.lines,
            r#"{{"checkpoint":"{}","team":"t","token_idx":{position},"dtype":"{}","shape":"[{n},{}]","values":[{}]"#,
            checkpoint.name,
            checkpoint.declared,
            values.len() / n,
            shown.join(","),
        );
        if !style.six_fields {
            let _ = write!(self.lines, r#","n_tokens":{n},"step":{step}"#);
        }
        if style.statistics {
            let finite: Vec<f64> = values
                .iter()
                .copied()
                .filter(|value| value.is_finite())
                .collect();
            let count = |wanted: fn(&&f64) -> bool| values.iter().filter(wanted).count();
            let mean = finite.iter().sum::<f64>() / finite.len() as f64;
            let rms = (finite.iter().map(|value| value * value).sum::<f64>() / finite.len() as f64)
                .sqrt();
            let _ = write!(
                self.lines,
                r#","stats":{{"n":{},"nan":{},"inf":{},"zero":{},"min":{:e},"max":{:e},"mean":{mean:e},"rms":{rms:e}}}"#,
                values.len(),
                count(|value| value.is_nan()),
                count(|value| value.is_infinite()),
                count(|value| **value == 0.0),
                finite.iter().copied().fold(f64::INFINITY, f64::min) as f32,
                finite.iter().copied().fold(f64::NEG_INFINITY, f64::max) as f32,
            );
        }
        self.lines.push_str("}\n");
    }
}

fn number(value: f64, text: Text) -> String {
    let value = value as f32;
    match text {
        _ if value == f32::NEG_INFINITY => "\"-Infinity\"".to_owned(),
        Text::Exact => format!("{value:e}"),
        Text::Decimals(decimals) => format!("{value:.decimals$}"),
        Text::Digits(digits) => format!("{value:.*e}", digits - 1),
    }
}

fn checkpoints(dice: &mut Dice) -> Vec<Checkpoint> {
    let dense = |dice: &mut Dice| match dice.below(8) {
        0..=2 => Kind::Gaussian(10_f64.powf(3.0 * dice.normal().clamp(-2.0, 2.0) / 2.0)),
        3 => Kind::Heavy(1.0 + dice.unit()),
        4 | 5 => Kind::Massive(10_f64.powf(1.0 + 3.0 * dice.unit())),
        6 => Kind::LogNormal,
        _ => Kind::DeadChannels,
    };
    let any = |dice: &mut Dice| match dice.below(16) {
        0 => Kind::Relu,
        1 => Kind::Gated,
        2 => Kind::Softmax(10_f64.powf(2.5 * dice.unit())),
        3 => Kind::CausalSoftmax,
        4 => Kind::OneHot,
        5 => Kind::Levels,
        6 => Kind::Tiny,
        7 => Kind::Constant([1.0, 0.0, 0.5, -23.203_125, 1e-5, 1e-20, -3.3e38][dice.below(7)]),
        8 => Kind::Static,
        9 => Kind::Cosine,
        _ => dense(dice),
    };
    let width = [8, 16, 33, 64, 64][dice.below(5)];
    let (rounded_to, declared) = match dice.below(8) {
        0 => (Stored::F16, "f16"),
        1 => (Stored::Bf16, "bf16"),
        2 => (Stored::F16, "f32"),
        3 => (Stored::Bf16, "f32"),
        _ => (Stored::F32, "f32"),
    };
    let mut list: Vec<(String, Kind)> = Vec::new();
    list.push((
        "embedding".to_owned(),
        if dice.chance(0.3) {
            Kind::Levels
        } else {
            dense(dice)
        },
    ));
    for layer in 0..1 + dice.below(3) {
        let stages: [(&str, Kind); 12] = [
            ("attn_norm", dense(dice)),
            ("q", dense(dice)),
            ("k", dense(dice)),
            ("v", dense(dice)),
            (
                "attn_scores",
                if dice.chance(0.3) {
                    Kind::MaskedScores
                } else {
                    dense(dice)
                },
            ),
            (
                "attn_probs",
                if dice.chance(0.5) {
                    Kind::CausalSoftmax
                } else {
                    Kind::Softmax(10_f64.powf(2.5 * dice.unit()))
                },
            ),
            ("attn_context", dense(dice)),
            (
                "attn_out",
                if dice.chance(0.1) {
                    Kind::Constant(0.0)
                } else {
                    dense(dice)
                },
            ),
            ("attn_residual", dense(dice)),
            (
                "ffn_act",
                if dice.chance(0.5) {
                    Kind::Relu
                } else {
                    Kind::Gated
                },
            ),
            ("ffn_out", dense(dice)),
            ("output", dense(dice)),
        ];
        list.extend(stages.map(|(stage, kind)| (format!("layer_{layer}_{stage}"), kind)));
    }
    for index in 0..dice.below(6) {
        list.push((format!("mine.{index}"), any(dice)));
    }
    list.push(("final_norm".to_owned(), dense(dice)));
    list.push(("logits".to_owned(), Kind::Gaussian(3.0)));
    // A logger of logits only is the commonest of all.
    if dice.chance(0.2) {
        list.drain(..list.len() - 1);
    }
    list.into_iter()
        .map(|(name, kind)| {
            let seed = dice.bits();
            let mut own = Dice::new(seed);
            // Also the places where a freed chunk would have its links: a massive first channel beside a dead one.
            let massive = (0..own.below(3))
                .map(|_| if own.chance(0.3) { 0 } else { own.below(width) })
                .collect();
            Checkpoint {
                name,
                kind,
                width,
                rounded_to,
                declared,
                massive,
                seed,
            }
        })
        .collect()
}

impl Checkpoint {
    /// The rows of the tokens that were fed.
    fn values(&self, fed: &[usize], position: usize, dice: &mut Dice) -> Vec<f64> {
        let mut values = Vec::new();
        for (row, id) in fed.iter().enumerate() {
            // What hangs on the token alone is the same whenever the token is.
            let token_only = self.name == "embedding"
                || ["attn_norm", "q", "k", "v"]
                    .iter()
                    .any(|stage| self.name == format!("layer_0_{stage}"));
            let mut own = Dice::new(if self.kind == Kind::Static {
                self.seed
            } else if token_only {
                self.seed ^ (*id as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d)
            } else {
                dice.bits()
            });
            self.row(position + row, &mut values, &mut own);
        }
        values.into_iter().map(|value| self.stored(value)).collect()
    }

    fn row(&self, position: usize, values: &mut Vec<f64>, dice: &mut Dice) {
        let first = values.len();
        let width = self.width;
        let softmax = |logits: &[f64]| -> Vec<f64> {
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exps: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.iter().map(|exp| exp / sum).collect()
        };
        let masked = |dice: &mut Dice, scale: f64| -> Vec<f64> {
            (0..width)
                .map(|index| {
                    if index > position {
                        f64::NEG_INFINITY
                    } else {
                        scale * dice.normal()
                    }
                })
                .collect()
        };
        match self.kind {
            Kind::Softmax(scale) => {
                let logits: Vec<f64> = (0..width).map(|_| scale * dice.normal()).collect();
                values.extend(softmax(&logits));
            }
            Kind::CausalSoftmax => values.extend(softmax(&masked(dice, 5.0))),
            Kind::MaskedScores => values.extend(masked(dice, 5.0)),
            Kind::OneHot => {
                let hot = dice.below(width);
                values.extend((0..width).map(|index| f64::from(u8::from(index == hot))));
            }
            kind => values.extend((0..width).map(|index| element(kind, index, position, dice))),
        }
        let row = &mut values[first..];
        if let Kind::Massive(factor) = self.kind {
            for channel in &self.massive {
                row[*channel] = factor * (100.0 + dice.normal());
            }
        }
        if self.kind == Kind::DeadChannels {
            // A massive first channel, a dead second one: what a freed chunk looks like in `%f`, and yet sound.
            row[1] = 0.0;
            for channel in &self.massive {
                row[*channel] = 0.0;
            }
            if self.seed.is_multiple_of(2) {
                row[0] = -2000.0 + dice.normal();
            }
        }
    }

    fn stored(&self, value: f64) -> f64 {
        match self.rounded_to {
            Stored::F32 => f64::from(value as f32),
            Stored::F16 if value.is_finite() => {
                half::f16::from_f64(value.clamp(-65504.0, 65504.0)).to_f64()
            }
            Stored::Bf16 if value.is_finite() => half::bf16::from_f64(value).to_f64(),
            _ => value,
        }
    }
}

fn element(kind: Kind, index: usize, position: usize, dice: &mut Dice) -> f64 {
    let silu = |x: f64| x / (1.0 + (-x).exp());
    match kind {
        Kind::Gaussian(scale) => scale * dice.normal(),
        Kind::Heavy(freedom) if freedom < 1.5 => dice.cauchy(),
        Kind::Heavy(_) => {
            dice.normal() / (0.5 * (dice.normal().powi(2) + dice.normal().powi(2))).sqrt()
        }
        Kind::LogNormal => (3.0 * dice.normal()).exp() * if dice.chance(0.5) { 1.0 } else { -1.0 },
        Kind::Relu => dice.normal().max(0.0),
        Kind::Gated => silu(20.0 * dice.normal() - 10.0) * dice.normal(),
        Kind::Levels => (3.0 * dice.normal()).round() * 0.073_1,
        Kind::Tiny => 1e-30 * dice.normal(),
        Kind::Constant(value) => value,
        Kind::Cosine => (position as f64 / 10_000_f64.powf(index as f64 / 64.0)).cos(),
        Kind::Massive(_) | Kind::DeadChannels | Kind::Static => dice.normal(),
        Kind::Softmax(_) | Kind::CausalSoftmax | Kind::MaskedScores | Kind::OneHot => {
            unreachable!("rows, not elements")
        }
    }
}
