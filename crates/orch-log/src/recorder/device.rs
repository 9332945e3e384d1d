//! Records whose numbers a device has computed.

use super::sink::Loss;
use super::{Logged, Recorder};
use crate::format::writer::{Extras, Place};
use crate::format::{Dtype, Event};
use crate::settings::Detail;
use crate::summary::{Sketch, Stats};
use crate::tensor::{Element, TensorView};

/// Host memory in which payloads of several records lie, and that a device may write over at any time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceBlock {
    pub(crate) data: *const u8,
    pub(crate) nbytes: u64,
}

/// Where such memory has been written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub(super) file: &'a str,
    pub(super) offset: u64,
    pub(super) nbytes: u64,
}

impl<'a> Block<'a> {
    /// The payload of `nbytes` at `offset` of it; none where the block ends before.
    pub(crate) fn part(&self, offset: u64, nbytes: u64, dtype: Dtype) -> Option<Place<'a>> {
        (offset.saturating_add(nbytes) <= self.nbytes).then_some(Place {
            file: self.file,
            offset: self.offset + offset,
            nbytes,
            dtype,
        })
    }
}

impl Recorder {
    /// Writes a record that was summarised elsewhere, if it is wanted. `first` are its first elements, `event` says its
    /// shape, `payload` where all of it has been written.
    pub(crate) fn log_summarised<T: Element>(
        &self,
        event: &Event<'_>,
        first: &TensorView<'_, T>,
        summary: &(Stats, Sketch),
        payload: Option<Place<'_>>,
    ) -> Logged {
        if !self.wants_event(event) {
            return Logged::Filtered;
        }
        let summarised = self.settings.detail >= Detail::Stats;
        let extras = Extras {
            stats: summarised.then_some(&summary.0),
            sketch: summarised.then_some(&summary.1),
            payload,
            ts_ns: self.now(),
        };
        self.write_line(event, first, first.len(), &extras)
    }

    /// Writes what several payloads lie in; their records come later, each with its part of it.
    ///
    /// # Errors
    ///
    /// Why it is not in the payload file; nothing is counted.
    pub(crate) fn write_block(&self, block: DeviceBlock) -> Result<Block<'_>, Loss> {
        self.payloads.write_raw(block, &self.sink)
    }

    /// Counts records that never came to be, or that the device wrote over before they could be read.
    pub(crate) fn lose_records(&self, records: u64, why: Loss) {
        if records > 0 {
            self.sink.lose_device_records(records, why);
        }
    }

    /// Counts payloads that are not in the trace, without telling the trace; see
    /// [`tell_of_payloads`](Self::tell_of_payloads).
    pub(crate) fn lose_payloads(&self, payloads: u64, why: Loss) {
        if payloads > 0 {
            self.sink.lose_device_payloads(payloads, why);
        }
    }

    /// Tells the trace of payloads that were counted before.
    pub(crate) fn tell_of_payloads(&self, payloads: u64) {
        self.sink.tell_of_payloads(payloads);
    }
}
