//! Where people live: real communes, unevenly filled, cut into hamlets of up to 64 people.
//!
//! A hamlet (thôn, tổ dân phố) is what is drawn at once: its people depend on the seed and on its
//! place alone, so that any of them can be drawn again without the rest.

use std::{collections::HashMap, ops::Range, sync::LazyLock};

use dancu_proto::v1::{Address, RegisteredArea};

use super::{
    draw::{Chance, Weighted, mix},
    provinces::{GOALS, PROVINCES, sends},
};

const UNITS: &str = include_str!("../../../proto/data/administrative_units.csv");
const MERGER: &str = include_str!("../../../proto/data/merger_2025-07-01.csv");

/// People in a hamlet, at most.
pub const HAMLET: u32 = 64;

/// A commune in force.
#[derive(Debug)]
pub struct Commune {
    /// Five digits.
    pub code: &'static str,
    /// The province in force, two digits.
    pub province: &'static str,
    /// A ward (phường): a town.
    pub town: bool,
    island: bool,
    /// The province before 1 July 2025, which begins the numbers registered here.
    pub native: u8,
    /// The communes it was made of: province, district, commune.
    before: Vec<[&'static str; 3]>,
}

static COMMUNES: LazyLock<Vec<Commune>> = LazyLock::new(|| {
    let mut before: HashMap<&str, Vec<([&str; 3], &str)>> = HashMap::new();
    for line in MERGER.lines().skip(1) {
        let columns: Vec<&'static str> = line.split(',').collect();
        if let [province, district, commune, _, now, how] = columns[..] {
            before.entry(now).or_default().push(([province, district, commune], how));
        }
    }
    let commune = |line: &'static str| {
        let columns: Vec<&'static str> = line.split(',').collect();
        let [province, _, code, _, kind, ..] = columns[..] else { return None };
        let mut old = before.remove(code)?;
        // What brought its land and people counts, not a strip of a neighbour.
        let native = old.iter().max_by_key(|(_, how)| *how != "part")?.0[0];
        old.retain(|(area, _)| area[0] == native);
        if old.iter().any(|(_, how)| *how != "part") {
            old.retain(|(_, how)| *how != "part");
        }
        Some(Commune {
            code,
            province,
            town: kind == "Phường",
            island: kind == "Đặc khu",
            native: native.parse().ok()?,
            before: old.into_iter().map(|(area, _)| area).collect(),
        })
    };
    UNITS.lines().skip(1).filter_map(commune).collect()
});

/// The communes in force, in the order of the table.
#[must_use]
pub fn communes() -> &'static [Commune] {
    &COMMUNES
}

/// A hamlet, and the provinces that its people's numbers come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hamlet {
    /// Its place among all.
    pub index: u32,
    /// The commune it lies in.
    pub commune: u16,
    /// Its place in the commune.
    pub in_commune: u16,
    /// People.
    pub size: u32,
    /// Old province it lies in.
    pub native: u8,
    /// Its place among the hamlets of that province.
    pub native_ordinal: u32,
    /// Old province that its guests come from.
    pub guest: u8,
    /// Its place among the hamlets with guests from there.
    pub guest_ordinal: u32,
}

/// A home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dwelling {
    /// The commune.
    pub commune: u16,
    /// The hamlet in the commune.
    pub hamlet: u16,
    /// The house.
    pub house: u16,
}

/// By which codes places are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codes {
    /// Those in force since 1 July 2025.
    #[default]
    InForce,
    /// These, with those of before beside them where a place was registered by then.
    Both,
    /// Those of before alone: a population that lives under the order before the merger.
    Before,
}

/// How a population lies over the communes.
#[derive(Debug)]
pub struct Places {
    seed: u64,
    /// People in each commune.
    people: Vec<u32>,
    /// The first hamlet of each commune, and the number of all at the end.
    first: Vec<u32>,
    /// The place of each commune's first hamlet among those of its old province.
    first_native: Vec<u32>,
    /// Order of hamlets in which guests' provinces are dealt.
    deal: (u64, u64),
    /// For each sending province the first place in that order.
    guests: Vec<(u32, u8)>,
    /// The communes of each old province.
    of_native: HashMap<u8, Vec<u16>>,
    goals: Weighted<&'static str>,
    of_province: HashMap<&'static str, Vec<u16>>,
}

