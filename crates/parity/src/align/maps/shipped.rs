//! The maps that come with the product.

use super::map::NameMap;
use std::sync::LazyLock;

/// The TOML texts: their own `name` is what `--map` takes.
const TEXTS: [&str; 6] = [
    include_str!("shipped/huggingface.toml"),
    include_str!("shipped/huggingface-post-norm.toml"),
    include_str!("shipped/llama.cpp.toml"),
    include_str!("shipped/candle.toml"),
    include_str!("shipped/vllm.toml"),
    include_str!("shipped/sglang.toml"),
];

static SHIPPED: LazyLock<Vec<NameMap>> = LazyLock::new(|| {
    let read =
        |text: &&str| NameMap::parse(text, "shipped").expect("a test reads every shipped map");
    TEXTS.iter().map(read).collect()
});

/// All shipped maps.
pub fn shipped() -> &'static [NameMap] {
    &SHIPPED
}

/// The shipped map of this name.
pub fn shipped_map(name: &str) -> Option<&'static NameMap> {
    shipped().iter().find(|map| map.name() == name)
}

/// The TOML text of the shipped map of this name, to begin an own one with.
pub fn shipped_text(name: &str) -> Option<&'static str> {
    let index = shipped().iter().position(|map| map.name() == name)?;
    Some(TEXTS[index])
}
