//! A change of a record: what is told to be other, what of that is other indeed, and what leads back.

use super::{Delta, IN_QUESTION, Part, Record, RecordError, canonical, parts, questions};

/// What a record becomes by what is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The record after it.
    pub record: Record,
    /// What leads from the record before to this one: of what was told, what is not so already.
    pub delta: Delta,
    /// What leads back.
    pub undo: Delta,
}

impl Record {
    /// The record after a delta, and the way there and back, which are as [`Record::delta_to`] has them: all found by
    /// walking both once.
    ///
    /// # Errors
    /// If the delta's bytes are not canonical.
    pub fn change(&self, told: &Delta) -> Result<Change, RecordError> {
        canonical(&told.set, |value| value == questions::NONE || questions::read(value).is_some())?;
        let mut change = Change {
            record: Record(Vec::with_capacity(self.0.len() + told.set.len())),
            delta: Delta::default(),
            undo: Delta::default(),
        };
        let mut old = parts(&self.0).peekable();
        for new in parts(&told.set) {
            while let Some(before) = old.next_if(|before| before.number < new.number) {
                change.stays_or_goes(&before, told);
            }
            match old.next_if(|before| before.number == new.number) {
                Some(before) if before.bytes == new.bytes => change.stays(&before),
                Some(before) if is_none(&new) => change.goes(&before),
                Some(before) => {
                    change.comes(&new);
                    change.undo.set.extend_from_slice(before.bytes);
                }
                None if is_none(&new) => {}
                None => {
                    change.comes(&new);
                    change.undo.clear(new.number);
                }
            }
        }
        old.for_each(|before| change.stays_or_goes(&before, told));
        Ok(change)
    }
}

impl Change {
    /// Of one record into another.
    #[must_use]
    pub fn between(old: &Record, new: Record) -> Change {
        Change { delta: old.delta_to(&new), undo: new.delta_to(old), record: new }
    }
}

/// Whether a part says that nothing is in question.
fn is_none(part: &Part<'_>) -> bool {
    part.number == IN_QUESTION && part.value == questions::NONE
}

impl Change {
    fn stays(&mut self, part: &Part<'_>) {
        self.record.0.extend_from_slice(part.bytes);
    }

    fn comes(&mut self, part: &Part<'_>) {
        self.record.0.extend_from_slice(part.bytes);
        self.delta.set.extend_from_slice(part.bytes);
    }

    fn goes(&mut self, part: &Part<'_>) {
        self.delta.clear(part.number);
        self.undo.set.extend_from_slice(part.bytes);
    }

    fn stays_or_goes(&mut self, part: &Part<'_>, told: &Delta) {
        match told.cleared.contains_number(part.number) {
            true => self.goes(part),
            false => self.stays(part),
        }
    }
}
