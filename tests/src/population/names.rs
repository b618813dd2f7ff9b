//! Names by their real frequency.

use dancu_proto::v1::Name;
use rand::rngs::SmallRng;

use super::draw::{one, weighted};

/// Family names of the Kinh, in a thousand.
const KINH: &[(&str, u32)] = &[
    ("Nguyễn", 345),
    ("Trần", 110),
    ("Lê", 95),
    ("Phạm", 70),
    ("Hoàng", 35),
    ("Huỳnh", 30),
    ("Phan", 45),
    ("Vũ", 22),
    ("Võ", 20),
    ("Đặng", 21),
    ("Bùi", 20),
    ("Đỗ", 14),
    ("Hồ", 13),
    ("Ngô", 13),
    ("Dương", 10),
    ("Lý", 5),
    ("Đinh", 10),
    ("Trịnh", 9),
    ("Đoàn", 9),
    ("Mai", 8),
    ("Đào", 9),
    ("Trương", 18),
    ("Lâm", 8),
    ("Hà", 9),
    ("Cao", 9),
    ("Tạ", 7),
    ("Châu", 5),
    ("Lương", 9),
    ("Tô", 5),
    ("Vương", 5),
    ("Thái", 4),
    ("La", 2),
    ("Quách", 3),
    ("Kiều", 2),
    ("Tăng", 2),
    ("Tôn", 2),
];
const TAY: &[(&str, u32)] = &[
    ("Nông", 25),
    ("Hoàng", 20),
    ("Hà", 12),
    ("Ma", 10),
    ("Lý", 8),
    ("Bế", 5),
    ("Triệu", 8),
    ("Nguyễn", 12),
];
const HMONG: &[(&str, u32)] = &[
    ("Giàng", 20),
    ("Vàng", 20),
    ("Sùng", 18),
    ("Thào", 14),
    ("Lầu", 8),
    ("Mùa", 7),
    ("Hạng", 7),
    ("Má", 6),
];
const DAO: &[(&str, u32)] =
    &[("Triệu", 25), ("Đặng", 22), ("Bàn", 20), ("Lý", 15), ("Phùng", 10), ("Chảo", 8)];
const KHMER: &[(&str, u32)] =
    &[("Thạch", 30), ("Sơn", 20), ("Kim", 14), ("Danh", 14), ("Lâm", 10), ("Kiên", 7), ("Châu", 5)];
const EDE: &[(&str, u32)] =
    &[("Niê", 30), ("Êban", 15), ("Mlô", 15), ("Ayun", 10), ("Kbuôr", 10), ("H'Mok", 5)];
const THAI: &[(&str, u32)] =
    &[("Lò", 35), ("Quàng", 18), ("Cà", 15), ("Lường", 12), ("Tòng", 10), ("Vi", 10)];
const MUONG: &[(&str, u32)] = &[("Bùi", 40), ("Đinh", 20), ("Quách", 18), ("Hà", 12), ("Nguyễn", 10)];

const MEN: &[&str] = &[
    "Anh", "Bình", "Cường", "Dũng", "Duy", "Đạt", "Đức", "Giang", "Hải", "Hiếu", "Hoàng", "Hùng", "Huy",
    "Hưng", "Khánh", "Kiên", "Lâm", "Long", "Minh", "Nam", "Nghĩa", "Phong", "Phúc", "Quân", "Quang", "Sơn",
    "Tài", "Tâm", "Thái", "Thắng", "Thành", "Thịnh", "Tiến", "Toàn", "Trung", "Tuấn", "Tùng", "Việt", "Vinh",
    "Vũ",
];
const WOMEN: &[&str] = &[
    "An", "Ánh", "Bích", "Châu", "Chi", "Dung", "Duyên", "Giang", "Hà", "Hạnh", "Hằng", "Hiền", "Hoa",
    "Hồng", "Huệ", "Hương", "Lan", "Liên", "Linh", "Loan", "Mai", "My", "Nga", "Ngân", "Ngọc", "Nhung",
    "Oanh", "Phương", "Quyên", "Thảo", "Thu", "Thủy", "Trang", "Trinh", "Tuyết", "Uyên", "Vân", "Vy", "Xuân",
    "Yến",
];
const MEN_MIDDLE: &[&str] = &[
    "Minh",
    "Quang",
    "Đức",
    "Hoàng",
    "Gia",
    "Tuấn",
    "Anh",
    "Quốc",
    "Hữu",
    "Xuân",
    "Thành",
    "Công",
    "Gia Bảo",
];
const WOMEN_MIDDLE: &[&str] =
    &["Ngọc", "Thanh", "Minh", "Thu", "Phương", "Thùy", "Bảo", "Khánh", "Quỳnh", "Hồng", "Kim", "Thị Ngọc"];

/// A family name in an ethnic group.
pub(super) fn family(rng: &mut SmallRng, ethnicity: &str) -> &'static str {
    weighted(
        rng,
        match ethnicity {
            "02" | "07" => TAY,
            "03" => THAI,
            "05" => KHMER,
            "06" => MUONG,
            "08" => HMONG,
            "09" => DAO,
            "12" | "10" | "13" => EDE,
            _ => KINH,
        },
    )
}

/// A name: Văn and Thị are for the older generations, compound middle names for the younger.
pub(super) fn name(rng: &mut SmallRng, family: &str, female: bool, birth_year: u32) -> Name {
    let traditional = match birth_year {
        ..1970 => 80,
        1970..1990 => 55,
        1990..2005 => 30,
        _ => 12,
    };
    let by_tradition = weighted(rng, &[(true, traditional), (false, 100 - traditional)]);
    let middle = match (by_tradition, female) {
        (true, true) => "Thị",
        (true, false) => "Văn",
        (false, true) => one(rng, WOMEN_MIDDLE),
        (false, false) => one(rng, MEN_MIDDLE),
    };
    let given = one(rng, if female { WOMEN } else { MEN });
    Name { family: family.to_owned(), middle: middle.to_owned(), given: given.to_owned() }
}
