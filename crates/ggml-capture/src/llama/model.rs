//! A loaded model, its tokenizer and its hyperparameters.

use std::ffi::{CString, c_void};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::backend;
use super::gpu::Gpu;
use crate::Error;

/// How to load a model.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// Tokenizer and metadata only; such a model cannot decode.
    pub vocab_only: bool,
    /// Layers on the GPU, counted from the last one; the output layer is the first to go there, and one more than the
    /// model has layers is all of it. 0 computes on the CPU alone.
    pub gpu_layers: usize,
    /// Called with the loaded fraction, 0 to 1; returning false stops the load.
    pub progress: Option<&'a mut dyn FnMut(f32) -> bool>,
}

/// A GGUF model in memory.
#[derive(Debug)]
pub struct Model {
    pointer: NonNull<sys::llama_model>,
    path: PathBuf,
    gpu: Option<Gpu>,
    gpu_layers: usize,
}

// SAFETY: llama.cpp's models are immutable after loading.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    /// Loads a GGUF file.
    ///
    /// # Errors
    ///
    /// Layers are to go to a GPU and there is none ([`gpu`](super::gpu())).
    /// The file is missing, is not GGUF, is cut off, or has an architecture that llama.cpp does not know.
    pub fn load(path: &Path, options: LoadOptions<'_>) -> Result<Self, Error> {
        check_magic(path)?;
        let name = c_string(path.as_os_str().as_encoded_bytes(), "model path")?;
        backend::start();
        backend::forget_log();

        let gpu = (options.gpu_layers > 0).then(super::gpu).transpose()?;
        let mut devices = [
            gpu.as_ref().map_or(std::ptr::null_mut(), |gpu| gpu.device),
            std::ptr::null_mut(),
        ];

        let mut cancelled = false;
        let mut progress = options.progress;
        let mut state = (&mut progress, &mut cancelled);
        // SAFETY: plain data.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.n_gpu_layers = i32::try_from(options.gpu_layers).unwrap_or(i32::MAX);
        // One device, so that a trace has one arithmetic, or none: llama.cpp by itself takes all that it finds, and
        // large products even of a model on the CPU.
        params.devices = devices.as_mut_ptr();
        params.vocab_only = options.vocab_only;
        // Repacked weights would have layouts and sums of their own; the reference is the plain one.
        params.use_extra_bufts = false;
        params.progress_callback = Some(on_progress);
        params.progress_callback_user_data = (&raw mut state).cast();

        // SAFETY: `name` and `state` outlive the call; the callback casts back to the type of `state`.
        let pointer = unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) };
        match NonNull::new(pointer) {
            Some(pointer) => Ok(Self {
                pointer,
                path: path.to_owned(),
                gpu,
                gpu_layers: options.gpu_layers,
            }),
            None if cancelled => Err(Error::Cancelled),
            None => Err(Error::Llama {
                action: format!("load `{}`", path.display()),
                log: backend::error_log(),
            }),
        }
    }

    /// The GPU that has some of its layers.
    pub fn gpu(&self) -> Option<&Gpu> {
        self.gpu.as_ref()
    }

    /// Layers on the GPU, the output layer counted as one.
    pub fn gpu_layers(&self) -> usize {
        self.gpu_layers.min(self.n_layer() + 1)
    }

    /// The file it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A metadata value as text.
    pub fn metadata(&self, key: &str) -> Option<String> {
        let key = CString::new(key).ok()?;
        let mut text = vec![0u8; 256];
        loop {
            // SAFETY: the buffer has the stated size; llama.cpp writes at most that much, NUL included.
            let length = unsafe {
                sys::llama_model_meta_val_str(
                    self.as_ptr(),
                    key.as_ptr(),
                    text.as_mut_ptr().cast(),
                    text.len(),
                )
            };
            let length = usize::try_from(length).ok()?;
            if length < text.len() {
                text.truncate(length);
                return String::from_utf8(text).ok();
            }
            text.resize(length + 1, 0);
        }
    }

    /// `general.architecture`.
    pub fn architecture(&self) -> String {
        self.metadata("general.architecture").unwrap_or_default()
    }

    /// Number of blocks.
    pub fn n_layer(&self) -> usize {
        // SAFETY: the model is valid.
        count(unsafe { sys::llama_model_n_layer(self.as_ptr()) })
    }

    /// Query heads of a block.
    pub fn n_head(&self) -> usize {
        // SAFETY: the model is valid.
        count(unsafe { sys::llama_model_n_head(self.as_ptr()) })
    }

    /// Key and value heads of a block.
    pub fn n_head_kv(&self) -> usize {
        // SAFETY: the model is valid.
        count(unsafe { sys::llama_model_n_head_kv(self.as_ptr()) })
    }

    /// Elements of one key head: `attention.key_length`, or the embedding divided among the heads.
    pub fn head_dim(&self) -> usize {
        let stated = self.metadata(&format!("{}.attention.key_length", self.architecture()));
        // SAFETY: the model is valid.
        let embedding = count(unsafe { sys::llama_model_n_embd(self.as_ptr()) });
        stated
            .and_then(|text| text.parse().ok())
            .unwrap_or(embedding / self.n_head().max(1))
    }

    /// The storage type that most weights have, `q4_1`.
    pub fn weights(&self) -> Option<String> {
        crate::models::inspect(&self.path)
            .ok()?
            .weights()
            .map(str::to_owned)
    }

    /// Tokens in the vocabulary.
    pub fn n_vocab(&self) -> usize {
        // SAFETY: the vocabulary lives as long as the model.
        count(unsafe { sys::llama_vocab_n_tokens(self.vocab()) })
    }

    /// Token ids of `text`. Special tokens in the text are recognised; a leading BOS is added when the
    /// model wants one.
    ///
    /// # Errors
    ///
    /// The text is too long for llama.cpp (2³¹ bytes or tokens).
    pub fn tokenize(&self, text: &str) -> Result<Vec<i32>, Error> {
        let too_long = || {
            Error::Argument(format!(
                "text of {} bytes is too long to tokenise",
                text.len()
            ))
        };
        let length = i32::try_from(text.len()).map_err(|_| too_long())?;
        // One token a byte at most, and what the model adds at both ends.
        let mut tokens = vec![0i32; text.len() + 8];
        loop {
            let room = i32::try_from(tokens.len()).map_err(|_| too_long())?;
            // SAFETY: both buffers have the stated sizes.
            let found = unsafe {
                sys::llama_tokenize(
                    self.vocab(),
                    text.as_ptr().cast(),
                    length,
                    tokens.as_mut_ptr(),
                    room,
                    true,
                    true,
                )
            };
            if found >= 0 {
                tokens.truncate(count(found));
                return Ok(tokens);
            }
            let needed = found.checked_neg().ok_or_else(too_long)?;
            tokens.resize(count(needed), 0);
        }
    }

    /// The bytes that a token stands for, special tokens spelt out. Not always UTF-8 by itself; none for
    /// an id outside the vocabulary.
    pub fn piece(&self, token: i32) -> Vec<u8> {
        // llama.cpp throws a C++ exception for an unknown token, which would end the process.
        if usize::try_from(token).map_or(true, |token| token >= self.n_vocab()) {
            return Vec::new();
        }
        let mut bytes = vec![0u8; 64];
        loop {
            let room = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            // SAFETY: the buffer has the stated size, and the token is in the vocabulary.
            let length = unsafe {
                sys::llama_token_to_piece(
                    self.vocab(),
                    token,
                    bytes.as_mut_ptr().cast(),
                    room,
                    0,
                    true,
                )
            };
            if length >= 0 {
                bytes.truncate(count(length));
                return bytes;
            }
            bytes.resize(count(length.saturating_neg()), 0);
        }
    }

    /// Text of a run of tokens; bytes that are no UTF-8 become replacement characters.
    pub fn text(&self, tokens: &[i32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.piece(*token)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text that makes a chat model answer `message`: its own chat template around it, as far as
    /// llama.cpp knows the template.
    ///
    /// # Errors
    ///
    /// The model has no chat template, or one that llama.cpp does not know.
    pub fn chat(&self, message: &str) -> Result<String, Error> {
        let refuse = |message: &str| Error::Model {
            path: self.path.clone(),
            message: message.to_owned(),
        };
        // SAFETY: the model is valid; without a name it is the default template, owned by the model, or null.
        let template = unsafe { sys::llama_model_chat_template(self.as_ptr(), std::ptr::null()) };
        if template.is_null() {
            return Err(refuse("has no chat template: give the whole prompt"));
        }
        let content = c_string(message.as_bytes(), "prompt")?;
        let turn = sys::llama_chat_message {
            role: c"user".as_ptr(),
            content: content.as_ptr(),
        };
        let mut text = vec![0u8; message.len() + 256];
        loop {
            let room = i32::try_from(text.len()).unwrap_or(i32::MAX);
            // SAFETY: one message whose strings outlive the call, and a buffer of the stated size.
            let length = unsafe {
                sys::llama_chat_apply_template(
                    template,
                    &turn,
                    1,
                    true,
                    text.as_mut_ptr().cast(),
                    room,
                )
            };
            if length < 0 {
                return Err(refuse(
                    "has a chat template that llama.cpp does not know: give the whole prompt",
                ));
            }
            if count(length) <= text.len() {
                text.truncate(count(length));
                return String::from_utf8(text)
                    .map_err(|_| refuse("has a chat template that is not UTF-8"));
            }
            text.resize(count(length), 0);
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::llama_model {
        self.pointer.as_ptr()
    }

    fn vocab(&self) -> *const sys::llama_vocab {
        // SAFETY: the model is valid.
        unsafe { sys::llama_model_get_vocab(self.as_ptr()) }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: owned, and every context borrows the model.
        unsafe { sys::llama_model_free(self.as_ptr()) }
    }
}

/// llama.cpp's own message for a wrong file is a line about magic characters; ours says what to do.
pub(crate) fn check_magic(path: &Path) -> Result<(), Error> {
    let mut file = File::open(path).map_err(Error::io("read model", path))?;
    let mut magic = [0u8; 4];
    let mut found = 0;
    while found < magic.len() {
        match file
            .read(&mut magic[found..])
            .map_err(Error::io("read model", path))?
        {
            0 => break,
            n => found += n,
        }
    }
    if &magic != b"GGUF" {
        let message = if found == 0 {
            "is empty, expected a GGUF file".to_owned()
        } else {
            format!(
                "is not a GGUF file: it starts with `{}`, expected `GGUF`; convert it with llama.cpp's convert_hf_to_gguf.py",
                magic[..found].escape_ascii()
            )
        };
        return Err(Error::Model {
            path: path.to_owned(),
            message,
        });
    }
    Ok(())
}

unsafe extern "C" fn on_progress(fraction: f32, data: *mut c_void) -> bool {
    type State<'a, 'b> = (&'a mut Option<&'b mut dyn FnMut(f32) -> bool>, &'a mut bool);
    // SAFETY: `load` passes a pointer to its `state`, which outlives the load.
    let (progress, cancelled) = unsafe { &mut *data.cast::<State<'_, '_>>() };
    let go_on = progress.as_mut().is_none_or(|report| report(fraction));
    **cancelled |= !go_on;
    go_on
}

/// llama.cpp counts in `i32`; a negative count means that there is none.
pub(super) fn count(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

pub(crate) fn c_string(bytes: &[u8], what: &str) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error::Argument(format!("{what} contains a NUL byte")))
}
