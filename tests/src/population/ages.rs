//! How old people are, when they have children, and when they die. Rates after the census of 2019
//! and the mid-term census of 2024, rounded.

use std::sync::LazyLock;

use time::{Date, Month};

use super::draw::{Chance, Weighted};

/// A day, counted as Julian days.
pub type Day = i32;

/// The day of a calendar date.
#[must_use]
pub fn day(year: i32, month: u8, day: u8) -> Day {
    let month = Month::try_from(month).unwrap_or(Month::January);
    Date::from_calendar_date(year, month, day).map_or(2_451_545, Date::to_julian_day)
}

/// The year of a day.
#[must_use]
pub fn year(day: Day) -> i32 {
    Date::from_julian_day(day).map_or(2000, Date::year)
}

/// A day as records have it.
#[must_use]
pub fn date(day: Day) -> dancu_proto::v1::Date {
    let (year, month, day) = Date::from_julian_day(day)
        .map_or((2000, 1, 1), |date| (date.year(), u8::from(date.month()), date.day()));
    dancu_proto::v1::Date { year: year as u32, month: month.into(), day: day.into() }
}

/// Whole years from one day to another, close enough to draw by.
#[must_use]
pub fn years(from: Day, to: Day) -> i32 {
    ((to - from) as f64 / 365.2425).floor() as i32
}

/// The first day after so many years.
#[must_use]
pub fn after(day: Day, years: i32) -> Day {
    day + (f64::from(years) * 365.2425).ceil() as i32
}

/// A table of five-year groups: the first age, and the weight of the group.
type Groups = &'static [(i32, f64)];

/// Women who head, or share in heading, a household with a partner.
const COUPLES: Groups = &[
    (19, 3.0),
    (25, 9.5),
    (30, 14.0),
    (35, 14.5),
    (40, 12.5),
    (45, 10.5),
    (50, 9.0),
    (55, 8.0),
    (60, 6.5),
    (65, 5.0),
    (70, 2.8),
    (75, 1.4),
    (80, 0.8),
    (85, 0.4),
    (90, 0.1),
];
/// Those who raise children alone or have lost the partner.
const ALONE_WITH_CHILDREN: Groups = &[
    (22, 1.0),
    (25, 4.0),
    (30, 8.0),
    (35, 11.0),
    (40, 12.0),
    (45, 12.0),
    (50, 12.0),
    (55, 11.0),
    (60, 9.0),
    (65, 7.0),
    (70, 5.0),
    (75, 3.0),
    (80, 2.0),
    (85, 1.5),
    (90, 0.5),
];
/// Those who live by themselves.
const SINGLES: Groups = &[
    (18, 6.0),
    (20, 13.0),
    (25, 12.0),
    (30, 8.0),
    (35, 5.0),
    (40, 4.0),
    (45, 4.0),
    (50, 5.0),
    (55, 6.0),
    (60, 8.0),
    (65, 9.0),
    (70, 8.0),
    (75, 6.0),
    (80, 5.0),
    (85, 3.0),
    (90, 1.5),
    (95, 0.5),
];
/// Women of the middle generation where three live together.
const MIDDLE: Groups = &[(20, 8.0), (25, 24.0), (30, 27.0), (35, 20.0), (40, 12.0), (45, 7.0), (50, 2.0)];

/// Who is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The woman of a couple.
    Couple,
    /// A parent alone.
    LoneParent,
    /// Somebody alone.
    Single,
    /// The woman of a couple that lives with parents.
    Middle,
}

static STAGES: LazyLock<[Weighted<(i32, i32)>; 4]> = LazyLock::new(|| {
    [COUPLES, ALONE_WITH_CHILDREN, SINGLES, MIDDLE].map(|groups| {
        let ends = groups.iter().skip(1).map(|(start, _)| *start);
        let last = groups.last().map_or(100, |(start, _)| start + 5);
        let spans = groups.iter().zip(ends.chain([last]));
        Weighted::new(spans.map(|((start, weight), end)| ((*start, end - 1), *weight)))
    })
});

/// A day of birth for somebody at this stage of life.
pub fn birth(stage: Stage, today: Day, chance: &mut Chance) -> Day {
    let (from, to) = STAGES[stage as usize].draw(chance);
    let age = chance.between(from, to);
    today - age * 1461 / 4 - 1 - chance.below(365) as i32
}

/// How many children a woman of that year has had or will have: fewer and fewer.
pub fn children(mother_year: i32, chance: &mut Chance) -> u32 {
    let mean: f64 = match mother_year {
        ..1935 => 5.2,
        1935..1945 => 4.8,
        1945..1955 => 4.0,
        1955..1965 => 3.1,
        1965..1975 => 2.55,
        _ => 2.25,
    };
    (mean + chance.normal() * mean.min(3.0) * 0.36).round().clamp(0.0, 9.0) as u32
}

/// Whether a child of that age still lives with the parents.
pub fn at_home(age: i32, chance: &mut Chance) -> bool {
    chance.happens(match age {
        ..18 => 0.985,
        18..20 => 0.88,
        20..23 => 0.74,
        23..26 => 0.60,
        26..30 => 0.40,
        30..35 => 0.20,
        35..45 => 0.09,
        _ => 0.04,
    })
}

/// The chance to die within a year.
#[must_use]
pub fn mortality(age: i32, female: bool) -> f64 {
    let base = match age {
        ..1 => 0.011,
        1..5 => 0.0012,
        5..15 => 0.0004,
        15..30 => 0.0008,
        _ => 0.0009 * ((f64::from(age) - 30.0) * 0.078).exp(),
    };
    if female { base * 0.62 } else { base * 1.25 }
}

/// How readily a woman of that age has a child, relative to others.
#[must_use]
pub fn fertility(age: i32) -> f64 {
    match age {
        16..20 => 0.25,
        20..25 => 1.0,
        25..30 => 1.25,
        30..35 => 0.8,
        35..40 => 0.35,
        40..45 => 0.08,
        45..48 => 0.01,
        _ => 0.0,
    }
}
