//! Where a key is written: on the stack, as nearly every one is short.

use std::fmt;

/// The bytes of a key, on the stack for ordinary lengths.
#[derive(Clone)]
pub(crate) struct KeyBuf {
    length: usize,
    stack: [u8; ORDINARY],
    /// All of it, where it is longer.
    heap: Vec<u8>,
}

/// The longest key that takes no allocation.
const ORDINARY: usize = 192;

impl KeyBuf {
    pub(crate) const fn new() -> Self {
        Self {
            length: 0,
            stack: [0; ORDINARY],
            heap: Vec::new(),
        }
    }

    /// One of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut key = Self::new();
        key.push(bytes);
        key
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.length <= ORDINARY {
            &self.stack[..self.length]
        } else {
            &self.heap
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.stack.get_mut(self.length..end) {
            Some(place) => place.copy_from_slice(bytes),
            None => self.spill(bytes),
        }
        self.length = end;
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.length <= ORDINARY {
            self.heap.extend_from_slice(&self.stack[..self.length]);
        }
        self.heap.extend_from_slice(bytes);
    }

    /// Writes bytes after their length, which takes one byte up to 254.
    #[inline]
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        match u8::try_from(bytes.len()) {
            Ok(length) if length < u8::MAX => self.push(&[length]),
            _ => {
                self.push(&[u8::MAX]);
                self.push(&(bytes.len() as u64).to_le_bytes());
            }
        }
        self.push(bytes);
    }

    #[inline]
    pub(crate) fn flag(&mut self, flag: u8) {
        self.push(&[flag]);
    }

    /// Marks what follows as the second level.
    pub(crate) fn begin_variant(&mut self) {
        self.flag(b'V');
    }

    /// The key of what is stored of a part.
    pub(crate) fn of_part(&self) -> Self {
        let mut key = self.clone();
        key.flag(b'P');
        key
    }

    pub(super) fn last_mut(&mut self, count: usize) -> &mut [u8] {
        let start = self.length - count;
        if self.length <= ORDINARY {
            &mut self.stack[start..self.length]
        } else {
            &mut self.heap[start..]
        }
    }
}

impl fmt::Debug for KeyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyBuf")
            .field(&self.as_slice().escape_ascii().to_string())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_spill_whole() {
        let mut long = KeyBuf::new();
        let mut expected = Vec::new();
        for n in 0..100_u8 {
            long.part(&[n; 5]);
            expected.push(5);
            expected.extend([n; 5]);
            assert_eq!(long.as_slice(), expected);
        }
        assert_eq!(long.len(), 600);
        long.last_mut(2).copy_from_slice(b"ab");
        assert!(long.as_slice().ends_with(b"ab"));
    }
}
