//! Truth in answers, and nothing that leaks or paints: whatever texts of others a command meets, it shows them escaped and
//! without the secrets in them; numbers that mean nothing are never an answer.

mod answers;
mod secrets;
mod shown;
