//! The key-value cache.

use candle_core::{DType, Result, Tensor};

use crate::config::Config;
use crate::place::Place;

/// Precision in which keys and values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvType {
    /// As computed.
    F32,
    /// Rounded to half precision and widened again when read.
    F16,
}

impl KvType {
    /// `f32` or `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// The keys and values of all layers.
pub struct Cache {
    pub(crate) layers: Vec<LayerCache>,
    capacity: usize,
}

impl Cache {
    /// An empty cache for up to `capacity` tokens.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had.
    pub fn new(config: &Config, capacity: usize, kv_type: KvType, place: &Place) -> Result<Self> {
        let layer = || LayerCache::new(capacity, config.kv_heads, config.head_dim, kv_type, place);
        Ok(Self {
            layers: (0..config.layers).map(|_| layer()).collect::<Result<_>>()?,
            capacity,
        })
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

/// The keys and values of one layer, token-major so that a new token is appended in one piece.
pub struct LayerCache {
    keys: Tensor,
    values: Tensor,
    kv_type: KvType,
    /// Set while a graph is captured, see [`LayerCache::write_where`].
    place_of_next: Option<Tensor>,
}

impl LayerCache {
    fn new(
        capacity: usize,
        heads: usize,
        head_dim: usize,
        kv_type: KvType,
        place: &Place,
    ) -> Result<Self> {
        let empty = || Tensor::zeros((capacity, heads, head_dim), place.dtype, &place.device);
        Ok(Self {
            keys: empty()?,
            values: empty()?,
            kv_type,
            place_of_next: None,
        })
    }

    /// Writes keys and values (`[tokens, kv_heads, head_dim]`) at position `first` and after it.
    ///
    /// # Errors
    ///
    /// When they do not fit.
    pub fn store(&mut self, first: usize, keys: &Tensor, values: &Tensor) -> Result<()> {
        let (keys, values) = (self.rounded(keys)?, self.rounded(values)?);
        match &self.place_of_next {
            None => {
                self.keys.slice_set(&keys, 0, first)?;
                self.values.slice_set(&values, 0, first)
            }
            Some(place) => {
                self.keys.scatter_set(place, &keys, 0)?;
                self.values.scatter_set(place, &values, 0)
            }
        }
    }

    /// From here on [`LayerCache::store`] writes where `place` says when the work is done, whatever position it is given, and
    /// [`LayerCache::read`] gives the whole cache: shapes and addresses no longer change from token to token. `None` ends it.
    ///
    /// # Shape
    ///
    /// `[1, kv_heads, head_dim]`, u32, the position in every element.
    #[cfg(feature = "cuda")]
    pub(super) fn write_where(&mut self, place: Option<Tensor>) {
        self.place_of_next = place;
    }

    /// The first `length` keys and values, without a copy.
    ///
    /// # Errors
    ///
    /// When `length` is past the capacity.
    pub fn read(&self, length: usize) -> Result<(Tensor, Tensor)> {
        if self.place_of_next.is_some() {
            return Ok((self.keys.clone(), self.values.clone()));
        }
        Ok((
            self.keys.narrow(0, 0, length)?,
            self.values.narrow(0, 0, length)?,
        ))
    }

    fn rounded(&self, tensor: &Tensor) -> Result<Tensor> {
        match self.kv_type {
            KvType::F32 => tensor.contiguous(),
            KvType::F16 => tensor
                .to_dtype(DType::F16)?
                .to_dtype(tensor.dtype())?
                .contiguous(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn tokens_are_appended_and_rounded_when_asked() {
        // 2049 lies between the halves 2048 and 2050; ties go to the even one.
        let rows = |values: &[f32]| {
            Tensor::from_vec(values.to_vec(), (values.len(), 1, 1), &Device::Cpu).unwrap()
        };
        for (kv_type, kept) in [(KvType::F32, 2049.0), (KvType::F16, 2048.0)] {
            let mut cache = LayerCache::new(4, 1, 1, kv_type, &Place::default()).unwrap();
            cache
                .store(0, &rows(&[1.0, 2.0]), &rows(&[-1.0, -2.0]))
                .unwrap();
            cache.store(2, &rows(&[2049.0]), &rows(&[-3.0])).unwrap();
            let (keys, values) = cache.read(3).unwrap();
            assert_eq!(
                keys.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                [1.0, 2.0, kept]
            );
            assert_eq!(
                values.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                [-1.0, -2.0, -3.0]
            );
            assert!(
                cache.store(4, &rows(&[0.0]), &rows(&[0.0])).is_err(),
                "the cache is full"
            );
        }
    }
}
