//! Names of other peoples than the Kinh, where they are distinctive.

/// Family names by code of the people, the commonest first. Who is not here has those of the Kinh.
pub(super) const FAMILIES: &[(u8, &[&str])] = &[
    (
        2,
        &[
            "Nông", "Hoàng", "Lý", "Ma", "Hà", "Triệu", "Bế", "Đàm", "La", "Nguyễn", "Lương", "Lục", "Lộc",
            "Quan", "Phương",
        ],
    ),
    (
        3,
        &[
            "Lò", "Quàng", "Cà", "Lường", "Lù", "Vi", "Hoàng", "Tòng", "Cầm", "Bạc", "Đèo", "Lô", "Vì", "Hà",
            "Kha",
        ],
    ),
    (
        4,
        &[
            "Trần", "Lâm", "Lý", "Huỳnh", "Trương", "Quách", "Ngô", "Vương", "Tăng", "Mã", "Phùng", "Lưu",
            "Thái", "Quan", "Hứa",
        ],
    ),
    (
        5,
        &[
            "Thạch", "Danh", "Sơn", "Kim", "Lâm", "Châu", "Lý", "Trần", "Tăng", "Kiên", "Liêu", "Chau",
            "Neáng", "Đào", "Thị",
        ],
    ),
    (6, &["Bùi", "Đinh", "Quách", "Hà", "Bạch", "Phạm", "Trương", "Nguyễn", "Cao", "Xa", "Phùng", "Hoàng"]),
    (
        7,
        &[
            "Nông", "Hoàng", "Lương", "Mông", "Lục", "Vi", "Chu", "Lý", "Hứa", "Long", "Lâm", "Triệu",
            "Nùng", "Phùng",
        ],
    ),
    (
        8,
        &[
            "Giàng", "Vàng", "Sùng", "Thào", "Lý", "Mùa", "Hạng", "Lầu", "Vừ", "Lờ", "Cứ", "Hầu", "Ly",
            "Sính", "Cháng", "Già", "Tráng", "Má",
        ],
    ),
    (9, &["Triệu", "Bàn", "Đặng", "Lý", "Phàn", "Chảo", "Tẩn", "Phùng", "Dương", "Trương", "Hoàng", "Tằng"]),
    (
        10,
        &[
            "Rơ Mah",
            "Siu",
            "Ksor",
            "Kpă",
            "Nay",
            "Rah Lan",
            "Rơ Châm",
            "Ksơr",
            "Kpuih",
            "Puih",
            "Rcom",
            "Hiao",
        ],
    ),
    (12, &["Niê", "Mlô", "Êban", "Ayŭn", "Kbuôr", "Ktla", "Byă", "Niê Kđăm", "Knul", "Kbăm", "Hđơk", "Kpơr"]),
    (13, &["Đinh", "A", "Bá", "Hđinh", "Siu"]),
    (14, &["A", "Đinh", "Hồ", "Bác"]),
    (15, &["Hoàng", "Trần", "Ninh", "Trương", "Lưu", "Lục", "Nịnh", "Tô"]),
    (
        16,
        &["Kơ Să", "Cil", "Liêng Jrang", "Kra Jăn", "Bon Dơng", "Ka Să", "Đa Gout", "Lơ Mu", "Dà Cát", "Ndu"],
    ),
    (17, &["Thành", "Đàng", "Bá", "Lưu", "Qua", "Hán", "Từ", "Đạo", "Não", "Thiên", "Kiều", "Mách", "Quảng"]),
    (18, &["Lý", "Trương", "Diệp", "Lưu", "Ôn", "Từ", "Tạ", "Đàm", "Trần"]),
    (19, &["Đinh", "Phạm", "Nguyễn"]),
    (20, &["Điểu", "Y", "Bkrông", "Êung", "Rơ Lưk"]),
    (21, &["Pi Năng", "Cha Ma Léa", "Ka Tơr", "Mang", "Cao", "Bo Bo", "Mấu", "Tro", "Chamaléa"]),
    (22, &["Điểu", "Thị", "Lâm"]),
    (23, &["Hồ"]),
    (25, &["Vàng", "Lù", "Lý", "Hoàng", "Sần", "Phan", "Nùng", "Vương"]),
    (26, &["A Lăng", "Bhling", "Zơ Râm", "Hốih", "Pơ Loong", "Ating", "Coor", "Bh'nướch", "Riah"]),
    (27, &["A", "Kring", "Y", "Blong", "Hiên", "Zơ Râm"]),
    (28, &["Ka", "K'", "Điểu"]),
    (29, &["Lò", "Moong", "Cụt", "Lữ", "Quàng", "Xeo", "Ốc", "Lường"]),
    (30, &["Hồ", "Đinh"]),
    (31, &["Hồ", "A Viết", "Lê", "Quỳnh"]),
    (32, &["Điểu", "Thị", "Đào", "Hồng"]),
    (35, &["Ly", "Pờ", "Chu", "Lỳ", "Sùng", "Lò", "Phùng", "Khoàng"]),
    (36, &["Ya", "Ma", "Tou Prong", "Za"]),
];

