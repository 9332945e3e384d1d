//! Records whose numbers a device has computed.

use super::{Logged, Recorder};
use crate::format::Event;
use crate::format::writer::Extras;
use crate::settings::Detail;
use crate::summary::{Sketch, Stats};
use crate::tensor::{Element, TensorView};

/// All elements of a tensor, in host memory that a device may write over at any time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DevicePayload {
    pub(crate) data: *const u8,
    pub(crate) nbytes: u64,
}

impl Recorder {
    /// Writes a record that was summarised elsewhere, if it is wanted. `first` are its first elements, `event` says its
    /// shape. `is_whole` tells after the payload was written whether the device left it alone meanwhile; if not, the
    /// record goes without it.
    pub(crate) fn log_summarised<T: Element>(
        &self,
        event: &Event<'_>,
        first: &TensorView<'_, T>,
        summary: &(Stats, Sketch),
        payload: Option<DevicePayload>,
        is_whole: &dyn Fn() -> bool,
    ) -> Logged {
        if !self.wants_event(event) {
            return Logged::Filtered;
        }
        let summarised = self.settings.detail >= Detail::Stats;
        let mut place =
            payload.and_then(|payload| self.payloads.write_raw(payload, T::DTYPE, &self.sink));
        if place.is_some() && !is_whole() {
            self.sink.lose_overtaken_payloads(1);
            place = None;
        }
        let extras = Extras {
            stats: summarised.then_some(&summary.0),
            sketch: summarised.then_some(&summary.1),
            payload: place,
            ts_ns: self.now(),
        };
        self.write_line(event, first, first.len(), &extras)
    }

    /// Counts records and payloads that the device wrote over before they could be written.
    pub(crate) fn count_overtaken(&self, records: u64, payloads: u64) {
        if records > 0 {
            self.sink.lose_overtaken(records);
        }
        if payloads > 0 {
            self.sink.lose_overtaken_payloads(payloads);
        }
    }

    /// Counts a record that the device could not be asked for.
    pub(crate) fn refuse_device(&self) {
        self.sink.refuse_device();
    }
}
