//! candle tensors through `orch_log!`'s trait: every layout, every type.

#![cfg(all(feature = "read", feature = "candle"))]

mod common;

use candle_core::{DType, Device, Tensor};
use orch_log::format::{Dtype, Event};
use orch_log::{Loggable, Logged, Recorder, Settings, Values};

fn recorder(folder: &tempfile::TempDir) -> Recorder {
    let mut settings = Settings::new(folder.path().join("run.jsonl"), "test");
    settings.values = Values::All;
    Recorder::create(settings).expect("the trace opens")
}

#[test]
fn layouts() -> candle_core::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorder = recorder(&folder);
    let tensor = Tensor::arange(0f32, 24., &Device::Cpu)?.reshape((2, 3, 4))?;
    let views = [
        tensor.clone(),
        tensor.transpose(0, 2)?,
        tensor.narrow(2, 1, 2)?,
        tensor.get(1)?,
        tensor.narrow(1, 2, 1)?.broadcast_as((2, 5, 4))?,
        tensor.i_scalar()?,
    ];
    for (position, view) in views.iter().enumerate() {
        assert_eq!(
            view.log_to(&recorder, &Event::new("x", position as i64)),
            Logged::Written
        );
    }
    let trace = common::read(recorder.path());
    trace.assert_whole();
    for (record, view) in trace.records.iter().zip(&views) {
        assert_eq!(record.shape, view.dims());
        let expected = view.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        assert_eq!(record.values, expected);
    }
    Ok(())
}

/// A tensor without axes.
trait Scalar {
    fn i_scalar(&self) -> candle_core::Result<Tensor>;
}

impl Scalar for Tensor {
    fn i_scalar(&self) -> candle_core::Result<Tensor> {
        self.flatten_all()?.get(17)
    }
}

#[test]
fn types() -> candle_core::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorder = recorder(&folder);
    // Every one of these types has these numbers.
    let numbers = [1.0, 2.5, 96.0, 3.0];
    let tensor = Tensor::new(&numbers, &Device::Cpu)?;
    let types = [
        (DType::U8, Dtype::U8),
        (DType::U32, Dtype::U32),
        (DType::I64, Dtype::I64),
        (DType::BF16, Dtype::Bf16),
        (DType::F16, Dtype::F16),
        (DType::F32, Dtype::F32),
        (DType::F64, Dtype::F64),
        (DType::F8E4M3, Dtype::F8E4m3),
    ];
    for (dtype, _) in types {
        let converted = tensor.to_dtype(dtype)?;
        assert_eq!(
            converted.log_to(&recorder, &Event::new("x", 0)),
            Logged::Written
        );
    }
    let trace = common::read(recorder.path());
    assert_eq!(trace.records.len(), types.len());
    for (record, (_, expected)) in trace.records.iter().zip(types) {
        assert_eq!(record.dtype, expected);
        let numbers = numbers.map(|number: f64| {
            if expected.is_integer() {
                number.trunc()
            } else {
                number
            }
        });
        assert_eq!(record.values, numbers, "{expected}");
    }
    Ok(())
}
