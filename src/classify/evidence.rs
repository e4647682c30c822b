//! What speaks for an issue type in a text, and how much it is worth. Pure.

/// Version of how evidence decides; part of the taxonomy's version.
pub(super) const EVIDENCE_VERSION: u64 = 2;
/// Phrases that count. More of them say that somebody wrote much, or that a type has many.
const PHRASES_MOST: u32 = 3;
/// Words at the beginning of a text that count as its title.
pub(super) const EARLY_WORDS: usize = 10;

/// What was found of one issue type in a text.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// The first include phrase in the order of the file.
    pub rule: Option<u16>,
    /// What of its choices the text has.
    pub way: Vec<u32>,
    /// How many of its include phrases.
    pub phrases: u32,
    /// Where the first of them begins.
    pub start: usize,
    /// Whether an exclude phrase took it away.
    pub excluded: bool,
}

impl Evidence {
    /// Nothing was found.
    pub const NONE: Self =
        Self { rule: None, way: Vec::new(), phrases: 0, start: usize::MAX, excluded: false };

    /// Nothing was found; the memory is kept.
    pub fn clear(&mut self) {
        let mut way = std::mem::take(&mut self.way);
        way.clear();
        *self = Self { way, ..Self::NONE };
    }

    /// What it is worth. `early_end`: where the first words of the text end.
    pub fn points(&self, early_end: usize) -> u32 {
        self.phrases.min(PHRASES_MOST) + u32::from(self.start < early_end)
    }
}
