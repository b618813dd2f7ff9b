//! Real provinces and communes, and how many people live in each.

use std::collections::HashMap;

use dancu_proto::v1::{Address, RegisteredArea};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{draw::one, household::Layout};

const NOW: &str = include_str!("../../../proto/data/administrative_units.csv");
const MERGER: &str = include_str!("../../../proto/data/merger_2025-07-01.csv");

/// People in thousands at the end of 2024, rounded; by present province. Provinces not named here
/// have about two million.
const PEOPLE: &[(&str, u32)] = &[
    ("01", 8700),
    ("79", 14000),
    ("75", 4500),
    ("31", 4660),
    ("38", 3760),
    ("40", 3440),
    ("48", 3070),
    ("80", 3260),
    ("82", 4370),
    ("92", 4190),
    ("91", 4950),
    ("86", 4260),
    ("96", 2610),
    ("56", 2240),
    ("66", 3350),
    ("68", 3870),
    ("52", 3580),
    ("51", 1860),
    ("46", 1430),
    ("42", 1620),
    ("44", 1870),
    ("37", 4410),
    ("33", 3570),
    ("24", 3620),
    ("25", 4020),
    ("22", 1500),
    ("19", 1800),
    ("20", 880),
    ("08", 1870),
    ("04", 570),
    ("11", 640),
    ("12", 510),
    ("14", 1320),
    ("15", 1780),
];

const STREETS: &[&str] = &[
    "Trần Phú",
    "Lê Lợi",
    "Nguyễn Huệ",
    "Hai Bà Trưng",
    "Quang Trung",
    "Lý Thường Kiệt",
    "Phan Chu Trinh",
    "Hùng Vương",
    "Điện Biên Phủ",
    "Võ Thị Sáu",
    "Nguyễn Trãi",
    "Lê Hồng Phong",
];

/// A commune in force.
pub(super) struct Commune {
    province: &'static str,
    code: &'static str,
    /// An old commune that went into it, with its province and district.
    old: (&'static str, &'static str, &'static str),
    ward: bool,
}

/// All communes, with their share of the people.
pub(super) struct Places {
    communes: Vec<Commune>,
    /// Sums of the shares up to each commune.
    sums: Vec<f64>,
    /// Old provinces that went into each province.
    old_provinces: HashMap<&'static str, Vec<u16>>,
}

impl Places {
    pub(super) fn new(seed: u64) -> Places {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x0070_6c61_6365);
        let mut old: HashMap<&str, (&str, &str, &str)> = HashMap::new();
        let mut old_provinces: HashMap<&str, Vec<u16>> = HashMap::new();
        for line in MERGER.lines().skip(1) {
            let columns: Vec<&'static str> = line.split(',').collect();
            let [old_province, district, commune, province, new, how] = columns[..] else { continue };
            if how != "part" {
                old.entry(new).or_insert((old_province, district, commune));
            }
            let code = old_province.parse().unwrap_or_default();
            let list = old_provinces.entry(province).or_default();
            if !list.contains(&code) {
                list.push(code);
            }
        }
        let mut by_province: HashMap<&str, f64> = HashMap::new();
        let mut communes = Vec::new();
        let mut shares = Vec::new();
        for line in NOW.lines().skip(1) {
            let columns: Vec<&'static str> = line.split(',').collect();
            let [province, _, code, _, kind, ..] = columns[..] else { continue };
            let ward = kind == "Phường";
            // Log-normal by the sum of twelve draws; wards are larger.
            let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            let share = (normal * 0.7).exp() * if ward { 2.5 } else { 1.0 };
            *by_province.entry(province).or_default() += share;
            let old = old.get(code).copied().unwrap_or((province, "", code));
            communes.push(Commune { province, code, old, ward });
            shares.push(share);
        }
        let people: HashMap<&str, u32> = PEOPLE.iter().copied().collect();
        let mut sum = 0.0;
        let share = |(commune, share): (&Commune, &f64)| {
            let of_province = f64::from(people.get(commune.province).copied().unwrap_or(2000));
            sum += of_province * share / by_province[commune.province];
            sum
        };
        let sums = communes.iter().zip(&shares).map(share).collect();
        Places { communes, sums, old_provinces }
    }

    /// Where a household lives.
    pub(super) fn draw(&self, rng: &mut SmallRng) -> &Commune {
        let total = self.sums.last().copied().unwrap_or(1.0);
        let at = rng.random::<f64>() * total;
        &self.communes[self.sums.partition_point(|sum| *sum < at).min(self.communes.len() - 1)]
    }

    /// A ward of a big city, where people move to for work.
    pub(super) fn draw_city(&self, rng: &mut SmallRng) -> &Commune {
        loop {
            let commune = self.draw(rng);
            if commune.ward {
                return commune;
            }
        }
    }

    /// Code of the old province where someone of a commune was born.
    pub(super) fn birth_place(&self, rng: &mut SmallRng, of: &Commune) -> u16 {
        match self.old_provinces.get(of.province) {
            Some(list) => list[rng.random_range(0..list.len())],
            None => 1,
        }
    }
}

impl Commune {
    pub(super) fn province(&self) -> &'static str {
        self.province
    }

    /// An address in the commune.
    pub(super) fn address(&self, rng: &mut SmallRng, layout: Layout) -> Address {
        let number = rng.random_range(1..400);
        let detail = if self.ward {
            format!("{number} {}", one(rng, STREETS))
        } else {
            format!("Thôn {}", number % 20 + 1)
        };
        Address { detail, ..self.area(layout) }
    }

    /// The commune alone, as a place of birth or origin.
    pub(super) fn area(&self, layout: Layout) -> Address {
        let (province, district, commune) = self.old;
        let as_registered = (layout == Layout::BeforeMerger).then(|| RegisteredArea {
            province: province.to_owned(),
            district: district.to_owned(),
            commune: commune.to_owned(),
        });
        Address {
            province: self.province.to_owned(),
            commune: self.code.to_owned(),
            as_registered,
            ..Address::default()
        }
    }
}
