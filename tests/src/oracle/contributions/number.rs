//! The rule of the number of a birth.

use super::super::Values;

/// Whether a number is one of the province, century, sex and year that a record has.
pub(super) fn is_of(number: &str, values: &Values) -> bool {
    let text = |value: Option<&serde_json::Value>| {
        value.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let Some(year) = text(values.get("date_of_birth")).get(..4).and_then(|year| year.parse::<u32>().ok())
    else {
        return false;
    };
    let Some(centuries) = (year / 100).checked_sub(19) else { return false };
    let female = text(values.get("sex")) == "2";
    let digits = number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || number[3..6] != format!("{}{:02}", centuries * 2 + u32::from(female), year % 100) {
        return false;
    }
    let place = values.get("place_of_birth_registration");
    let registered = place.and_then(|place| place.get("as_registered")?.get("province"));
    let in_force = place.and_then(|place| place.get("province"));
    let province = if registered.is_some() { registered } else { in_force };
    number[..3] == format!("0{}", text(province))
}
