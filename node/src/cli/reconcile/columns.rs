//! Which column of a table is which field.

use dancu_proto::{Field, name::fold, v1::Citizen};

use crate::cli::{claim, failure::Failure};

/// Other words for fields in the headers of offices' tables, folded.
const WORDS: &[(&str, Field)] = &[
    ("so cccd", Field::PersonalId),
    ("cccd", Field::PersonalId),
    ("so can cuoc", Field::PersonalId),
    ("so can cuoc cong dan", Field::PersonalId),
    ("can cuoc cong dan", Field::PersonalId),
    ("so dinh danh", Field::PersonalId),
    ("so ddcn", Field::PersonalId),
    ("ma dinh danh", Field::PersonalId),
    ("id", Field::PersonalId),
    ("so cmnd", Field::OldIdNumber),
    ("cmnd", Field::OldIdNumber),
    ("so chung minh nhan dan", Field::OldIdNumber),
    ("ho ten", Field::FullName),
    ("ho va ten", Field::FullName),
    ("ho, chu dem va ten", Field::FullName),
    ("ngay sinh", Field::DateOfBirth),
    ("ngay thang nam sinh", Field::DateOfBirth),
    ("nam sinh", Field::DateOfBirth),
    ("gioi tinh", Field::Sex),
    ("dan toc", Field::Ethnicity),
    ("so dien thoai", Field::MobileNumber),
    ("dien thoai", Field::MobileNumber),
];

/// The columns that are compared.
#[derive(Debug)]
pub(super) struct Columns(Vec<(usize, Field)>);

impl Columns {
    /// By the header of the table, and by what the operator says of it (`field=header`).
    pub(super) fn of(header: &[String], said: &[String]) -> Result<Columns, Failure> {
        let mut columns: Vec<(usize, Field)> = Vec::new();
        for pair in said {
            let usage = |fault: String| Failure::Usage(format!("--columns {pair:?}: {fault}"));
            let (field, name) =
                pair.split_once('=').ok_or_else(|| usage("write it as field=header".into()))?;
            let field: Field = field.trim().parse().map_err(|error| usage(format!("{error}")))?;
            let place = header.iter().position(|title| fold(title) == fold(name));
            let place =
                place.ok_or_else(|| usage(format!("no such column; there are: {}", header.join(", "))))?;
            columns.push((place, field));
        }
        for (place, title) in header.iter().enumerate() {
            let Some(field) = known(title) else { continue };
            let taken = columns.iter().any(|(column, other)| *column == place || *other == field);
            if !taken {
                columns.push((place, field));
            }
        }
        let has = |field| columns.iter().any(|(_, known)| *known == field);
        if has(Field::PersonalId)
            || has(Field::OldIdNumber)
            || (has(Field::FullName) && has(Field::DateOfBirth))
        {
            Ok(Columns(columns))
        } else {
            Err(Failure::Usage(format!(
                "no column to find people by: personal_id, or old_id_number, or full_name and date_of_birth; \
                 say which are with --columns field=header (there are: {})",
                header.join(", ")
            )))
        }
    }

    /// The fields that are compared, in the order of the catalogue.
    pub(super) fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<_> = self.0.iter().map(|(_, field)| *field).collect();
        fields.sort_by_key(|field| field.number());
        fields
    }

    /// What a row claims, or what is wrong with it.
    pub(super) fn claim(&self, row: &[String]) -> Result<Citizen, String> {
        let mut citizen = Citizen::default();
        for (place, field) in &self.0 {
            let cell = row.get(*place).map(String::as_str).unwrap_or_default();
            claim::set(&mut citizen, *field, cell).map_err(|fault| format!("{}: {fault}", field.name()))?;
        }
        Ok(citizen)
    }
}

fn known(title: &str) -> Option<Field> {
    let title = fold(&title.replace('_', " "));
    let by_name = Field::ALL
        .iter()
        .find(|field| fold(&field.name().replace('_', " ")) == title || fold(field.spec().label_vi) == title);
    by_name.copied().or_else(|| WORDS.iter().find(|(word, _)| *word == title).map(|(_, field)| *field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(titles: &[&str]) -> Vec<String> {
        titles.iter().map(|title| (*title).to_owned()).collect()
    }

    #[test]
    fn headers_are_read_in_both_languages() {
        let columns =
            Columns::of(&header(&["STT", "Số CCCD", "HỌ VÀ TÊN", "date_of_birth", "Giới tính"]), &[])
                .unwrap();
        assert_eq!(columns.fields(), [Field::PersonalId, Field::FullName, Field::DateOfBirth, Field::Sex]);
        let row = ["1", "001185001234", "An", "02/03/1985", "Nữ"].map(str::to_owned);
        let claim = columns.claim(&row).unwrap();
        assert_eq!((claim.personal_id.as_str(), claim.sex.as_str()), ("001185001234", "2"));
        // A short row lacks its last cells.
        assert!(columns.claim(&row[..2]).unwrap().full_name.is_none());
        let wrong = ["1", "001185001234", "An", "hôm qua", ""].map(str::to_owned);
        assert!(columns.claim(&wrong).unwrap_err().starts_with("date_of_birth"));
    }

    #[test]
    fn what_is_said_comes_first() {
        let titles = header(&["A", "B", "Họ tên", "Ngày sinh"]);
        let said = vec!["personal_id=a".to_owned(), "full_name=b".to_owned()];
        let columns = Columns::of(&titles, &said).unwrap();
        assert_eq!(columns.fields(), [Field::PersonalId, Field::FullName, Field::DateOfBirth]);
        for wrong in ["x", "nme=a", "full_name=z"] {
            assert!(Columns::of(&titles, &[wrong.to_owned()]).is_err(), "{wrong}");
        }
        let fault = Columns::of(&header(&["A", "Họ tên"]), &[]).unwrap_err().to_string();
        assert!(fault.contains("A, Họ tên"), "{fault}");
    }
}
