//! A context: the KV cache, the threads, and the forward pass itself.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use llama_cpp_sys_2 as sys;

use super::backend;
use super::model::Model;
use crate::Error;

/// Whether attention is one fused operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlashAttention {
    /// Scores, softmax and context are nodes of their own and can be captured.
    #[default]
    Off,
    /// One fused operation: scores and probabilities exist nowhere.
    On,
    /// llama.cpp's choice (on, on a CPU).
    Auto,
}

/// Storage type of the KV cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// llama.cpp's default.
    #[default]
    F16,
    /// No rounding between a projection and its use.
    F32,
}

impl FlashAttention {
    /// `off`, `on` or `auto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Auto => "auto",
        }
    }
}

impl KvType {
    /// `f16` or `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }
}

/// How to make a context.
#[derive(Clone, Copy, Debug)]
pub struct ContextOptions {
    /// Positions that the KV cache holds.
    pub n_ctx: usize,
    /// Tokens that one graph computes; a longer batch is split by llama.cpp.
    pub n_ubatch: usize,
    /// Sequences that share the cache.
    pub n_seq: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Storage type of the KV cache.
    pub kv_type: KvType,
    /// Fused attention.
    pub flash_attn: FlashAttention,
}

/// A token and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Id of the token.
    pub token: i32,
    /// Absolute 0-based position in its sequence.
    pub position: usize,
    /// Sequence, below [`ContextOptions::n_seq`].
    pub seq: usize,
}

/// Receives the nodes of the graph while it is computed.
///
/// # Safety
///
/// `node` is only called with valid tensors during [`Context::decode`]; data may be read only when `ask`
/// is false, and must be copied before returning.
pub(crate) trait EvalCallback {
    /// With `ask`: whether the tensor is wanted. Without: the tensor is computed.
    fn node(&mut self, tensor: NonNull<sys::ggml_tensor>, ask: bool) -> bool;
}

/// On the heap, so that llama.cpp's pointer to it stays valid while the context moves.
struct Watch<'m> {
    callback: Box<dyn EvalCallback + 'm>,
    panicked: bool,
}

/// A model with a KV cache.
pub struct Context<'m> {
    pointer: NonNull<sys::llama_context>,
    model: &'m Model,
    pool: Option<NonNull<sys::ggml_threadpool>>,
    watch: Option<NonNull<Watch<'m>>>,
    cancel: &'m AtomicBool,
}

impl<'m> Context<'m> {
    /// A context whose forward passes are not watched. `cancel` stops a pass from another thread.
    ///
    /// # Errors
    ///
    /// llama.cpp refuses the options, mostly for lack of memory.
    pub fn new(
        model: &'m Model,
        options: &ContextOptions,
        cancel: &'m AtomicBool,
    ) -> Result<Self, Error> {
        Self::with_callback(model, options, cancel, None)
    }

    pub(crate) fn with_callback(
        model: &'m Model,
        options: &ContextOptions,
        cancel: &'m AtomicBool,
        callback: Option<Box<dyn EvalCallback + 'm>>,
    ) -> Result<Self, Error> {
        let size = |value: usize, what: &str| {
            u32::try_from(value)
                .map_err(|_| Error::Argument(format!("{what} {value} is too large for llama.cpp")))
        };
        let threads = i32::try_from(options.threads.max(1))
            .map_err(|_| Error::Argument(format!("{} threads are too many", options.threads)))?;
        let watch = callback.map(|callback| {
            NonNull::from(Box::leak(Box::new(Watch {
                callback,
                panicked: false,
            })))
        });

        // SAFETY: plain data.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = size(options.n_ctx, "context length")?;
        params.n_batch = params.n_ctx;
        params.n_ubatch = size(options.n_ubatch, "batch size")?.min(params.n_batch);
        params.n_seq_max = size(options.n_seq, "number of sequences")?;
        // One cache for all, so that a batch is one graph whatever the lengths of its sequences are.
        params.kv_unified = true;
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.no_perf = true;
        params.flash_attn_type = match options.flash_attn {
            FlashAttention::Off => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
            FlashAttention::On => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            FlashAttention::Auto => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
        };
        let kv_type = match options.kv_type {
            KvType::F16 => sys::GGML_TYPE_F16,
            KvType::F32 => sys::GGML_TYPE_F32,
        };
        (params.type_k, params.type_v) = (kv_type, kv_type);
        params.abort_callback = Some(is_cancelled);
        params.abort_callback_data = std::ptr::from_ref(cancel).cast_mut().cast();
        if let Some(watch) = watch {
            params.cb_eval = Some(on_node);
            params.cb_eval_user_data = watch.as_ptr().cast();
        }

        backend::forget_log();
        // SAFETY: the model outlives the context, as do `cancel` and the callback.
        let pointer = unsafe { sys::llama_init_from_model(model.as_ptr(), params) };
        let Some(pointer) = NonNull::new(pointer) else {
            free_watch(watch);
            return Err(Error::Llama {
                action: "make a context".to_owned(),
                log: backend::error_log(),
            });
        };
        let mut context = Self {
            pointer,
            model,
            pool: None,
            watch,
            cancel,
        };
        context.attach_threads(threads)?;
        Ok(context)
    }

    /// Without a pool of its own, ggml makes one, and starts its threads anew, for every node that is watched.
    fn attach_threads(&mut self, threads: i32) -> Result<(), Error> {
        // SAFETY: plain data in, an owned pool out; freed after the context.
        let pool = unsafe {
            let mut params = sys::ggml_threadpool_params_default(threads);
            sys::ggml_threadpool_new(&mut params)
        };
        let pool = NonNull::new(pool).ok_or_else(|| Error::Llama {
            action: format!("start {threads} threads"),
            log: Vec::new(),
        })?;
        // SAFETY: both are valid, and the pool is freed only after the context.
        unsafe {
            sys::llama_attach_threadpool(self.pointer.as_ptr(), pool.as_ptr(), pool.as_ptr())
        };
        self.pool = Some(pool);
        Ok(())
    }

