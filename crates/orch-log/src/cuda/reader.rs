//! The host's end of the ring: takes records out and writes them to the trace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::device::Device;
use super::payloads::{Passes, Payload};
use super::program::Type;
use super::slot::{AXES, IMAGE_WORDS, MAX_FIRST, NO_PAYLOAD, Slot, checksum, image_bytes};
use crate::format::Event;
use crate::format::writer::Place;
use crate::recorder::{Loss, Recorder};
use crate::summary::{Sketch, Stats};
use crate::tensor::{Element, F8E4m3, F8E5m2, TensorView};

/// Words in front of the first elements.
const SLOT_WORDS: usize = size_of::<Slot>() / 4;
/// Looks at a slot whose parts have not all arrived, before it is given up: they arrive within microseconds.
const PATIENCE: u32 = 1_000_000;
/// Lost payloads are told of no oftener: they come in bursts, and a line for each would fill the trace.
const BETWEEN_TELLING: Duration = Duration::from_secs(1);

/// Reads one device's ring.
pub(super) struct Reader {
    device: &'static Device,
    recorder: &'static Recorder,
    next: u64,
    half_tries: u32,
    image: Box<Image>,
    passes: Passes,
    /// Lost payloads that the trace does not tell of yet.
    untold: u64,
    told: Option<Instant>,
}

#[repr(C, align(8))]
struct Image([u32; IMAGE_WORDS]);

enum Found {
    Nothing,
    Half,
    Record,
}

impl Reader {
    pub(super) fn new(device: &'static Device, recorder: &'static Recorder) -> Self {
        Self {
            device,
            recorder,
            next: 0,
            half_tries: 0,
            image: Box::new(Image([0; IMAGE_WORDS])),
            passes: Passes::none(),
            untold: 0,
            told: None,
        }
    }

