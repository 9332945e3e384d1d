//! The rules, one file each.

use super::Rule;

mod activation_function;
mod activation_operands;
mod activation_overflow;
mod attention_heads;
mod attention_scale;
mod attention_softcap;
mod attention_strides;
mod bias;
mod cache_exchanged;
mod cache_narrow;
mod cache_rows;
mod cache_scale;
mod dequantisation;
mod embedding_rows;
mod embedding_scale;
mod expert_assignment;
mod expert_bias;
mod expert_choice;
mod expert_shared;
mod expert_weights;
mod factor;
mod former_contents;
mod mask_finite;
mod mask_support;
mod norm_divisor;
mod norm_eps;
mod norm_kind;
mod norm_narrow;
mod norm_other_weight;
mod norm_scope;
mod norm_skipped;
mod norm_weight_any;
mod norm_weight_missing;
mod norm_weight_offset;
mod not_finite;
mod other_input;
mod other_rows;
mod permutation;
mod product_narrow;
mod product_partial;
mod residual_factor;
mod residual_wiring;
mod rope_amplitude;
mod rope_axis;
mod rope_base;
mod rope_direction;
mod rope_layout;
mod rope_other_angles;
mod rope_pairing;
mod rope_partial;
mod rope_positions;
mod rope_scaling;
mod rope_tables;
mod rope_times;
mod rounded;
mod scores_narrow;
mod softmax_distance;
mod softmax_overflow;
mod softmax_sink;
mod weight_columns;
mod weight_fused;
mod weight_layout;
mod weight_not_loaded;
mod weight_other;
mod weight_rows;
mod weight_strides;
mod zeros;

/// All rules, ascending by code.
pub static RULES: &[&Rule] = &[
    &zeros::RULE,
    &other_rows::RULE,
    &factor::RULE,
    &permutation::RULE,
    &rounded::RULE,
    &not_finite::RULE,
    &other_input::RULE,
    &former_contents::RULE,
    &norm_eps::RULE,
    &norm_divisor::RULE,
    &norm_weight_offset::RULE,
    &norm_weight_missing::RULE,
    &norm_kind::RULE,
    &norm_skipped::RULE,
    &norm_other_weight::RULE,
    &norm_scope::RULE,
    &norm_narrow::RULE,
    &norm_weight_any::RULE,
    &weight_other::RULE,
    &weight_layout::RULE,
    &weight_rows::RULE,
    &weight_columns::RULE,
    &weight_fused::RULE,
    &weight_not_loaded::RULE,
    &bias::RULE,
    &product_narrow::RULE,
    &product_partial::RULE,
    &dequantisation::RULE,
    &rope_pairing::RULE,
    &rope_layout::RULE,
    &rope_direction::RULE,
    &rope_times::RULE,
    &rope_base::RULE,
    &rope_scaling::RULE,
    &rope_partial::RULE,
    &rope_amplitude::RULE,
    &rope_tables::RULE,
    &rope_positions::RULE,
    &rope_axis::RULE,
    &rope_other_angles::RULE,
    &attention_scale::RULE,
    &attention_softcap::RULE,
    &attention_heads::RULE,
    &attention_strides::RULE,
    &cache_exchanged::RULE,
    &cache_rows::RULE,
    &cache_scale::RULE,
    &cache_narrow::RULE,
    &scores_narrow::RULE,
    &mask_support::RULE,
    &mask_finite::RULE,
    &softmax_sink::RULE,
    &softmax_distance::RULE,
    &softmax_overflow::RULE,
    &activation_function::RULE,
    &activation_operands::RULE,
    &activation_overflow::RULE,
    &residual_wiring::RULE,
    &residual_factor::RULE,
    &embedding_scale::RULE,
    &embedding_rows::RULE,
    &expert_weights::RULE,
    &expert_bias::RULE,
    &expert_choice::RULE,
    &expert_assignment::RULE,
    &expert_shared::RULE,
];
