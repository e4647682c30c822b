//! Versions: what an asset's body says ([`CodeVersion`]), what a partition holds
//! ([`DataVersion`]), and what a materialization was made from ([`Fingerprint`]).
//!
//! All three are 128 bits of BLAKE3. An unknown version is an `Option`, never a magic value.

use std::fmt;

macro_rules! hash128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The first 128 bits of the BLAKE3 hash of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self::finish(blake3::Hasher::new().update(bytes))
            }

            /// The first 128 bits of what `hasher` has taken in.
            pub fn finish(hasher: &blake3::Hasher) -> Self {
                let mut out = [0; 16];
                out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
                Self(out)
            }

            /// Reads 32 hexadecimal digits; `None` for anything else.
            pub fn from_hex(text: &str) -> Option<Self> {
                let digits = text.as_bytes();
                if digits.len() != 32 {
                    return None;
                }
                let mut out = [0; 16];
                for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
                    let high = (pair[0] as char).to_digit(16)?;
                    let low = (pair[1] as char).to_digit(16)?;
                    *byte = (high * 16 + low) as u8;
                }
                Some(Self(out))
            }

            /// Eight hexadecimal digits, enough for people to tell two versions apart.
            pub fn short(&self) -> String {
                self.to_string()[..8].to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                Self::from_hex(&text)
                    .ok_or_else(|| serde::de::Error::custom("expected 32 hexadecimal digits"))
            }
        }
    };
}

hash128! {
    /// What an asset's body and the configuration that shapes its rows say.
    /// Comments, formatting, checks and descriptions are not part of it.
    CodeVersion
}
hash128! {
    /// A hash of the content of one partition: the schema and every row in key order.
    /// Equal content made by another engine, machine or run has the same version.
    DataVersion
}
hash128! {
    /// The data versions of every mapped input partition of one materialization, in order.
    Fingerprint
}
