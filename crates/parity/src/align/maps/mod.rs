//! Other engines' names: which canonical checkpoint a record stands for, and how it is to be read.

mod choose;
mod file;
mod map;
mod pattern;
mod rule;
mod shipped;

pub use choose::{Choice, Chosen, Sample, choose};
pub use file::MapError;
pub use map::{BoundMap, Mapped, NameMap, Target};
pub use pattern::{Numbers, Pattern, Template};
pub use rule::{Axes, Axis, Part, PartKind, Reading};
pub use shipped::{shipped, shipped_map, shipped_text};
