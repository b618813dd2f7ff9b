//! Look-ups from a terminal, by the same calls that back-ends make.

use clap::Args;
use dancu_proto::{
    Areas, Field, FieldSet,
    node::v1::{
        AttributeVerdict, FindCitizenRequest, GetCitizenRequest, GetStatusRequest, ListAreasRequest,
        ListAreasResponse, NameAndBirth, VerifyCitizenRequest, citizen_service_client::CitizenServiceClient,
        find_citizen_request::Criterion, node_service_client::NodeServiceClient,
    },
    v1::{AreaChange, Citizen, Date},
};
use serde_json::{Map, Value, json};
use tonic::transport::Channel;

use super::{claim::value, connect::Target, context::Context, failure::Failure, print};
use crate::config::Config;

/// Options that all calls share.
#[derive(Debug, Args)]
struct Shared {
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `status`
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    shared: Shared,
}

impl Status {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let channel = self.shared.target.connect(config).await?;
        let status = NodeServiceClient::new(channel).get_status(GetStatusRequest {}).await?.into_inner();
        if self.shared.json { print::json(&print::status_json(&status)) } else { print::status(&status) }
    }
}

/// `get`
#[derive(Debug, Args)]
pub(super) struct Get {
    /// The personal number, 12 digits
    personal_id: String,
    #[command(flatten)]
    context: Context,
    /// The fields wanted [default: all that the purpose gives]
    #[arg(long, value_delimiter = ',')]
    fields: Vec<Field>,
    /// Ask the hub where the slice has no such person
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    shared: Shared,
}

impl Get {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let request = GetCitizenRequest {
            context: Some(self.context.to_message()),
            personal_id: self.personal_id.clone(),
            fields: numbers(&self.fields),
            remote: self.remote,
        };
        let channel = self.shared.target.connect(config).await?;
        let response = CitizenServiceClient::new(channel.clone()).get_citizen(request).await?.into_inner();
        let citizen = response.citizen.unwrap_or_default();
        if self.shared.json {
            return print::json(&json!({
                "citizen": citizen,
                "authorised": print::names(&response.authorised),
                "former_number": response.former_number,
                "remote": response.remote,
                "freshness": print::freshness_json(response.freshness.as_ref()),
            }));
        }
        if response.remote {
            print::remote()?;
        }
        if response.former_number {
            print::former_number(Some(&citizen.personal_id))?;
        }
        print::citizen(&citizen, &response.authorised, areas(channel).await?.in_force())?;
        print::freshness(response.freshness.as_ref())
    }
}

/// `find`
#[derive(Debug, Args)]
pub(super) struct Find {
    /// The full name; case and diacritics do not matter
    #[arg(long, requires = "birth", required_unless_present = "old_number")]
    name: Option<String>,
    /// The date of birth: YYYY-MM-DD, YYYY-MM or YYYY
    #[arg(long, requires = "name")]
    birth: Option<Date>,
    /// The old identity-card number of 9 digits (số chứng minh nhân dân)
    #[arg(long, conflicts_with_all = ["name", "birth"])]
    old_number: Option<String>,
    #[command(flatten)]
    context: Context,
    /// The fields wanted [default: all that the purpose gives]
    #[arg(long, value_delimiter = ',')]
    fields: Vec<Field>,
    #[command(flatten)]
    shared: Shared,
}

impl Find {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let criterion = match (&self.old_number, &self.name) {
            (Some(number), _) => Some(Criterion::OldIdNumber(number.clone())),
            (None, Some(name)) => Some(Criterion::NameAndBirth(NameAndBirth {
                full_name: name.clone(),
                date_of_birth: self.birth,
            })),
            (None, None) => None,
        };
        let context = Some(self.context.to_message());
        let request = FindCitizenRequest { context, criterion, fields: numbers(&self.fields) };
        let channel = self.shared.target.connect(config).await?;
        let response = CitizenServiceClient::new(channel.clone()).find_citizen(request).await?.into_inner();
        if self.shared.json {
            let matches: Vec<_> = response
                .matches
                .iter()
                .map(|found| {
                    json!({
                        "citizen": found.citizen,
                        "authorised": print::names(&found.authorised),
                        "exact": found.exact,
                    })
                })
                .collect();
            print::json(&json!({
                "matches": matches,
                "more": response.more,
                "freshness": print::freshness_json(response.freshness.as_ref()),
            }))?;
        } else {
            let areas = areas(channel).await?;
            for found in &response.matches {
                let citizen = found.citizen.clone().unwrap_or_default();
                print::citizen(&citizen, &found.authorised, areas.in_force())?;
            }
            print::matches(response.matches.len(), response.more)?;
            print::freshness(response.freshness.as_ref())?;
        }
        if response.matches.is_empty() { Err(Failure::NobodyFound) } else { Ok(()) }
    }
}

/// `verify`
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The personal number, 12 digits
    personal_id: String,
    /// What you hold, as field=value; the value is text, or JSON for fields with parts
    #[arg(long = "claim", value_name = "FIELD=VALUE", required = true)]
    claims: Vec<String>,
    #[command(flatten)]
    context: Context,
    #[command(flatten)]
    shared: Shared,
}

