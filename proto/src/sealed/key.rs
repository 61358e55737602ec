//! Keys that must not leave memory in clear: no `Debug` of their content, erased when dropped.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::digest::Digest;

const FINGERPRINT_INFO: &[u8] = b"kho key fingerprint v1";

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// From 32 bytes, which must be secret and uniformly random. The caller erases its own copy.
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The secret bytes: for a keyring file, never for a log.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}
pub(crate) use secret;

secret!(
    /// A unit's data key.
    DataKey
);
secret!(
    /// Wraps data keys; from the keyring.
    KeyEncryptionKey
);

impl KeyEncryptionKey {
    /// HKDF-SHA-256(key, info = "kho key fingerprint v1"): tells keys apart and says nothing of them.
    pub fn fingerprint(&self) -> Digest {
        let mut out = [0; 32];
        Salt::none(HKDF_SHA256)
            .extract(&self.0)
            .expand(&[FINGERPRINT_INFO], HKDF_SHA256)
            .and_then(|output| output.fill(&mut out))
            .expect("32 bytes are within HKDF's limit");
        Digest(out)
    }
}
