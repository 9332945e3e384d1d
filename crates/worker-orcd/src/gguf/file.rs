//! Opening a GGUF and reading its tensors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use sha2::{Digest, Sha256};

use super::Metadata;
use crate::error::{Error, Result, plain};

/// An open GGUF file.
pub struct GgufFile {
    path: PathBuf,
    reader: BufReader<File>,
    content: gguf_file::Content,
    metadata: Metadata,
}

impl GgufFile {
    /// Opens `path` and checks that every tensor that its header names lies inside the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not a GGUF, or ends too early.
    pub fn open(path: &Path) -> Result<Self> {
        let io_error = |source| Error::Io {
            action: "open the model",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io_error)?;
        let data = file.metadata().map_err(io_error)?;
        if !data.is_file() {
            return Err(Error::gguf(
                path,
                "is no regular file; give the path of a GGUF",
            ));
        }
        let length = data.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut content = gguf_file::Content::read(&mut reader)
            .map_err(|error| Error::gguf(path, explain_header(&error, length)))?;
        check_extent(path, &content, length)?;
        let metadata = Metadata::new(path.to_owned(), std::mem::take(&mut content.metadata));
        Ok(Self {
            path: path.to_owned(),
            reader,
            content,
            metadata,
        })
    }

    /// The file's path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key-value pairs of the header.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether the file has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// The shape of the tensor of this name, outermost dimension first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.content
            .tensor_infos
            .get(name)
            .map(|info| info.shape.dims())
    }

    /// The storage type of the tensor of this name.
    pub fn storage(&self, name: &str) -> Option<GgmlDType> {
        let info = self.content.tensor_infos.get(name);
        info.map(|info| info.ggml_dtype)
    }

    /// Reads one tensor as it is stored.
    ///
    /// # Errors
    ///
    /// When the file has no such tensor or cannot be read.
    pub fn tensor(&mut self, name: &str) -> Result<QTensor> {
        if !self.has(name) {
            return Err(Error::gguf(
                &self.path,
                format_args!("has no tensor `{name}`"),
            ));
        }
        self.content
            .tensor(&mut self.reader, name, &Device::Cpu)
            .map_err(|error| {
                Error::gguf(
                    &self.path,
                    format_args!("tensor `{name}`: {}", plain(&error)),
                )
            })
    }

    /// The storage type that most of the weights' elements have, as ggml spells it: `q4_1`, `f32`.
    pub fn weight_type(&self) -> String {
        let mut elements: HashMap<String, usize> = HashMap::new();
        for info in self.content.tensor_infos.values() {
            // Norms and biases stay F32 in every file; only matrices tell.
            if info.shape.rank() > 1 {
                let name = format!("{:?}", info.ggml_dtype).to_lowercase();
                *elements.entry(name).or_default() += info.shape.elem_count();
            }
        }
        let most = elements
            .into_iter()
            .max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)));
        most.map_or_else(|| "unknown".to_owned(), |(name, _)| name)
    }

    /// A reading of the whole file that gives its SHA-256 in hexadecimal, for another thread to do.
    ///
    /// # Errors
    ///
    /// The reading fails when the file cannot be read.
    pub fn sha256(&self) -> impl FnOnce() -> Result<String> + Send + 'static {
        let path = self.path.clone();
        move || {
            digest(&path).map_err(|source| Error::Io {
                action: "read",
                path,
                source,
            })
        }
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// A header that cannot be read: not a GGUF, cut short, or with a type that candle does not know.
fn explain_header(error: &candle_core::Error, length: u64) -> String {
    let text = plain(error);
    if text.contains("magic") {
        return format!("not a GGUF file ({text})");
    }
    if text.contains("dtype") {
        return format!(
            "{text}: a tensor type that the engine cannot decode; it reads F32, F16, BF16, Q4_0, Q4_1, \
             Q5_0, Q5_1, Q8_0 and the K-quants (llama.cpp's quantize converts)"
        );
    }
    format!(
        "truncated or damaged GGUF: the header cannot be read from its {length} bytes ({text}); \
         download the file again and check its SHA-256"
    )
}

/// Compares where the last tensor ends with the length of the file: reading would fail only after
/// all tensors before it had been loaded.
fn check_extent(path: &Path, content: &gguf_file::Content, length: u64) -> Result<()> {
    let end = |info: &gguf_file::TensorInfo| {
        let blocks = info
            .shape
            .elem_count()
            .div_ceil(info.ggml_dtype.block_size()) as u64;
        let bytes = blocks.saturating_mul(info.ggml_dtype.type_size() as u64);
        content
            .tensor_data_offset
            .saturating_add(info.offset)
            .saturating_add(bytes)
    };
    let last = content
        .tensor_infos
        .iter()
        .max_by_key(|(_, info)| end(info));
    match last {
        Some((name, info)) if end(info) > length => Err(Error::gguf(
            path,
            format_args!(
                "truncated GGUF: tensor `{name}` ends at byte {}, the file has {length} bytes; \
                 download it again and check its SHA-256",
                end(info),
            ),
        )),
        Some(_) => Ok(()),
        None => Err(Error::gguf(
            path,
            "has no tensors (a vocabulary without a model?)",
        )),
    }
}
