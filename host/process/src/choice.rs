//! Values that people choose by name. Each such type has a table of names, `NAMES`, for parsing and
//! for listing the choices in error messages. The types call it to print a name.

/// The name of a value, from a table of all values of its type.
pub fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names
        .iter()
        .find(|(_, named)| named == value)
        .map_or("?", |(name, _)| name)
}
