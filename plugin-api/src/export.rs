//! The export macro: turns an author's types into a plugin library.
//!
//! It writes the manifest section, the root module and a crate-level constant `PLUGIN` for tests.
//! The last arms of the macros name the mistake in an entry or an option; the macros that they call
//! are in `export_faults`.

/// Makes the crate a plugin library. Write it once, at the crate's root, in a crate of type
/// `cdylib`.
///
/// ```text
/// export_plugin! {
///     schedules: [
///         {
///             id: "single-block",
///             summary: "one block, every epoch",
///             options: [
///                 {
///                     name: "block", kind: Int, default: -1, min: -1,
///                     help: "the block; -1 is the top one"
///                 },
///                 EMBEDDINGS_OPTION,
///             ],
///             create: SingleBlock::create,
///         },
///     ],
///     methods: [],
/// }
/// ```
///
/// - Either list may be left out. An entry's `id` is lower-case with `-`.
/// - An option has `name`, `kind`, `default`, `min`, `max`, `choices` (a list) and `help`, in this
///   order. The kinds are `Bool`, `Int`, `Float`, `Str`, `Ints`, `Floats` and `Strs`. An option
///   without a default is required. Alternatively it is the name of a
///   [`crate::manifest::OptionSpec`] constant. Numbers are plain JSON literals.
/// - `create` of a schedule is
///   `fn(&Options, &HostRecord, &RunRecord) -> Result<impl Schedule, PluginError>`. For a method it
///   is `fn(&Options, &HostRecord) -> Result<impl Method, PluginError>`.
#[macro_export]
macro_rules! export_plugin {
    (
        $(schedules: [$({
            id: $schedule:literal, summary: $schedule_summary:literal,
            options: [$($schedule_option:tt),* $(,)?], create: $create_schedule:expr $(,)?
        }),* $(,)?] $(,)?)?
        $(methods: [$({
            id: $method:literal, summary: $method_summary:literal,
            options: [$($method_option:tt),* $(,)?], create: $create_method:expr $(,)?
        }),* $(,)?] $(,)?)?
    ) => {
        /// This library, for the contract test: `contract::assert_kept(&PLUGIN)`.
        #[allow(dead_code)]
        pub(crate) const PLUGIN: $crate::sdk::Plugin = {
            #[allow(unused_variables)]
            extern "C" fn create_schedule(
                id: $crate::sdk::generated::RStr<'_>,
                options: $crate::sdk::generated::RSlice<'_, $crate::open::Attribute>,
                host: &$crate::records::HostRecord,
                run: &$crate::records::RunRecord,
            ) -> $crate::root::Answer<$crate::root::ScheduleObject> {
                match id.as_str() {
                    $($($schedule => $crate::sdk::make_schedule($create_schedule, options, host, run),)*)?
                    other => $crate::sdk::no_such_entry("schedule", other),
                }
            }
            #[allow(unused_variables)]
            extern "C" fn create_method(
                id: $crate::sdk::generated::RStr<'_>,
                options: $crate::sdk::generated::RSlice<'_, $crate::open::Attribute>,
                host: &$crate::records::HostRecord,
            ) -> $crate::root::Answer<$crate::root::MethodObject> {
                match id.as_str() {
                    $($($method => $crate::sdk::make_method($create_method, options, host),)*)?
                    other => $crate::sdk::no_such_entry("method", other),
                }
            }
            const _: () = $crate::export_faults::assert_sound(SPEC);
            const SPEC: &$crate::manifest::PluginSpec = &$crate::manifest::PluginSpec {
                name: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                license: env!("CARGO_PKG_LICENSE"),
                entries: &[
                    $($($crate::manifest::EntrySpec {
                        id: $schedule,
                        kind: "schedule",
                        summary: $schedule_summary,
                        options: &[$($crate::__option!($schedule_option)),*],
                    },)*)?
                    $($($crate::manifest::EntrySpec {
                        id: $method,
                        kind: "method",
                        summary: $method_summary,
                        options: &[$($crate::__option!($method_option)),*],
                    },)*)?
                ],
            };
            $crate::sdk::Plugin { spec: SPEC, create_schedule, create_method }
        };

        #[allow(unsafe_code)]
        const _: () = {
            const LENGTH: usize = PLUGIN.spec.json_len();

            /// The host reads it from the file, without loading the library.
            #[used]
            #[unsafe(no_mangle)]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__progtune"))]
            #[cfg_attr(windows, unsafe(link_section = ".progtun"))]
            #[cfg_attr(not(any(target_vendor = "apple", windows)), unsafe(link_section = ".progtune"))]
            pub static PROGTUNE_PLUGIN: $crate::manifest::ManifestRecord<LENGTH> =
                $crate::manifest::ManifestRecord::new(PLUGIN.spec, cfg!(panic = "unwind"));

            extern "C" fn manifest() -> $crate::sdk::generated::RStr<'static> {
                $crate::sdk::generated::RStr::from_str(PROGTUNE_PLUGIN.json())
            }

            extern "C" fn load() -> $crate::sdk::generated::Loaded {
                $crate::sdk::generated::load(|| PLUGIN.into_module(manifest))
            }

            /// The symbol that the host's loader looks up.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static PROGTUNE_ROOT: $crate::sdk::generated::Header = $crate::sdk::generated::header(load);
        };
    };
    ($($other:tt)*) => { $crate::__export_fault!($($other)*); };
}