impl Verify {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let request = VerifyCitizenRequest {
            context: Some(self.context.to_message()),
            personal_id: self.personal_id.clone(),
            claim: Some(claim(&self.claims)?),
        };
        let channel = self.shared.target.connect(config).await?;
        let mut client = CitizenServiceClient::new(channel);
        let response = Box::pin(client.verify_citizen(request)).await?.into_inner();
        if self.shared.json {
            let verdict = |verdict: &AttributeVerdict| {
                let field = Field::try_from(verdict.field).map(Field::name).unwrap_or_default();
                (field.to_owned(), Value::from(print::verdict(verdict.verdict())))
            };
            let written = |verdict: &AttributeVerdict| {
                let field = Field::try_from(verdict.field).map(Field::name).unwrap_or_default();
                let differences: Vec<_> = verdict.differences().map(|one| one.as_str_name()).collect();
                (!differences.is_empty()).then(|| (field.to_owned(), json!(differences)))
            };
            let in_question = response.verdicts.iter().filter(|verdict| verdict.in_question);
            let in_question: Vec<_> = in_question.map(|verdict| verdict.field).collect();
            return print::json(&json!({
                "verdicts": response.verdicts.iter().map(verdict).collect::<Map<_, _>>(),
                "written_otherwise": response.verdicts.iter().filter_map(written).collect::<Map<_, _>>(),
                "in_question": print::names(&in_question),
                "former_number": response.former_number,
                "freshness": print::freshness_json(response.freshness.as_ref()),
            }));
        }
        if response.former_number {
            print::former_number(None)?;
        }
        print::verdicts(&response.verdicts)?;
        print::freshness(response.freshness.as_ref())
    }
}

/// The administrative order at the node: names of the places in an answer.
pub(super) async fn areas(channel: Channel) -> Result<Areas, Failure> {
    let areas = NodeServiceClient::new(channel).list_areas(ListAreasRequest {}).await?.into_inner();
    let ListAreasResponse { from, provinces, communes } = areas;
    let order = AreaChange { from, provinces, communes, ..AreaChange::default() };
    Areas::founded_on(&order).map_err(|error| Failure::Usage(format!("the node's areas: {error}")))
}

fn numbers(fields: &[Field]) -> Vec<i32> {
    let fields: FieldSet = fields.iter().copied().collect();
    fields.iter().map(|field| dancu_proto::v1::Field::from(field).into()).collect()
}

/// What is claimed, from `field=value` pairs.
fn claim(pairs: &[String]) -> Result<Citizen, Failure> {
    let mut object = Map::new();
    for pair in pairs {
        let usage = |fault: String| Failure::Usage(format!("--claim {pair:?}: {fault}"));
        let (name, text) = pair.split_once('=').ok_or_else(|| usage("write it as field=value".into()))?;
        let field: Field = name.trim().parse().map_err(|error| usage(format!("{error}")))?;
        let value = value(field, text.trim()).map_err(|error| usage(error.to_string()))?;
        object.insert(field.name().to_owned(), value);
        // Read one by one, so that the error names the claim that is wrong.
        serde_json::from_value::<Citizen>(Value::Object(object.clone()))
            .map_err(|error| usage(error.to_string()))?;
    }
    serde_json::from_value(Value::Object(object)).map_err(|error| Failure::Usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[&str]) -> Result<Citizen, String> {
        let pairs: Vec<_> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        claim(&pairs).map_err(|failure| failure.to_string())
    }

    #[test]
    fn claims_are_text_or_json() {
        let claim = read(&[
            "full_name=Nguyễn Thị An",
            "date_of_birth=1985",
            "sex=2",
            "nationality=VN, FR",
            "permanent_residence=00004",
            r#"current_dwelling={"commune":"00008","detail":"12 Hàng Bài"}"#,
            "father=Nguyễn Văn Bình",
        ])
        .unwrap();
        assert_eq!(claim.full_name.unwrap().given, "An");
        assert_eq!((claim.date_of_birth.unwrap().year, claim.sex.as_str()), (1985, "2"));
        assert_eq!(claim.nationality.unwrap().values, ["VN", "FR"]);
        assert_eq!(claim.permanent_residence.unwrap().commune, "00004");
        assert_eq!(claim.current_dwelling.unwrap().detail, "12 Hàng Bài");
        assert_eq!(claim.father.unwrap().name.unwrap().family, "Nguyễn");
    }

    #[test]
    fn a_claim_that_is_wrong_is_named() {
        assert!(read(&["full_name"]).unwrap_err().contains("field=value"));
        assert!(read(&["ful_name=An"]).unwrap_err().contains("ful_name"));
        assert!(read(&["sex=2", "date_of_birth=85"]).unwrap_err().contains("date_of_birth=85"));
        assert!(read(&["father={\"nme\":1}"]).unwrap_err().contains("nme"));
    }
}