    pub(super) fn device(&self) -> &'static Device {
        self.device
    }

    /// Writes what has arrived, in the order in which the device logged; returns how many records came. At the
    /// `last_chance`, records whose payload has not arrived are written without it, and broken slots are given up.
    pub(super) fn drain(&mut self, last_chance: bool) -> usize {
        let losses = &self.device.losses;
        let since = |lost: &AtomicU64| lost.swap(0, Ordering::Relaxed);
        self.recorder
            .lose_records(since(&losses.failed), Loss::DEVICE);
        self.recorder
            .lose_records(since(&losses.without_end), Loss::NO_END);
        self.lose_payloads(since(&losses.payloads_without_room), Loss::NO_SNAPSHOT);
        let written = self.drain_ring(last_chance);
        let is_time = self
            .told
            .is_none_or(|told| told.elapsed() >= BETWEEN_TELLING);
        if self.untold > 0 && (last_chance || is_time) {
            self.recorder.tell_of_payloads(self.untold);
            self.untold = 0;
            self.told = Some(Instant::now());
        }
        written
    }

    /// Writes what has arrived from a device that nothing more comes from, and counts what it was asked for and never brought.
    pub(super) fn end(&mut self) {
        loop {
            while self.drain(true) > 0 {}
            if !self.step_over_a_gap() {
                break;
            }
        }
        let launched = self.device.launched.load(Ordering::Relaxed);
        if !self.device.has_captured.load(Ordering::Relaxed) {
            let missing = launched.saturating_sub(self.next);
            self.recorder.lose_records(missing, Loss::NEVER_CAME);
        }
        self.recorder.tell_losses();
    }

    /// Goes on behind a record whose number was drawn and that was not written, since its kernel came to an end before.
    fn step_over_a_gap(&mut self) -> bool {
        let ahead = self.next + 1..self.next + u64::from(self.device.ring.slot_count);
        let mut written = ahead.filter(|number| self.sequence(*number) == number + 1);
        let Some(number) = written.next() else {
            return false;
        };
        self.recorder
            .lose_records(number - self.next, Loss::NEVER_CAME);
        self.next = number;
        true
    }

    /// Whether so much lies behind the next record that it cannot wait for its payload: an engine that ends no pass would
    /// lose records too.
    fn is_pressed(&self) -> bool {
        let ahead = self.next + u64::from(self.device.ring.slot_count) / 16 * 15;
        self.sequence(ahead) > ahead
    }

    fn lose_payloads(&mut self, payloads: u64, why: Loss) {
        self.recorder.lose_payloads(payloads, why);
        self.untold += payloads;
    }

    fn drain_ring(&mut self, last_chance: bool) -> usize {
        let mut written = 0;
        loop {
            match self.read_next() {
                Found::Nothing => return written,
                Found::Half => {
                    self.half_tries += 1;
                    if !last_chance && self.half_tries < PATIENCE {
                        return written;
                    }
                    self.recorder.lose_records(1, Loss::NEVER_CAME);
                }
                Found::Record => {
                    if !self.write(last_chance) {
                        return written;
                    }
                    written += 1;
                }
            }
            self.half_tries = 0;
            self.next += 1;
            self.device.set_read(self.next);
        }
    }

    fn slot(&self, number: u64) -> *const u8 {
        let ring = &self.device.ring;
        let index = number & u64::from(ring.slot_count - 1);
        // SAFETY: inside the ring, which has that many slots of that size.
        unsafe {
            self.device
                .slots
                .add(index as usize * ring.slot_bytes as usize)
        }
    }

    fn sequence(&self, number: u64) -> u64 {
        // SAFETY: slots are aligned to 64 bytes and begin with this number; the device writes it.
        unsafe { AtomicU64::from_ptr(self.slot(number).cast_mut().cast()) }.load(Ordering::Acquire)
    }

    /// Copies record `next`, stepping over those that the device has written over.
    fn read_next(&mut self) -> Found {
        let found = self.sequence(self.next);
        if found <= self.next {
            return Found::Nothing;
        }
        if found > self.next + 1 {
            // A whole round ahead: what lies right behind the newest is about to be overwritten too.
            let slots = u64::from(self.device.ring.slot_count);
            let oldest = (found - 1 + slots / 8).saturating_sub(slots);
            let target = if oldest > self.next {
                oldest
            } else {
                found - 1
            };
            self.recorder
                .lose_records(target - self.next, Loss::OVERTAKEN);
            self.next = target;
            if self.sequence(self.next) != self.next + 1 {
                // Lapped again while we looked: the next call will see.
                return Found::Nothing;
            }
        }
        self.copy(0, SLOT_WORDS);
        let header = self.header();
        let Some(site) = self.device.sites.get(header.site) else {
            return Found::Half;
        };
        let bytes = image_bytes(header.first.min(MAX_FIRST), site.of.size_bytes() as u32);
        if header.first > MAX_FIRST || bytes > self.device.ring.slot_bytes {
            return Found::Half;
        }
        let words = bytes as usize / 4;
        self.copy(SLOT_WORDS, words);
        let claimed = std::mem::take(&mut self.image.0[2]);
        let sum = checksum(&self.image.0[..words]);
        self.image.0[2] = claimed;
        if sum != claimed || self.sequence(self.next) != self.next + 1 {
            return Found::Half;
        }
        Found::Record
    }

    /// Copies words `from..to` of the slot. The device may be writing it: the checksum tells.
    fn copy(&mut self, from: usize, to: usize) {
        let slot = self.slot(self.next).cast::<u32>();
        for index in from..to {
            // SAFETY: inside the slot; any bits are a number.
            self.image.0[index] = unsafe { slot.add(index).read_volatile() };
        }
    }

    fn header(&self) -> Slot {
        // SAFETY: the image is longer than a slot and aligned to 8; any bits are numbers.
        unsafe { std::ptr::from_ref(&self.image.0).cast::<Slot>().read() }
    }

    /// False when the record has to wait for its payload.
    fn write(&mut self, last_chance: bool) -> bool {
        let slot = self.header();
        let Some(site) = self.device.sites.get(slot.site) else {
            return true;
        };
        let mut payload = None;
        if slot.payload_offset != NO_PAYLOAD {
            let n_tokens = slot.n_tokens().unwrap_or(1);
            let deliveries = &self.device.deliveries;
            if site.is_wanted(self.recorder, slot.token_idx, n_tokens) {
                match self.passes.find(deliveries, self.recorder, &slot, site.of) {
                    Payload::Coming if !last_chance && !self.is_pressed() => return false,
                    Payload::Here(place) => payload = Some(place),
                    Payload::Coming => self.lose_payloads(1, Loss::UNDELIVERED),
                    Payload::Lost(why) => self.lose_payloads(1, why),
                }
            } else {
                self.passes.step_over(deliveries, &slot);
            }
        }
        let mut shape = [0usize; AXES];
        let axes = (slot.axes as usize).min(AXES);
        for (to, from) in shape.iter_mut().zip(&slot.shape) {
            *to = *from as usize;
        }
        site.with_event(slot.token_idx, &shape[..axes], |mut event| {
            event.n_tokens = slot.n_tokens();
            event.step = slot.step();
            let record = Record {
                recorder: self.recorder,
                event: &event,
                summary: summary(&slot),
                payload,
            };
            record.write_as(site.of, &self.image.0[SLOT_WORDS..], slot.first as usize);
        });
        true
    }
}

