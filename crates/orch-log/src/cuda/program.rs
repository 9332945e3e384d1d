//! The device code: that of the C++ header, taken from the folder `cpp/` beside this workspace's crates.

use super::slot::{Backlog, Batch, Delivery, Entry, Job, Piece, Ring, Scratch, Slot};
use crate::format::Dtype;

/// The files include each other and nothing else; put one after the other, they are one program.
const SOURCES: [&str; 5] = [
    include_str!("../../../../cpp/orch_log_cuda/slot.cuh"),
    include_str!("../../../../cpp/orch_log_cuda/elements.cuh"),
    include_str!("../../../../cpp/orch_log_cuda/partial.cuh"),
    include_str!("../../../../cpp/orch_log_cuda/scan.cuh"),
    include_str!("../../../../cpp/orch_log_cuda/kernels.cuh"),
];

/// A type of elements in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Type {
    F64,
    F32,
    F16,
    Bf16,
    F8E4m3,
    F8E5m2,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Type {
    #[cfg(test)]
    pub(super) const ALL: [Self; 15] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::F8E4m3,
        Self::F8E5m2,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U64,
        Self::U32,
        Self::U16,
        Self::U8,
        Self::Bool,
    ];

    /// The type of a tensor that is stored as `dtype` says; none for blocks and unknown names.
    pub(super) fn of(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
            Dtype::F8E4m3 => Self::F8E4m3,
            Dtype::F8E5m2 => Self::F8E5m2,
            Dtype::I64 => Self::I64,
            Dtype::I32 => Self::I32,
            Dtype::I16 => Self::I16,
            Dtype::I8 => Self::I8,
            Dtype::U64 => Self::U64,
            Dtype::U32 => Self::U32,
            Dtype::U16 => Self::U16,
            Dtype::U8 => Self::U8,
            Dtype::Bool => Self::Bool,
            Dtype::Ggml(_) => return None,
        })
    }

    /// The type of a payload of such elements.
    pub(super) fn dtype(self) -> Dtype {
        match self {
            Self::F64 => Dtype::F64,
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::Bf16,
            Self::F8E4m3 => Dtype::F8E4m3,
            Self::F8E5m2 => Dtype::F8E5m2,
            Self::I64 => Dtype::I64,
            Self::I32 => Dtype::I32,
            Self::I16 => Dtype::I16,
            Self::I8 => Dtype::I8,
            Self::U64 => Dtype::U64,
            Self::U32 => Dtype::U32,
            Self::U16 => Dtype::U16,
            Self::U8 => Dtype::U8,
            Self::Bool => Dtype::Bool,
        }
    }

    pub(super) fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F8E4m3 | Self::F8E5m2 | Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Its name in `elements.cuh`.
    fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "Bf16",
            Self::F8E4m3 => "F8E4m3",
            Self::F8E5m2 => "F8E5m2",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U64 => "U64",
            Self::U32 => "U32",
            Self::U16 => "U16",
            Self::U8 => "U8",
            Self::Bool => "Boolean",
        }
    }

    /// The number by which the kernel for several tensors knows it; none for types that it does not read.
    pub(super) fn in_batch(self) -> Option<u8> {
        match self {
            Self::F32 => Some(0),
            Self::F16 => Some(1),
            Self::Bf16 => Some(2),
            _ => None,
        }
    }
}

/// What is compiled together. Apart, because an engine has few types and compiling them all takes seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Program {
    /// Kernels that read no elements, see [`Common`].
    Common,
    /// Several small tensors at once.
    Batch,
    /// Any number of them.
    Table,
    /// One tensor of this type without gaps.
    Plain(Type),
    /// One in any layout.
    Strided(Type),
}

/// The kernels of [`Program::Common`], in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Common {
    NextStep,
    CopySmall,
    CopyStrided,
    Deliver,
    DeliverPieces,
    WaitForHost,
}

impl Program {
    /// Its kernels, as C++ names them. An instance of a template is compiled because it is asked for.
    pub(super) fn kernels(self) -> Vec<String> {
        match self {
            Self::Common => [
                "next_step<0>",
                "copy_small<0>",
                "copy_strided<0>",
                "deliver<0>",
                "deliver_pieces<0>",
                "wait_for_host<0>",
            ]
            .map(str::to_owned)
            .to_vec(),
            Self::Batch => vec!["log_batch<0>".to_owned()],
            Self::Table => vec!["log_table<0>".to_owned()],
            Self::Plain(of) => vec![format!("log_plain<{}>", of.name())],
            Self::Strided(of) => vec![format!("log_strided<{}>", of.name())],
        }
    }

    /// The source of all programs.
    pub(super) fn source() -> String {
        let mut source = String::new();
        for file in SOURCES {
            for line in file.lines().filter(|line| !line.starts_with("#include")) {
                source.push_str(line);
                source.push('\n');
            }
        }
        source.push_str("using namespace orch_log::cuda;\n");
        for (name, size) in [
            ("Slot", size_of::<Slot>()),
            ("Job", size_of::<Job>()),
            ("Batch", size_of::<Batch>()),
            ("Entry", size_of::<Entry>()),
            ("Piece", size_of::<Piece>()),
            ("Ring", size_of::<Ring>()),
            ("Scratch", size_of::<Scratch>()),
            ("Delivery", size_of::<Delivery>()),
            ("Backlog", size_of::<Backlog>()),
            ("Partial", super::slot::PARTIAL_BYTES),
        ] {
            source.push_str(&format!(
                "static_assert(sizeof({name}) == {size}, \"both sides must agree\");\n"
            ));
        }
        source
    }
}
