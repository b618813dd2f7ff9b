//! What a person decides: contributions on which sources disagree, or that hardly can be, and accepted ones
//! that rested on something that was taken back. Rows of the table `reviews`.

mod decide;
mod derived;
mod service;
mod sides;

use dancu_proto::{
    FieldSet,
    v1::{self, RejectionReason},
};
use prost::Message;

pub use self::{
    decide::Deciding,
    service::{ReviewServer, names_of},
    sides::Sides,
};
use crate::{
    calendar::milliseconds,
    intake::{
        event,
        handover::{handed_in::HandedIn, mark},
    },
    registry::{CitizenKey, CitizenUpdate, Rows, StoreError, View},
};

/// The table.
const REVIEWS: &str = "reviews";
/// All reviews, those that are open, and the last number.
const NUMBERED: u8 = b'r';
const OPEN: u8 = b'o';
const LAST: &[u8] = b"l";

/// A review.
#[derive(Clone, PartialEq, Message)]
pub struct Review {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// The name of the contribution's row.
    #[prost(bytes = "vec", tag = "2")]
    pub contribution: Vec<u8>,
    /// Why.
    #[prost(enumeration = "RejectionReason", tag = "3")]
    pub reason: i32,
    /// The same for people.
    #[prost(string, tag = "4")]
    pub message: String,
    /// Whose fields are in question: keys, and sets, in turn.
    #[prost(uint64, repeated, tag = "5")]
    pub in_question: Vec<u64>,
    /// Since when, milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub since_ms: i64,
    /// It is an accepted contribution that rested on one that was taken back.
    #[prost(bool, tag = "7")]
    pub dependent: bool,
    /// The decision.
    #[prost(message, optional, tag = "8")]
    pub decision: Option<Decided>,
}

/// A decision.
#[derive(Clone, PartialEq, Message)]
pub struct Decided {
    /// The contribution counts.
    #[prost(bool, tag = "1")]
    pub accepted: bool,
    /// Why.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// Who decided.
    #[prost(string, tag = "3")]
    pub operator: String,
    /// When, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub time_ms: i64,
    /// Number of the document that orders it.
    #[prost(string, tag = "5")]
    pub document: String,
    /// The latest revision before the decision.
    #[prost(uint64, tag = "6")]
    pub after: u64,
}

/// A review that is being closed, and those that stay open.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The review, decided.
    pub review: Review,
    /// The others that are open.
    pub others: Vec<Review>,
}

impl Review {
    /// Whose fields are in question.
    pub fn in_question(&self) -> impl Iterator<Item = (CitizenKey, FieldSet)> + '_ {
        let pairs = self.in_question.chunks_exact(2);
        pairs.map(|pair| (CitizenKey(pair[0]), FieldSet::from_bits(pair[1])))
    }

    /// All fields in question, as the API numbers them.
    #[must_use]
    pub fn fields(&self) -> Vec<i32> {
        let all = self.in_question().fold(FieldSet::EMPTY, |all, (_, fields)| all.union(fields));
        all.iter().map(|field| v1::Field::from(field).into()).collect()
    }
}

fn numbered(number: u64) -> Vec<u8> {
    [&[NUMBERED][..], &number.to_be_bytes()].concat()
}

fn open_name(number: u64) -> Vec<u8> {
    [&[OPEN][..], &number.to_be_bytes()].concat()
}

/// Opens a review of a contribution, or changes the one that it has.
///
/// # Errors
/// If the disk refuses, or a row is damaged; so for all below.
pub fn open(rows: &mut Rows<'_>, row: &HandedIn, why: &event::Review) -> Result<u64, StoreError> {
    let number = if row.review == 0 { rows.next(REVIEWS, LAST)? } else { row.review };
    let review = Review {
        number,
        contribution: row.name(),
        reason: why.reason.into(),
        message: why.message.clone(),
        in_question: why.in_question.iter().flat_map(|(key, fields)| [key.0, fields.bits()]).collect(),
        since_ms: milliseconds(rows.standing().now()),
        dependent: false,
        decision: None,
    };
    rows.put(REVIEWS, open_name(number), Vec::new());
    rows.put(REVIEWS, numbered(number), review.encode_to_vec());
    Ok(number)
}

/// Opens a review of an accepted contribution that rested on what was taken back.
///
/// # Errors
/// See above.
pub fn open_dependent(rows: &mut Rows<'_>, row: &HandedIn) -> Result<u64, StoreError> {
    let number = rows.next(REVIEWS, LAST)?;
    let review = Review {
        number,
        contribution: row.name(),
        message: "rested on an event that was taken back; does it stand?".into(),
        since_ms: milliseconds(rows.standing().now()),
        dependent: true,
        ..Review::default()
    };
    rows.put(REVIEWS, open_name(number), Vec::new());
    rows.put(REVIEWS, numbered(number), review.encode_to_vec());
    Ok(number)
}

/// Closes a review: fields that no other review is about are not in question any more.
///
/// # Errors
/// See above.
pub fn close(
    rows: &mut Rows<'_>,
    closing: &Closing,
    updates: &mut Vec<CitizenUpdate>,
) -> Result<(), StoreError> {
    for (key, _) in closing.review.in_question() {
        let of_others = closing.others.iter().flat_map(Review::in_question).filter(|(of, _)| *of == key);
        let left = of_others.fold(FieldSet::EMPTY, |left, (_, fields)| left.union(fields));
        mark(updates, rows.standing(), key, left)?;
    }
    put_closed(rows, &closing.review);
    Ok(())
}

/// Closes a review of which nothing was in question: what it waited for is certain.
///
/// # Errors
/// See above.
pub fn close_by_itself(rows: &mut Rows<'_>, number: u64) -> Result<(), StoreError> {
    if let Some(mut review) = rows.message::<Review>(REVIEWS, &numbered(number))? {
        let (time_ms, after) = (milliseconds(rows.standing().now()), rows.standing().at().0 - 1);
        let reason = "what it waited for is certain".into();
        review.decision =
            Some(Decided { reason, operator: "hub".into(), time_ms, after, ..Decided::default() });
        put_closed(rows, &review);
    }
    Ok(())
}

fn put_closed(rows: &mut Rows<'_>, review: &Review) {
    rows.remove(REVIEWS, open_name(review.number));
    rows.put(REVIEWS, numbered(review.number), review.encode_to_vec());
}

fn decode(row: &[u8]) -> Result<Review, StoreError> {
    Review::decode(row).map_err(|_| StoreError::Corrupt("a review"))
}

/// A review.
///
/// # Errors
/// See above.
pub fn by_number(view: &View<'_>, number: u64) -> Result<Option<Review>, StoreError> {
    view.row(REVIEWS, &numbered(number))?.map(|row| decode(&row)).transpose()
}

/// All reviews, or those that are open.
///
/// # Errors
/// See above.
pub fn all(view: &View<'_>, decided: bool) -> Result<Vec<Review>, StoreError> {
    if decided {
        return view.rows_after(REVIEWS, &[NUMBERED], None).map(|row| decode(&row?.1)).collect();
    }
    let open = view.rows_after(REVIEWS, &[OPEN], None);
    open.map(|row| {
        let (name, _) = row?;
        let review = view.row(REVIEWS, &[&[NUMBERED][..], &name[1..]].concat())?;
        decode(&review.ok_or(StoreError::Corrupt("a review"))?)
    })
    .collect()
}