impl Places {
    /// Spreads people over the communes.
    #[must_use]
    pub fn new(seed: u64, citizens: u32) -> Places {
        let weights = weights(seed);
        let people = share_out(&weights, citizens);
        let mut first = vec![0];
        let mut first_native = Vec::with_capacity(people.len());
        let mut natives: HashMap<u8, u32> = HashMap::new();
        let (mut of_native, mut of_province) = (HashMap::new(), HashMap::new());
        for (at, (commune, people)) in COMMUNES.iter().zip(&people).enumerate() {
            let hamlets = people.div_ceil(HAMLET);
            first.push(first[at] + hamlets);
            let so_far = natives.entry(commune.native).or_default();
            first_native.push(*so_far);
            *so_far += hamlets;
            of_native.entry(commune.native).or_insert_with(Vec::new).push(at as u16);
            of_province.entry(commune.province).or_insert_with(Vec::new).push(at as u16);
        }
        let hamlets = u64::from(first[people.len()]).max(1);
        let mut factor = (hamlets as f64 * 0.618) as u64 + 1;
        while common_divisor(factor, hamlets) != 1 {
            factor += 1;
        }
        let total: f64 = PROVINCES.iter().map(sends).sum();
        let mut sum = 0.0;
        let guests = PROVINCES
            .iter()
            .map(|province| {
                let start = (sum / total * hamlets as f64) as u32;
                sum += sends(province);
                (start, province.code)
            })
            .collect();
        let deal = (factor, mix(seed) % hamlets);
        let goals = Weighted::new(GOALS);
        Places { seed, people, first, first_native, deal, guests, of_native, goals, of_province }
    }

    /// How many hamlets there are.
    #[must_use]
    pub fn hamlets(&self) -> u32 {
        self.first[self.people.len()]
    }

    /// The hamlets of a commune.
    #[must_use]
    pub fn hamlets_of(&self, commune: u16) -> Range<u32> {
        self.first[usize::from(commune)]..self.first[usize::from(commune) + 1]
    }

    /// How many people live in a commune.
    #[must_use]
    pub fn people(&self, commune: u16) -> u32 {
        self.people[usize::from(commune)]
    }

    /// A hamlet; `index` is less than [`Places::hamlets`].
    #[must_use]
    pub fn hamlet(&self, index: u32) -> Hamlet {
        let commune = self.first.partition_point(|first| *first <= index) - 1;
        let in_commune = index - self.first[commune];
        let dealt = (u64::from(index) * self.deal.0 + self.deal.1) % u64::from(self.hamlets());
        let dealt = dealt as u32;
        let (start, guest) = self.guests[self.guests.partition_point(|(start, _)| *start <= dealt) - 1];
        Hamlet {
            index,
            commune: commune as u16,
            in_commune: in_commune as u16,
            size: HAMLET.min(self.people[commune] - in_commune * HAMLET),
            native: COMMUNES[commune].native,
            native_ordinal: self.first_native[commune] + in_commune,
            guest,
            guest_ordinal: dealt - start,
        }
    }

    /// Any commune of an old province.
    pub fn commune_of(&self, native: u8, chance: &mut Chance) -> u16 {
        self.of_native.get(&native).map_or(0, |communes| chance.pick(communes))
    }

    /// A commune where people go for work.
    pub fn goal(&self, chance: &mut Chance) -> u16 {
        let province = self.goals.draw(chance);
        self.of_province.get(province).map_or(0, |communes| chance.pick(communes))
    }

    /// Another commune of the same province.
    pub fn neighbour(&self, commune: u16, chance: &mut Chance) -> u16 {
        let province = COMMUNES[usize::from(commune)].province;
        let communes = &self.of_province[province];
        let other = chance.pick(communes);
        if other != commune { other } else { communes[usize::from(communes[0] == commune)] }
    }

    /// A home somewhere in a commune.
    pub fn dwelling(&self, commune: u16, chance: &mut Chance) -> Dwelling {
        let hamlets = self.people(commune).div_ceil(HAMLET).max(1);
        Dwelling { commune, hamlet: chance.below(hamlets) as u16, house: chance.below(400) as u16 + 1 }
    }