/// A record on its way into the trace.
struct Record<'a> {
    recorder: &'a Recorder,
    event: &'a Event<'a>,
    summary: (Stats, Sketch),
    payload: Option<Place<'static>>,
}

impl Record<'_> {
    /// Its first elements are the first `count` of type `of` in `words`.
    fn write_as(self, of: Type, words: &[u32], count: usize) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        match of {
            Type::F64 => self.write(bytes, count, f64::from_ne_bytes),
            Type::F32 => self.write(bytes, count, f32::from_ne_bytes),
            Type::F16 => self.write(bytes, count, half::f16::from_ne_bytes),
            Type::Bf16 => self.write(bytes, count, half::bf16::from_ne_bytes),
            Type::F8E4m3 => self.write(bytes, count, |[bits]| F8E4m3(bits)),
            Type::F8E5m2 => self.write(bytes, count, |[bits]| F8E5m2(bits)),
            Type::I64 => self.write(bytes, count, i64::from_ne_bytes),
            Type::I32 => self.write(bytes, count, i32::from_ne_bytes),
            Type::I16 => self.write(bytes, count, i16::from_ne_bytes),
            Type::I8 => self.write(bytes, count, i8::from_ne_bytes),
            Type::U64 => self.write(bytes, count, u64::from_ne_bytes),
            Type::U32 => self.write(bytes, count, u32::from_ne_bytes),
            Type::U16 => self.write(bytes, count, u16::from_ne_bytes),
            Type::U8 => self.write(bytes, count, u8::from_ne_bytes),
            Type::Bool => self.write(bytes, count, |[bits]| bits != 0),
        }
    }

    fn write<T: Element, const N: usize>(
        self,
        bytes: Vec<u8>,
        count: usize,
        read: impl Fn([u8; N]) -> T,
    ) {
        let (elements, _) = bytes.as_chunks::<N>();
        let first: Vec<T> = elements
            .iter()
            .take(count)
            .map(|bytes| read(*bytes))
            .collect();
        let _ = self.recorder.log_summarised(
            self.event,
            &TensorView::new(&first),
            &self.summary,
            self.payload,
        );
    }
}

fn summary(slot: &Slot) -> (Stats, Sketch) {
    let finite = (slot.n - slot.nan - slot.inf) as f64;
    let mut stats = Stats {
        n: slot.n,
        nan: slot.nan,
        inf: slot.inf,
        zero: slot.zero,
        ..Stats::default()
    };
    if finite > 0.0 {
        // Adding 0.0 makes 0.0 of -0.0.
        stats.min = slot.min + 0.0;
        stats.max = slot.max + 0.0;
        stats.mean = slot.sum / finite;
        stats.rms = (slot.squares / finite).sqrt();
    }
    (stats, Sketch { s: slot.sketch })
}
