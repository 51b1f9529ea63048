//! Truthful answers, and nothing that leaks secrets or controls the terminal. A command shows
//! foreign texts escaped and without the secrets in them. Meaningless numbers are never an answer.

mod answers;
mod secrets;
mod shown;