/// One option of [`export_plugin!`] as an [`crate::manifest::OptionSpec`].
#[doc(hidden)]
#[macro_export]
macro_rules! __option {
    ({ name: $name:literal, kind: $kind:ident $(, default: $default:tt $($default_rest:literal)?)?
       $(, min: $min:expr)? $(, max: $max:expr)? $(, choices: [$($choice:literal),* $(,)?])?
       , help: $help:literal $(,)? }) => {
        $crate::manifest::OptionSpec {
            name: $name,
            kind: $crate::__option_kind!($kind),
            default: $crate::__option_default!($kind $(, $default $($default_rest)?)?),
            min: concat!("" $(, stringify!($min))?),
            max: concat!("" $(, stringify!($max))?),
            choices: &[$($($choice),*)?],
            help: $help,
        }
    };
    ($constant:ident) => { $constant };
    ($($other:tt)*) => { $crate::__option_fault!($($other)*) };
}

/// The type of an option, from its name in [`export_plugin!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __option_kind {
    (Bool) => {
        $crate::options::OptionKind::BOOL
    };
    (Int) => {
        $crate::options::OptionKind::INT
    };
    (Float) => {
        $crate::options::OptionKind::FLOAT
    };
    (Str) => {
        $crate::options::OptionKind::STR
    };
    (Ints) => {
        $crate::options::OptionKind::INTS
    };
    (Floats) => {
        $crate::options::OptionKind::FLOATS
    };
    (Strs) => {
        $crate::options::OptionKind::STRS
    };
    ($other:ident) => {
        compile_error!(concat!(
            "export_plugin!: there is no option kind `",
            stringify!($other),
            "`; the kinds are Bool, Int, Float, Str, Ints, Floats and Strs"
        ))
    };
}

/// The default of an option, according to its type.
#[doc(hidden)]
#[macro_export]
macro_rules! __option_default {
    ($kind:ident) => { $crate::manifest::DefaultSpec::Required };
    (Bool, $value:literal) => { $crate::manifest::DefaultSpec::Bool($value) };
    (Str, $value:literal) => { $crate::manifest::DefaultSpec::Str($value) };
    (Strs, [$($value:literal),* $(,)?]) => { $crate::manifest::DefaultSpec::Strs(&[$($value),*]) };
    (Int, $($value:tt)+) => {{
        const _: i64 = $($value)+;
        $crate::manifest::DefaultSpec::Number(concat!($(stringify!($value)),+))
    }};
    (Float, $($value:tt)+) => {{
        $crate::manifest::DefaultSpec::Number(concat!($(stringify!($value)),+))
    }};
    (Ints, [$($value:expr),* $(,)?]) => { $crate::manifest::DefaultSpec::Numbers(&[$(stringify!($value)),*]) };
    (Floats, [$($value:expr),* $(,)?]) => { $crate::manifest::DefaultSpec::Numbers(&[$(stringify!($value)),*]) };
    ($kind:ident, $($value:tt)+) => {
        compile_error!(concat!(
            "export_plugin!: `", $(stringify!($value)),+, "` is no default for an option of the kind ", stringify!($kind),
            "; Bool takes true or false, Str a text in quotes, and Ints, Floats and Strs a list in brackets"
        ))
    };
}
