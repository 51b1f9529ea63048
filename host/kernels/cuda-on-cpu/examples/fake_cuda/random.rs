//! The functions of `libcurand` that candle calls when it opens a device. It draws nothing from it.

use std::ffi::c_void;

#[unsafe(no_mangle)]
unsafe extern "C" fn curandCreateGenerator(generator: *mut *mut c_void, _: u32) -> u32 {
    // SAFETY: the caller's pointer.
    unsafe { *generator = 0x40 as *mut c_void };
    0
}

#[unsafe(no_mangle)]
extern "C" fn curandDestroyGenerator(_: *mut c_void) -> u32 {
    0
}

#[unsafe(no_mangle)]
extern "C" fn curandSetPseudoRandomGeneratorSeed(_: *mut c_void, _: u64) -> u32 {
    0
}

#[unsafe(no_mangle)]
extern "C" fn curandSetStream(_: *mut c_void, _: *mut c_void) -> u32 {
    0
}
