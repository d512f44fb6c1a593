//! Where an invalidation stands in the log, for who reads on another node after it.

use std::sync::Arc;

use super::Position;

/// Where an acknowledged invalidation stands in the log: [`Cache::read_after`](crate::Cache::read_after) on
/// any node sees it. It means nothing to another server than the one that acknowledged it: a node that goes
/// by another reads past its cache once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    pub(crate) epoch: Arc<str>,
    pub(crate) at: Position,
}

impl Bookmark {
    /// The identity of the server that acknowledged it: its log is the one that the position is of.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Where the invalidation stands in that log.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.at
    }
}

#[cfg(feature = "bookmarks")]
mod text {
    use data_encoding::BASE64URL_NOPAD;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::Bookmark;
    use crate::remote::{Position, Token};

    /// Ids and nonce; the epoch follows.
    const HEAD: usize = 8 + 8 + 16;
    /// Half of SHA-256's 32 bytes: what a guess must meet.
    const MAC: usize = 16;
    /// The fewest bytes of a secret: an empty one, of a setting that is missing, is known to everybody.
    const LEAST: usize = 16;

    #[track_caller]
    fn mac(secret: &[u8], body: &[u8]) -> Hmac<Sha256> {
        assert!(
            secret.len() >= LEAST,
            "the secret of bookmarks has {} bytes: give one of {LEAST} or more, the same on all nodes",
            secret.len()
        );
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
            unreachable!("HMAC takes keys of every length")
        };
        mac.update(body);
        mac
    }

    impl Bookmark {
        /// As text that a client can carry, in a cookie or a header; authenticated by HMAC-SHA-256, so that a
        /// client cannot make one that sends its reads past the caches. `secret`: the same on all nodes, of
        /// 16 bytes or more. Needs the feature `bookmarks`.
        ///
        /// ```
        /// # use cache_core as revalidate;
        /// use revalidate::Cache;
        /// use revalidate::remote::{Bookmark, Memory};
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let (secret, server) = (b"from the settings", Memory::new());
        /// # let node = || Cache::builder().remote(server.clone()).build();
        /// # let (one, other) = (node(), node());
        /// # let page = async || "contacts";
        /// // Where a client changes something:
        /// let done = one.invalidate_cache("contacts").await?;
        /// let cookie = done.bookmark.map(|bookmark| bookmark.sign(secret));
        ///
        /// // Where it comes next, with the cookie:
        /// let after = cookie.and_then(|text| Bookmark::verify(&text, secret));
        /// let page = match after {
        ///     Some(bookmark) => other.read_after(&bookmark, page()).await,
        ///     None => page().await,
        /// };
        /// # assert_eq!(page, "contacts");
        /// # Ok(()) }
        /// ```
        ///
        /// # Panics
        ///
        /// On a secret of fewer than 16 bytes.
        #[must_use]
        #[track_caller]
        pub fn sign(&self, secret: &[u8]) -> String {
            let mut body = Vec::with_capacity(HEAD + self.epoch.len() + MAC);
            body.extend_from_slice(&self.at.id.0.to_be_bytes());
            body.extend_from_slice(&self.at.id.1.to_be_bytes());
            body.extend_from_slice(&self.at.nonce.0);
            body.extend_from_slice(self.epoch.as_bytes());
            let mac = mac(secret, &body).finalize().into_bytes();
            body.extend_from_slice(&mac[..MAC]);
            BASE64URL_NOPAD.encode(&body)
        }

        /// Reads what [`sign`](Self::sign) wrote; `None` where it is none of that, or by another secret.
        ///
        /// # Panics
        ///
        /// On a secret of fewer than 16 bytes.
        #[must_use]
        #[track_caller]
        pub fn verify(text: &str, secret: &[u8]) -> Option<Self> {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
            let (body, signature) = bytes.split_last_chunk::<MAC>()?;
            mac(secret, body).verify_truncated_left(signature).ok()?;
            let (head, epoch) = body.split_first_chunk::<HEAD>()?;
            let (major, rest) = head.split_first_chunk::<8>()?;
            let (minor, nonce) = rest.split_first_chunk::<8>()?;
            Some(Self {
                epoch: std::str::from_utf8(epoch).ok()?.into(),
                at: Position {
                    id: (u64::from_be_bytes(*major), u64::from_be_bytes(*minor)),
                    nonce: Token(*nonce.first_chunk::<16>()?),
                },
            })
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn bookmark() -> Bookmark {
            Bookmark {
                epoch: "epoch".into(),
                at: Position {
                    id: (7, 8),
                    nonce: Token([9; 16]),
                },
            }
        }

        #[test]
        fn a_bookmark_is_read_by_the_same_secret_alone() {
            let text = bookmark().sign(b"a secret of some length");
            assert_eq!(
                Bookmark::verify(&text, b"a secret of some length"),
                Some(bookmark())
            );
            assert_eq!(
                Bookmark::verify(&text, b"another secret of some length"),
                None
            );
            for at in 0..text.len() {
                let mut bent = text.clone().into_bytes();
                bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
                let bent = String::from_utf8(bent).unwrap();
                assert_eq!(
                    Bookmark::verify(&bent, b"a secret of some length"),
                    None,
                    "{at}"
                );
            }
            let short = || bookmark().sign(b"");
            assert!(std::panic::catch_unwind(short).is_err());
            for short in ["", "A", "AAAA", &text[..20], "no base64!"] {
                assert_eq!(Bookmark::verify(short, b"a secret of some length"), None);
            }
        }
    }
}