    /// A place known by its commune, as it is written by some codes; `salt` chooses among the communes
    /// that it was before.
    #[must_use]
    pub fn place(&self, commune: u16, codes: Codes, salt: u32) -> Address {
        let commune = &COMMUNES[usize::from(commune)];
        let [province, district, code] = commune.before[salt as usize % commune.before.len()];
        let as_registered =
            || RegisteredArea { province: province.into(), district: district.into(), commune: code.into() };
        match codes {
            Codes::InForce => Address { commune: commune.code.into(), ..Address::default() },
            Codes::Both => Address {
                commune: commune.code.into(),
                as_registered: Some(as_registered()),
                ..Address::default()
            },
            // Island districts had no communes.
            Codes::Before if code.is_empty() => Address { province: province.into(), ..Address::default() },
            Codes::Before => Address { commune: code.into(), ..Address::default() },
        }
    }

    /// The address of a home.
    #[must_use]
    pub fn address(&self, home: Dwelling, codes: Codes) -> Address {
        let commune = &COMMUNES[usize::from(home.commune)];
        let key = mix(self.seed ^ (u64::from(home.commune) << 20) ^ u64::from(home.hamlet));
        let detail = if commune.town {
            let street = STREETS[(key % STREETS.len() as u64) as usize];
            format!("Số {}, đường {street}, tổ dân phố {}", home.house, home.hamlet + 1)
        } else if (key >> 32).is_multiple_of(3) {
            format!("{} {}", hamlet_word(commune), home.hamlet + 1)
        } else {
            let first = FIRST_WORDS[(key % FIRST_WORDS.len() as u64) as usize];
            let last = LAST_WORDS[((key >> 16) % LAST_WORDS.len() as u64) as usize];
            format!("Số nhà {}, {} {first} {last}", home.house, hamlet_word(commune).to_lowercase())
        };
        Address { detail, ..self.place(home.commune, codes, key as u32 >> 8) }
    }
}

/// What a hamlet is called differs from the mountains to the delta.
fn hamlet_word(commune: &Commune) -> &'static str {
    match commune.native {
        2..=17 | 20 => "Bản",
        40 | 42 | 19 | 36 => "Xóm",
        62..=67 => "Buôn",
        70..=96 => "Ấp",
        _ => "Thôn",
    }
}

const STREETS: [&str; 32] = [
    "Trần Hưng Đạo",
    "Lê Lợi",
    "Nguyễn Huệ",
    "Hai Bà Trưng",
    "Lý Thường Kiệt",
    "Quang Trung",
    "Nguyễn Trãi",
    "Lê Duẩn",
    "Phan Chu Trinh",
    "Phan Bội Châu",
    "Điện Biên Phủ",
    "Nguyễn Du",
    "Hùng Vương",
    "Trần Phú",
    "Lê Hồng Phong",
    "Nguyễn Văn Cừ",
    "Hoàng Hoa Thám",
    "Ngô Quyền",
    "Bà Triệu",
    "Lạc Long Quân",
    "Lý Tự Trọng",
    "Võ Thị Sáu",
    "Cách Mạng Tháng Tám",
    "30 Tháng 4",
    "Nguyễn Thị Minh Khai",
    "Phạm Văn Đồng",
    "Tôn Đức Thắng",
    "Trường Chinh",
    "Âu Cơ",
    "Hàm Nghi",
    "Đinh Tiên Hoàng",
    "Lê Thánh Tông",
];
const FIRST_WORDS: [&str; 16] = [
    "Bình", "Tân", "An", "Phú", "Long", "Hòa", "Vĩnh", "Mỹ", "Đông", "Thanh", "Xuân", "Đại", "Phước",
    "Trung", "Nam", "Thạnh",
];
const LAST_WORDS: [&str; 16] = [
    "Sơn", "Lập", "Thành", "Hưng", "Lợi", "Thọ", "Định", "Khánh", "Tiến", "Phong", "Hải", "Cường", "Mỹ",
    "Giang", "Lộc", "Quý",
];