/// A people's own way of naming.
pub(super) struct Own {
    /// Codes.
    pub(super) peoples: &'static [u8],
    /// Of men, of women; empty where there is none.
    pub(super) middles: [&'static [&'static str]; 2],
    /// Of men, of women.
    pub(super) givens: [&'static [&'static str]; 2],
}

pub(super) const OWN: &[Own] = &[
    Own {
        peoples: &[8],
        middles: [&["A", "Seo", "Mí", "Páo", "Chẩn"], &["Thị", "Thị", "Thị", "Seo"]],
        givens: [
            &[
                "Páo", "Sử", "Chu", "Lử", "Dơ", "Tủa", "Sính", "Vảng", "Dế", "Chứ", "Thào", "Sở", "Lềnh",
                "Già", "Tính", "Nhè", "Cha", "Lầu",
            ],
            &[
                "Mỷ", "Súa", "Dở", "Mai", "Pà", "Chở", "Máy", "Sua", "Xía", "Dính", "Say", "Vá", "Ly", "Dợ",
                "Cho", "Xúa", "Lía", "Pàng",
            ],
        ],
    },
    Own {
        peoples: &[10, 12, 20],
        middles: [&["Y", "Y", ""], &["H'", "H", ""]],
        givens: [
            &[
                "Thắng", "Bhiông", "Thanh", "Siêng", "Krông", "Djuang", "Hiêu", "Phước", "Lăk", "Wơn",
                "Tlâm", "Kheo", "Nguyên", "Bliăk",
            ],
            &[
                "Hen", "Yŭ", "Bia", "Tuyết", "Linh", "Nguyệt", "Djuôn", "Lan", "Mrai", "Nhi", "Dung", "Ler",
                "Wiên", "Loan", "Blen",
            ],
        ],
    },
    Own {
        peoples: &[13, 14, 27],
        middles: [&[""], &["Y", "Thị", ""]],
        givens: [
            &[
                "Sĩ", "Nghem", "Brông", "Thút", "Phiêu", "Nhất", "Byă", "Hlôi", "Lưu", "Thiu", "Xôi", "Đeng",
                "Khanh",
            ],
            &[
                "Hlăng", "Blưi", "Nhung", "Thuyên", "Byưh", "Chiêng", "Hyên", "Lê", "Phương", "Đreng", "Mai",
                "Vân",
            ],
        ],
    },
    Own {
        peoples: &[5],
        middles: [&["", "", "Sô", "Văn", "Hoàng"], &["Thị", "Thị", "", "Sa"]],
        givens: [
            &[
                "Sơn", "Hiền", "Thươl", "Sa Rây", "Phol", "Đen", "Sết", "Rích", "Minh", "Dara", "Phiên",
                "Rươl", "Vuông", "Thi", "Khêm",
            ],
            &[
                "Sa Rươne",
                "Hiền",
                "Phol",
                "Sà Rinh",
                "Đa",
                "Sa Vuôn",
                "Thu",
                "Lành",
                "Rane",
                "Phượng",
                "Sone",
                "Nary",
                "Ngọc",
                "Thêu",
            ],
        ],
    },
    Own {
        peoples: &[16, 28, 36],
        middles: [&["", "Ha", "K'"], &["", "Ka", "K'"]],
        givens: [
            &["Brèo", "Tem", "Brôi", "Krang", "Jưng", "Điệp", "Thương", "Mbông", "Huy", "Đạt", "Tiêng"],
            &["Brơm", "Hiên", "Sri", "Thủy", "Rôn", "Duyên", "Liêng", "Phương", "Dung", "Nhim", "Blơm"],
        ],
    },
];
