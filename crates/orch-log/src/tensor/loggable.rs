//! What `orch_log!` takes as data.

use super::{Element, TensorView};
use crate::format::Event;
use crate::recorder::{Logged, Recorder};

/// Data that `orch_log!` can log.
pub trait Loggable {
    /// Writes this as one record.
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged;
}

impl<T: Element> Loggable for [T] {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        recorder.log(event, self)
    }
}

impl<T: Element, const N: usize> Loggable for [T; N] {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        recorder.log(event, self)
    }
}

impl<T: Element> Loggable for Vec<T> {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        recorder.log(event, self)
    }
}

impl<T: Element> Loggable for Box<[T]> {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        recorder.log(event, &**self)
    }
}

impl<T: Element> Loggable for TensorView<'_, T> {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        recorder.log(event, self)
    }
}

impl<L: Loggable + ?Sized> Loggable for &L {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        (**self).log_to(recorder, event)
    }
}

impl<L: Loggable + ?Sized> Loggable for &mut L {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        (**self).log_to(recorder, event)
    }
}
