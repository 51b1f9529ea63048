//! What the host lets a plugin call. The host fills the table; [`HostRecord`](crate::records::HostRecord)'s methods
//! call it.

// abi_stable writes a type named `HostApi_Ref`, and `unsafe` code of its own for the functions that later versions append;
// there is none of ours in this file.
#![allow(non_camel_case_types, unsafe_code)]

use abi_stable::{StableAbi, std_types::RStr};

/// The table of functions the host offers. Later minor versions append to it.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostApi_Ref)))]
#[sabi(missing_field(option))]
pub struct HostApi {
    /// Writes a line to the run's log. Level: 1 error, 2 warning, 3 info, 4 debug. Any thread.
    pub log: extern "C" fn(level: u32, message: RStr<'_>),
    /// Whether the user asked the run to stop; a long computation should return soon then. Any thread.
    #[sabi(last_prefix_field)]
    pub cancelled: extern "C" fn() -> bool,
}

impl std::fmt::Debug for HostApi_Ref {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostApi")
    }
}
