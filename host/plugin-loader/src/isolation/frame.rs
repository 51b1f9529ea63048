//! Messages on the socket between a run and a plugin's process. Each has a header with the token of
//! this process, its length and a checksum. Anything that a plugin writes there by accident is
//! noticed, and not taken for an answer.

use std::io::{self, Read};

/// The maximum length of a message. A plan for a model of a thousand blocks takes a few megabytes.
pub(super) const LONGEST: usize = 64 << 20;
/// Token, length and checksum.
const HEADER: usize = 16 + 4 + 4;
/// The number of bytes read at once.
const CHUNK: usize = 64 << 10;

/// The token, which only the two ends of one socket know.
pub(super) type Token = [u8; 16];

/// The reason why no message arrives.
#[derive(Debug)]
pub(super) enum Broken {
    /// The other end is closed.
    Closed,
    /// Nothing has arrived within the time limit of a read.
    NotYet,
    /// Something other than a message was written.
    Garbage(&'static str),
    /// The system reports an error.
    Io(io::Error),
}

/// A message with its header.
pub(super) fn framed(token: &Token, message: &[u8]) -> io::Result<Vec<u8>> {
    let length = match u32::try_from(message.len()) {
        Ok(length) if message.len() <= LONGEST => length.to_le_bytes(),
        _ => {
            return Err(io::Error::other(format!(
                "a message of {} bytes; at most {LONGEST} are sent",
                message.len()
            )));
        }
    };
    let mut frame = Vec::with_capacity(HEADER + message.len());
    frame.extend_from_slice(token);
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&checksum(token, &length, message).to_le_bytes());
    frame.extend_from_slice(message);
    Ok(frame)
}

fn checksum(token: &Token, length: &[u8], message: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [token, length, message] {
        sum.update(part);
    }
    sum.finalize()
}

/// The bytes that have arrived and do not yet form a whole message.
pub(super) struct Inbox {
    token: Token,
    arrived: Vec<u8>,
}

impl Inbox {
    /// A buffer for messages with this token.
    pub(super) fn new(token: Token) -> Self {
        Self {
            token,
            arrived: Vec::new(),
        }
    }

    /// The next message. Reads until it is complete or a read has timed out. Bytes that have
    /// arrived are kept for the next call.
    pub(super) fn next(&mut self, stream: &mut impl Read) -> Result<Vec<u8>, Broken> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            match stream.read(&mut chunk) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => self.arrived.extend_from_slice(&chunk[..count]),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(Broken::NotYet);
                    }
                    io::ErrorKind::ConnectionReset => return Err(Broken::Closed),
                    _ => return Err(Broken::Io(error)),
                },
            }
        }
    }

    /// A message, if all of it has arrived. Bytes that cannot become one are recognised by the
    /// first of them.
    fn take(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let known = self.arrived.len().min(self.token.len());
        if self.arrived[..known] != self.token[..known] {
            return Err(Broken::Garbage("it does not begin like a message"));
        }
        if self.arrived.len() < HEADER {
            return Ok(None);
        }
        let number = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&self.arrived[at..at + 4]);
            bytes
        };
        let (length, sum) = (number(16), u32::from_le_bytes(number(20)));
        let end = HEADER + u32::from_le_bytes(length) as usize;
        if end > HEADER + LONGEST {
            return Err(Broken::Garbage(
                "it says that it is longer than any message",
            ));
        }
        if self.arrived.len() < end {
            return Ok(None);
        }
        if checksum(&self.token, &length, &self.arrived[HEADER..end]) != sum {
            return Err(Broken::Garbage("its checksum is wrong"));
        }
        let rest = self.arrived.split_off(end);
        let mut message = std::mem::replace(&mut self.arrived, rest);
        message.drain(..HEADER);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = *b"0123456789abcdef";

    fn received(mut bytes: &[u8]) -> Result<Vec<u8>, Broken> {
        Inbox::new(TOKEN).next(&mut bytes)
    }

    /// Yields one byte at a time, like a slow writer.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn messages_arrive_in_order_however_they_are_cut() {
        let messages: [&[u8]; 3] = [b"first", b"", &[7; 3000]];
        let sent: Vec<u8> = messages
            .iter()
            .flat_map(|message| framed(&TOKEN, message).unwrap())
            .collect();
        let mut whole = (Inbox::new(TOKEN), sent.as_slice());
        let mut cut = (Inbox::new(TOKEN), Slow(&sent));
        for message in messages {
            assert_eq!(whole.0.next(&mut whole.1).unwrap(), message);
            assert_eq!(cut.0.next(&mut cut.1).unwrap(), message);
        }
        assert!(matches!(cut.0.next(&mut cut.1), Err(Broken::Closed)));
    }

    #[test]
    fn what_is_no_message_is_noticed() {
        let good = framed(&TOKEN, b"a message").unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let outcome = received(&bad);
            // A length that has become greater is waited for in vain.
            assert!(
                matches!(outcome, Err(Broken::Garbage(_) | Broken::Closed)),
                "byte {at}: {outcome:?}"
            );
        }
        assert!(matches!(received(&good[..30]), Err(Broken::Closed)));
        assert!(matches!(received(b"hello"), Err(Broken::Garbage(_))));
        let mut endless = good;
        endless[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(received(&endless), Err(Broken::Garbage(_))));
        assert!(framed(&TOKEN, &vec![0; LONGEST + 1]).is_err());
    }
}
