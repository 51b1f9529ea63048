//! Values that a person chooses by name: each such type has a table of its names, `NAMES`, which is read where a value is
//! given, and listed where one is not known. Used by the types themselves to print the name.

/// The name of a value in a table that holds all values of its type.
pub fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names
        .iter()
        .find(|(_, named)| named == value)
        .map_or("?", |(name, _)| name)
}
