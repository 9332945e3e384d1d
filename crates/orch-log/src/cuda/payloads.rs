//! What became of the payloads that a device brings.

use super::buffers::Deliveries;
use super::program::Type;
use super::slot::Slot;
use crate::format::writer::Place;
use crate::recorder::{Block, DeviceBlock, Loss, Recorder};

/// What one pass of a lane brought. All of it is written at once when the first record asks for its payload: record by
/// record the device, which needs the buffer again, would be faster.
#[derive(Clone, Copy)]
struct Pass {
    /// Counted from 1; 0 = none so far.
    number: u64,
    block: Result<Block<'static>, Loss>,
}

/// Where a record's payload stands.
pub(super) enum Payload {
    /// Not yet.
    Coming,
    /// In the payload file.
    Here(Place<'static>),
    Lost(Loss),
}

/// The last pass of each lane.
pub(super) struct Passes(Vec<Pass>);

/// The number of the lane, and where in its snapshots the payload lies.
fn place_of(slot: &Slot) -> (u32, u64) {
    let offset = slot.payload_offset & ((1 << 48) - 1);
    ((slot.payload_offset >> 48) as u32, offset)
}

impl Passes {
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    fn last(&mut self, lane: u32) -> &mut Pass {
        let index = lane as usize;
        if self.0.len() <= index {
            let none = Pass {
                number: 0,
                block: Err(Loss::OVERTAKEN_PAYLOAD),
            };
            self.0.resize(index + 1, none);
        }
        &mut self.0[index]
    }

    /// The payload of the record in `slot`, whose elements are of type `of`.
    pub(super) fn find(
        &mut self,
        deliveries: &Deliveries,
        recorder: &'static Recorder,
        slot: &Slot,
        of: Type,
    ) -> Payload {
        let (lane, offset) = place_of(slot);
        let last = self.last(lane);
        if last.number != slot.payload_pass + 1 {
            let Some(block) = bring(deliveries, recorder, lane, slot.payload_pass, last.number)
            else {
                return Payload::Coming;
            };
            *last = Pass {
                number: slot.payload_pass + 1,
                block,
            };
        }
        let nbytes = slot.n * of.size_bytes() as u64;
        match last.block {
            Ok(block) => block
                .part(offset, nbytes, of.dtype())
                .map_or(Payload::Lost(Loss::NO_BUFFERS), Payload::Here),
            Err(loss) => Payload::Lost(loss),
        }
    }

    /// Notes a record whose payload nobody wants: earlier passes are done with.
    pub(super) fn step_over(&mut self, deliveries: &Deliveries, slot: &Slot) {
        let (lane, _) = place_of(slot);
        let last = self.last(lane);
        if last.number < slot.payload_pass {
            deliveries.of(lane).release(last.number, slot.payload_pass);
            last.number = slot.payload_pass;
            last.block = Err(Loss::OVERTAKEN_PAYLOAD);
        }
    }
}

/// Writes what pass `pass` of a lane brought; none where it has not come yet. Earlier passes, from `from` on, are done with.
fn bring(
    deliveries: &Deliveries,
    recorder: &'static Recorder,
    lane: u32,
    pass: u64,
    from: u64,
) -> Option<Result<Block<'static>, Loss>> {
    let all = deliveries.of(lane);
    let mut holding = all.holding(pass);
    if holding.is_none() {
        // One that has come later says that this one has come, too, and may have come just now.
        if !all.is_overtaken(pass) {
            return deliveries
                .is_given_up(lane)
                .then_some(Err(Loss::NO_BUFFERS));
        }
        holding = all.holding(pass);
    }
    all.release(from, pass);
    let block = holding.map_or(Err(Loss::OVERTAKEN_PAYLOAD), |buffers| {
        let (data, nbytes) = buffers.of_pass(pass);
        let written = recorder.write_block(DeviceBlock { data, nbytes });
        // What was written over while it was read is not whole.
        let is_whole = buffers.held(pass) == pass + 1;
        written.and_then(|block| is_whole.then_some(block).ok_or(Loss::OVERTAKEN_PAYLOAD))
    });
    all.release(pass, pass + 1);
    Some(block)
}
