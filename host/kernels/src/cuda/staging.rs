//! Page-locked memory from which bytes are copied to the device without waiting for it.
//! [`super::stream`] calls it.
#![allow(unsafe_code)]

use super::fault::Fault;
use cudarc::driver::{DriverError, result, sys};

/// Page-locked memory, and the event after the last copy from it.
struct Piece {
    at: *mut u8,
    bytes: usize,
    copied: sys::CUevent,
}

impl Piece {
    fn new(bytes: usize) -> Result<Self, DriverError> {
        let copied = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)?;
        // SAFETY: the memory belongs to the piece, which frees it once.
        match unsafe { result::malloc_host(bytes, 0) } {
            Ok(at) => Ok(Self {
                at: at.cast(),
                bytes,
                copied,
            }),
            Err(error) => {
                // SAFETY: nobody else has the event.
                let _ = unsafe { result::event::destroy(copied) };
                Err(error)
            }
        }
    }

    /// Whether the last copy has ended.
    fn is_free(&self) -> bool {
        // SAFETY: the event is alive.
        unsafe { result::event::query(self.copied) }.is_ok()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: memory and event are the piece's own. The copy is waited for, because the device
        // may still read. A failure leaves nothing to do.
        unsafe {
            let _ = result::event::synchronize(self.copied);
            let _ = result::event::destroy(self.copied);
            let _ = result::free_host(self.at.cast());
        }
    }
}

/// The pieces of one stream. There are as many as copies are in flight at a time.
#[derive(Default)]
pub(super) struct Staging(Vec<Piece>);

// SAFETY: pieces belong to the process, not to a thread.
unsafe impl Send for Staging {}

impl Staging {
    /// Puts the copy of `bytes` into the stream. They may be changed when the call returns.
    ///
    /// # Safety
    /// `to` is memory of the stream's device and at least as large. The context is bound to this
    /// thread.
    pub(super) unsafe fn copy(
        &mut self,
        to: sys::CUdeviceptr,
        bytes: &[u8],
        stream: sys::CUstream,
    ) -> Result<(), Fault> {
        let fits = |piece: &Piece| piece.bytes >= bytes.len() && piece.is_free();
        let at = match self.0.iter().position(fits) {
            Some(at) => at,
            None => {
                // A piece that is too small gives way to a larger one.
                if let Some(small) = self.0.iter().position(Piece::is_free) {
                    self.0.swap_remove(small);
                }
                let size = bytes.len().next_power_of_two().max(1 << 12);
                self.0.push(Piece::new(size).map_err(Fault::of)?);
                self.0.len() - 1
            }
        };
        let piece = &self.0[at];
        // SAFETY: the piece is large enough, and no copy reads it any more. The caller promises the
        // rest.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), piece.at, bytes.len());
            let staged = std::slice::from_raw_parts(piece.at, bytes.len());
            result::memcpy_htod_async(to, staged, stream).map_err(Fault::of)?;
            result::event::record(piece.copied, stream).map_err(Fault::of)
        }
    }
}