    /// Computes `tokens` at consecutive positions of sequence 0 from `first_position` on, with logits for every one.
    ///
    /// # Errors
    ///
    /// As [`decode_batch`](Self::decode_batch).
    pub fn decode(&mut self, tokens: &[i32], first_position: usize) -> Result<(), Error> {
        let entries = tokens.iter().zip(first_position..);
        let entries: Vec<Entry> = entries
            .map(|(token, position)| Entry {
                token: *token,
                position,
                seq: 0,
            })
            .collect();
        self.decode_batch(&entries)
    }

    /// Computes a batch, with logits for every token of it.
    ///
    /// # Errors
    ///
    /// The cache is full, a token is not in the vocabulary, or the run was cancelled.
    pub fn decode_batch(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let n_vocab = self.model.n_vocab();
        let unknown =
            |entry: &&Entry| usize::try_from(entry.token).map_or(true, |id| id >= n_vocab);
        if let Some(Entry { token, .. }) = entries.iter().find(unknown) {
            return Err(Error::Argument(format!(
                "token {token} is not in the vocabulary of {n_vocab} tokens"
            )));
        }
        let n_tokens = i32::try_from(entries.len()).map_err(|_| {
            Error::Argument(format!("a batch of {} tokens is too large", entries.len()))
        })?;
        backend::forget_log();
        // SAFETY: the batch has room for `n_tokens` entries of one sequence each, all of which are set.
        let code = unsafe {
            let mut batch = sys::llama_batch_init(n_tokens, 0, 1);
            batch.n_tokens = n_tokens;
            for (index, entry) in entries.iter().enumerate() {
                *batch.token.add(index) = entry.token;
                *batch.pos.add(index) = i32::try_from(entry.position).unwrap_or(i32::MAX);
                *batch.n_seq_id.add(index) = 1;
                **batch.seq_id.add(index) = i32::try_from(entry.seq).unwrap_or(i32::MAX);
                *batch.logits.add(index) = 1;
            }
            let code = sys::llama_decode(self.pointer.as_ptr(), batch);
            sys::llama_batch_free(batch);
            code
        };
        // SAFETY: nothing else refers to the watch outside a decode.
        let panicked = self
            .watch
            .is_some_and(|mut watch| std::mem::take(&mut unsafe { watch.as_mut() }.panicked));
        let last = entries.iter().map(|entry| entry.position).max();
        let last = last.unwrap_or(0);
        match code {
            0 if panicked => Err(Error::Argument(
                "the capture failed inside the eval callback, a bug".to_owned(),
            )),
            0 => Ok(()),
            _ if self.cancel.load(Relaxed) => Err(Error::Cancelled),
            1 => Err(Error::Argument(format!(
                "the context is full at position {last}: raise its length"
            ))),
            code => Err(Error::Llama {
                action: format!(
                    "decode {} tokens up to position {last} (code {code})",
                    entries.len()
                ),
                log: backend::error_log(),
            }),
        }
    }

    /// Logits of the token at `index` of the last batch, one per token of the vocabulary.
    pub fn logits(&self, index: usize) -> Option<&[f32]> {
        self.logits_at(i32::try_from(index).ok()?)
    }

    /// Logits of the last decoded token, one per token of the vocabulary.
    pub fn last_logits(&self) -> Option<&[f32]> {
        self.logits_at(-1)
    }

    fn logits_at(&self, index: i32) -> Option<&[f32]> {
        // SAFETY: llama.cpp owns the buffer until the next decode, which needs `&mut self`.
        unsafe {
            let logits = sys::llama_get_logits_ith(self.pointer.as_ptr(), index);
            (!logits.is_null()).then(|| std::slice::from_raw_parts(logits, self.model.n_vocab()))
        }
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: each is owned, and the context goes before the pool and the callback that it uses.
        unsafe {
            sys::llama_free(self.pointer.as_ptr());
            if let Some(pool) = self.pool {
                sys::ggml_threadpool_free(pool.as_ptr());
            }
        }
        free_watch(self.watch);
    }
}

fn free_watch(watch: Option<NonNull<Watch<'_>>>) {
    if let Some(watch) = watch {
        // SAFETY: it came from `Box::leak`, and no context refers to it any more.
        drop(unsafe { Box::from_raw(watch.as_ptr()) });
    }
}

unsafe extern "C" fn on_node(tensor: *mut sys::ggml_tensor, ask: bool, data: *mut c_void) -> bool {
    let Some(tensor) = NonNull::new(tensor) else {
        return true;
    };
    // SAFETY: `with_callback` passed a pointer to its `Watch`, which lives as long as the context.
    let watch = unsafe { &mut *data.cast::<Watch<'_>>() };
    // A panic must not unwind into C++; `decode` reports it.
    let node = std::panic::AssertUnwindSafe(|| watch.callback.node(tensor, ask));
    std::panic::catch_unwind(node).unwrap_or_else(|_| {
        watch.panicked = true;
        // In the data phase `false` would silently drop the rest of the graph.
        !ask
    })
}

unsafe extern "C" fn is_cancelled(data: *mut c_void) -> bool {
    // SAFETY: a pointer to the `AtomicBool` that the context borrows.
    unsafe { &*data.cast::<AtomicBool>() }.load(Relaxed)
}
