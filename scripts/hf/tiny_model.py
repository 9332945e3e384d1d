"""Writes a tiny random model twice: as `transformers` has it, and as a GGUF file for llama.cpp.

    python tiny_model.py llama FOLDER     ->  FOLDER/config.json, FOLDER/model.safetensors, FOLDER/model.gguf

The GGUF holds the same f32 weights, so that whatever two engines then disagree about is not the conversion's rounding.
"""

import argparse
from pathlib import Path

import gguf
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

# What both architectures share. Fewer key heads than query heads, and a head_dim (24) that is no power of two, so that a
# mistake in either shows.
SIZES = dict(
    vocab_size=320,
    hidden_size=96,
    intermediate_size=208,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    attn_implementation="eager",
)
ARCHITECTURES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, rope_theta=10000.0, rms_norm_eps=1e-5, tie_word_embeddings=False)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, rope_theta=1e6, rms_norm_eps=1e-6, tie_word_embeddings=True)),
}

# Parts of a block: the name in `transformers`, the name in GGUF.
BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def randomise(model, seed):
    """Weights of a size that keeps every checkpoint near 1, norms and biases that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("norm.weight"):
                weight.copy_(1.0 + 0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                weight.copy_(noise)
            else:
                weight.copy_(noise * weight.shape[-1] ** -0.5)


def rotation_pairs(rows, heads):
    """Rows of Q or K as llama.cpp's `llama` wants them.

    `transformers` rotates lane j of a head together with lane j + head_dim/2, llama.cpp's `llama` lane 2j with
    lane 2j + 1: the rows are reordered once, in the file. (`qwen2` rotates as `transformers` does.)
    """
    head_dim = rows.shape[0] // heads
    order = [h * head_dim + half * head_dim // 2 + j for h in range(heads) for j in range(head_dim // 2) for half in (0, 1)]
    return rows[order]


def gguf_name(name):
    part, kind = name.rsplit(".", 1)
    if part in OUTSIDE:
        return f"{OUTSIDE[part]}.{kind}"
    layer, block = part.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{BLOCK[block]}.{kind}"


def write_vocabulary(writer, size):
    """One token for each byte, and tokens that no text has: enough for llama.cpp to load, and the ids are given anyway."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shown = {byte: chr(byte) for byte in printable}
    shown |= {byte: chr(256 + n) for n, byte in enumerate(b for b in range(256) if b not in shown)}
    tokens = [shown[byte] for byte in range(256)] + [f"<unused {n}>" for n in range(size - 256)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * (size - 256))
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_add_bos_token(False)


def write_gguf(model, architecture, path):
    config = model.config
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name(f"tiny random {architecture}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    write_vocabulary(writer, config.vocab_size)
    # Tied weights appear once here and once in the file; llama.cpp ties what is missing.
    for name, weight in model.named_parameters():
        rows = weight.detach()
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            rows = rotation_pairs(rows, config.num_attention_heads if "q_proj" in name else config.num_key_value_heads)
        writer.add_tensor(gguf_name(name), rows.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("architecture", choices=ARCHITECTURES)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    kind, config = ARCHITECTURES[given.architecture]
    model = kind(config)
    randomise(model, given.seed)
    given.folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(given.folder)
    write_gguf(model, given.architecture, given.folder / "model.gguf")


if __name__ == "__main__":
    main()
