//! Personal names: by frequency, people, sex and generation.
//!
//! A third of the Kinh are Nguyễn; other peoples have family names, and some have ways of naming,
//! of their own.

use std::sync::LazyLock;

use dancu_proto::v1::Name;

use super::{
    draw::{Chance, Weighted},
    names_kinh as kinh, names_peoples as peoples,
};

/// A name made of pieces that live as long as the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FullName {
    /// Họ.
    pub family: &'static str,
    /// Chữ đệm: up to two words, empty where there are fewer.
    pub middle: [&'static str; 2],
    /// Tên.
    pub given: &'static str,
}

impl FullName {
    /// As records have it.
    #[must_use]
    pub fn to_name(self) -> Name {
        let middle = match self.middle {
            ["", ""] => String::new(),
            [one, ""] | ["", one] => one.to_owned(),
            [first, second] => {
                let mut both = String::with_capacity(first.len() + second.len() + 1);
                both.push_str(first);
                both.push(' ');
                both.push_str(second);
                both
            }
        };
        Name { family: self.family.to_owned(), middle, given: self.given.to_owned() }
    }
}

/// Names change with the times: those of the old, of the middle-aged, of the young.
fn generation(birth_year: i32) -> usize {
    match birth_year {
        ..1965 => 0,
        1965..1995 => 1,
        _ => 2,
    }
}

struct Kinh {
    families: Weighted<&'static str>,
    /// By sex, then by generation.
    middles: [[Weighted<&'static str>; 3]; 2],
    givens: [[Weighted<&'static str>; 3]; 2],
}

static KINH: LazyLock<Kinh> = LazyLock::new(|| {
    let table = |items: &[(&'static str, f64)]| Weighted::new(items.iter().copied());
    // Lists begin with the names most given.
    let ranked = |items: &[&'static str]| {
        Weighted::new(items.iter().enumerate().map(|(rank, name)| (*name, 1.0 / (rank as f64 + 8.0))))
    };
    Kinh {
        families: table(&kinh::FAMILIES),
        middles: [kinh::MALE_MIDDLES.map(table), kinh::FEMALE_MIDDLES.map(table)],
        givens: [kinh::MALE_GIVENS.map(ranked), kinh::FEMALE_GIVENS.map(ranked)],
    }
});

/// A family name of a people.
pub fn family(ethnicity: u8, chance: &mut Chance) -> &'static str {
    match peoples::FAMILIES.iter().find(|(code, _)| *code == ethnicity) {
        // The first names of a list are the commonest.
        Some((_, names)) => {
            let a = chance.below(names.len() as u32);
            let b = chance.below(names.len() as u32);
            names[a.min(b) as usize]
        }
        None => KINH.families.draw(chance),
    }
}

/// The rest of a name.
pub fn name(
    family: &'static str,
    ethnicity: u8,
    female: bool,
    birth_year: i32,
    chance: &mut Chance,
) -> FullName {
    let when = generation(birth_year);
    let sex = usize::from(female);
    if let Some(own) = peoples::OWN.iter().find(|own| own.peoples.contains(&ethnicity))
        && chance.happens(if when == 2 { 0.7 } else { 0.9 })
    {
        let middle = chance.pick(own.middles[sex]);
        return FullName { family, middle: [middle, ""], given: chance.pick(own.givens[sex]) };
    }
    let mut first = KINH.middles[sex][when].draw(chance);
    let mut second = "";
    let given = KINH.givens[sex][when].draw(chance);
    let compound = [0.04, 0.18, 0.34][when];
    if chance.happens(compound) {
        second = chance.pick(kinh::SECOND_MIDDLES[sex]);
    }
    if first == given || first == family {
        first = if female { "Thị" } else { "Văn" };
    }
    if second == given || second == first {
        second = "";
    }
    FullName { family, middle: [first, second], given }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization::is_nfc;

    #[test]
    fn every_name_is_written_in_normal_form() {
        let kinh_words = kinh::FAMILIES
            .iter()
            .map(|(word, _)| *word)
            .chain(kinh::MALE_GIVENS.concat())
            .chain(kinh::FEMALE_GIVENS.concat())
            .chain(kinh::SECOND_MIDDLES.concat());
        let own_words = peoples::FAMILIES.iter().flat_map(|(_, names)| names.iter().copied());
        for word in kinh_words.chain(own_words) {
            assert!(is_nfc(word) && !word.is_empty() && word.trim() == word, "{word}");
        }
    }

    #[test]
    fn the_old_are_van_and_thi() {
        let mut chance = Chance::new(1, 1);
        let mut share = |year| {
            let all = (0..2000).map(|_| name("Lê", 1, true, year, &mut chance));
            all.filter(|name| name.middle[0] == "Thị").count()
        };
        let (old, young) = (share(1950), share(2015));
        assert!(old > 1400 && young < 900, "{old} {young}");
    }
}