/// Each commune's share of all people: its old province's, divided by a log-normal draw; wards are
/// larger, islands small.
fn weights(seed: u64) -> Vec<f64> {
    let mut drawn: Vec<f64> = Vec::with_capacity(COMMUNES.len());
    let mut totals: HashMap<u8, f64> = HashMap::new();
    for (at, commune) in COMMUNES.iter().enumerate() {
        let mut chance = Chance::new(seed, 1 << 40 | at as u64);
        let kind = if commune.island {
            0.15
        } else if commune.town {
            2.2
        } else {
            1.0
        };
        let weight = kind * (0.5 * chance.normal()).exp();
        *totals.entry(commune.native).or_default() += weight;
        drawn.push(weight);
    }
    let thousands: HashMap<u8, u16> = PROVINCES.iter().map(|p| (p.code, p.thousands)).collect();
    let share = |commune: &Commune| {
        f64::from(thousands.get(&commune.native).copied().unwrap_or(1)) / totals[&commune.native]
    };
    drawn.iter().zip(COMMUNES.iter()).map(|(weight, commune)| weight * share(commune)).collect()
}

/// Whole people by weight, exactly as many as asked; nobody's commune is empty if that can be.
fn share_out(weights: &[f64], citizens: u32) -> Vec<u32> {
    let least = u32::from(citizens as usize >= weights.len());
    let rest = f64::from(citizens - least * weights.len() as u32);
    let total: f64 = weights.iter().sum();
    let (mut sum, mut given) = (0.0, 0);
    let share = |weight: &f64| {
        sum += weight;
        let upto = (sum / total * rest).round() as u32;
        let people = upto - given;
        given = upto;
        least + people
    };
    weights.iter().map(share).collect()
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_commune_has_a_past_in_a_known_province() {
        assert_eq!(communes().len(), 3321);
        let codes: HashSet<u8> = PROVINCES.iter().map(|p| p.code).collect();
        let found: HashSet<u8> = communes().iter().map(|c| c.native).collect();
        assert_eq!(codes, found);
        assert!(communes().iter().all(|c| !c.before.is_empty()));
    }

    #[test]
    fn people_are_spread_unevenly_and_nobody_is_lost() {
        let places = Places::new(1, 5_000_000);
        let people: Vec<u32> = (0..3321).map(|at| places.people(at)).collect();
        assert_eq!(people.iter().sum::<u32>(), 5_000_000);
        let (least, most) = (people.iter().min().unwrap(), people.iter().max().unwrap());
        assert!(*least > 0 && most / least >= 100, "{least} {most}");
        let of = |province| -> u32 {
            people.iter().zip(communes()).filter(|(_, c)| c.province == province).map(|(n, _)| n).sum()
        };
        assert!(of("79") > 600_000 && of("01") > 380_000 && of("12") < 30_000);
        let mean = |town| {
            let some: Vec<u32> =
                people.iter().zip(communes()).filter(|(_, c)| c.town == town).map(|(n, _)| *n).collect();
            some.iter().sum::<u32>() as usize / some.len()
        };
        assert!(mean(true) > 2 * mean(false));
    }

    #[test]
    fn hamlets_cover_all_people_and_own_their_slots() {
        for citizens in [1, 100, 10_000, 300_000] {
            let places = Places::new(3, citizens);
            let hamlets: Vec<Hamlet> = (0..places.hamlets()).map(|at| places.hamlet(at)).collect();
            assert_eq!(hamlets.iter().map(|h| h.size).sum::<u32>(), citizens);
            let natives: HashSet<_> = hamlets.iter().map(|h| (h.native, h.native_ordinal)).collect();
            let guests: HashSet<_> = hamlets.iter().map(|h| (h.guest, h.guest_ordinal)).collect();
            assert_eq!((natives.len(), guests.len()), (hamlets.len(), hamlets.len()));
        }
    }

    #[test]
    fn the_largest_population_has_numbers_for_all() {
        let places = Places::new(1, super::super::MOST);
        let last =
            |ordinal: fn(Hamlet) -> u32| (0..places.hamlets()).map(|at| ordinal(places.hamlet(at))).max();
        assert!(last(|h| h.native_ordinal).unwrap() < 150_000);
        assert!(last(|h| h.guest_ordinal).unwrap() < 95_000);
    }
}
