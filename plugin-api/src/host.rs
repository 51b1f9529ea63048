//! The functions that the host offers to a plugin. The host fills the table;
//! [`HostRecord`](crate::records::HostRecord)'s methods call it.

// abi_stable generates a type named `HostApi_Ref`, and its own `unsafe` code for the functions that
// later versions append. There is no handwritten `unsafe` code in this file.
#![allow(non_camel_case_types, unsafe_code)]

use abi_stable::{StableAbi, std_types::RStr};

/// The table of functions that the host offers. Later minor versions append to it.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostApi_Ref)))]
#[sabi(missing_field(option))]
pub struct HostApi {
    /// Writes a line to the run's log. The levels are 1 error, 2 warning, 3 info, 4 debug. Callable
    /// from any thread.
    pub log: extern "C" fn(level: u32, message: RStr<'_>),
    /// Whether the user asked the run to stop; a long computation should then return soon. Callable
    /// from any thread.
    #[sabi(last_prefix_field)]
    pub cancelled: extern "C" fn() -> bool,
}

impl std::fmt::Debug for HostApi_Ref {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostApi")
    }
}
