//! What keys are called in Redis.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use xxhash_rust::xxh3::xxh3_128;

/// The names of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn new(namespace: &str) -> Self {
        Self(namespace.to_owned())
    }

    pub(crate) fn log(&self, epoch: &str) -> String {
        format!("rv:{{{}}}:log:{epoch}", self.0)
    }

    /// Of who had the log last: it moves with the log's slot.
    pub(crate) fn holder(&self) -> String {
        format!("rv:{{{}}}:holder", self.0)
    }

    /// Of the record of the tag of everything.
    pub(crate) fn all(&self) -> String {
        format!("rv:{{{}}}:tag:*", self.0)
    }

    /// Gives the name of each tag's record.
    pub(crate) fn tags<'t>(
        &self,
        tags: impl IntoIterator<Item = &'t Arc<str>>,
        mut give: impl FnMut(&str),
    ) {
        let mut name = format!("rv:{{{}}}:tag:", self.0);
        let prefix = name.len();
        for tag in tags {
            name.truncate(prefix);
            name.push_str(tag);
            give(&name);
        }
    }

    /// The slot of the log and of all tags.
    pub(crate) fn slot(&self) -> u16 {
        slot(self.0.as_bytes())
    }

    /// Of an entry, under the identity of the log's server.
    pub(crate) fn place(&self, epoch: &str, digest: &str) -> String {
        format!("rv:{}:{epoch}:{{{digest}}}", self.0)
    }
}

/// What a key's place is named by.
pub(crate) fn digest(key: &[u8]) -> String {
    HEXLOWER.encode(&xxh3_128(key).to_be_bytes())
}

/// The slot of what stands between the braces of a name.
pub(crate) fn slot(tag: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag) % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
    }
}
