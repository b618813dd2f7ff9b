//! `dancu-hub agreement`.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use console::style;
use dancu_proto::hub::v1::{
    AgreementSummary, ApplyAgreementRequest, GetAgreementRequest, ListAgreementsRequest,
    WithdrawAgreementRequest,
};
use serde_json::{Value, json};

use super::{Global, connect, output};
use dancu_proto::Areas;

use crate::agreements::{Agreement, Quota, parse, scope_in_words};

#[derive(Debug, Subcommand)]
pub(super) enum AgreementCommand {
    /// Check a document and show what it gives; needs no running hub
    Check {
        /// The document, TOML
        file: PathBuf,
    },
    /// Put a document in force
    Apply {
        /// The document, TOML
        file: PathBuf,
    },
    /// All agreements
    List,
    /// One agreement, as it was written
    Show {
        /// Its id
        id: String,
        /// A version other than the latest
        #[arg(long, default_value_t = 0)]
        version: u32,
    },
    /// Withdraw an agreement: nodes remove what it gave them at once
    Withdraw {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn run(global: &Global, command: AgreementCommand) -> anyhow::Result<()> {
    match command {
        AgreementCommand::Check { file } => check(global, &file),
        AgreementCommand::Apply { file } => {
            let document = read(&file)?;
            let mut admin = connect::admin(global).await?;
            let answer = admin.apply_agreement(ApplyAgreementRequest { document }).await?.into_inner();
            if global.json {
                return output::json(&json!({
                    "revision": answer.revision, "agreement": answer.agreement, "version": answer.version,
                    "differences": answer.differences, "unchanged": answer.unchanged,
                }));
            }
            for line in &answer.differences {
                println!("  {line}");
            }
            let (id, version) = (&answer.agreement, answer.version);
            if answer.unchanged {
                output::done(&format!("{id} version {version} is in force already"));
            } else {
                output::done(&format!(
                    "{id} version {version} is in force as of revision {}",
                    answer.revision
                ));
            }
            Ok(())
        }
        AgreementCommand::List => {
            let mut admin = connect::admin(global).await?;
            let list = admin.list_agreements(ListAgreementsRequest {}).await?.into_inner().agreements;
            if global.json {
                return output::json(&list.iter().map(as_json).collect());
            }
            let mut table = output::table(["agreement", "v", "agency", "state", "scope", "fields", "title"]);
            for agreement in &list {
                table.add_row([
                    agreement.agreement.clone(),
                    agreement.version.to_string(),
                    agreement.agency.clone(),
                    state_of(agreement),
                    agreement.scope.clone(),
                    agreement.fields.len().to_string(),
                    agreement.title.clone(),
                ]);
            }
            output::show(table);
            Ok(())
        }
        AgreementCommand::Show { id, version } => {
            let mut admin = connect::admin(global).await?;
            let request = GetAgreementRequest { agreement: id, version };
            let answer = admin.get_agreement(request).await?.into_inner();
            if global.json {
                let mut value = as_json(&answer.summary.unwrap_or_default());
                value["document"] = Value::from(answer.document);
                return output::json(&value);
            }
            let summary = answer.summary.unwrap_or_default();
            println!("# {} as of revision {}", state_of(&summary), summary.revision);
            print!("{}", answer.document);
            Ok(())
        }
        AgreementCommand::Withdraw { id, reason } => {
            let mut admin = connect::admin(global).await?;
            let request = WithdrawAgreementRequest { agreement: id.clone(), reason };
            let revision = admin.withdraw_agreement(request).await?.into_inner().revision;
            output::done(&format!("{id} is withdrawn as of revision {revision}"));
            Ok(())
        }
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn check(global: &Global, file: &PathBuf) -> anyhow::Result<()> {
    // By the order that this version ships: only the hub knows of later changes, and checks again.
    match parse(&read(file)?, Areas::shipped()) {
        Ok(agreement) if global.json => {
            output::json(&json!({ "valid": true, "agreement": agreement.id.to_string() }))
        }
        Ok(agreement) => {
            show(&agreement);
            output::done("the document is valid");
            Ok(())
        }
        Err(errors) => {
            for problem in &errors.0 {
                let place = format!("{}:{}:{}", file.display(), problem.line, problem.column);
                eprintln!("{} line {}: {}", style(place).bold(), problem.line, problem.message);
            }
            bail!("{} problem(s) in {}", errors.0.len(), file.display())
        }
    }
}

fn show(agreement: &Agreement) {
    let operations: Vec<_> = agreement.operations.iter().map(ToString::to_string).collect();
    let until = agreement.valid_until.map_or("open".into(), |date| date.to_string());
    output::pairs(&[
        ("agreement", format!("{} version {}", agreement.id, agreement.version)),
        ("title", agreement.title.clone()),
        ("agency", agreement.agency.to_string()),
        ("legal basis", agreement.legal_basis.join("; ")),
        ("valid", format!("{} to {until}", agreement.valid_from)),
        ("operations", operations.join(", ")),
        ("scope", scope_in_words(&agreement.scope, Areas::shipped().in_force())),
        ("offline limit", humantime::format_duration(agreement.offline_limit).to_string()),
        ("officers", agreement.officers.name().into()),
        ("quota", quota(agreement.quota)),
        ("accesses", withheld(agreement)),
    ]);
    let mut purposes = output::table(["purpose", "title"]);
    for purpose in &agreement.purposes {
        purposes.add_row([&purpose.code, &purpose.title]);
    }
    output::show(purposes);
    let mut fields = output::table(["no", "field", "label", "Law 2023 Art. 9"]);
    for field in agreement.fields.iter() {
        let spec = field.spec();
        fields.add_row([
            spec.number.to_string(),
            spec.name.into(),
            spec.label_vi.into(),
            format!("item {}", spec.law_item),
        ]);
    }
    output::show(fields);
}

fn withheld(agreement: &Agreement) -> String {
    match &agreement.withhold {
        None => "shown to the citizens".into(),
        Some(withhold) => {
            format!("withheld from the citizens until {} by {}", withhold.until, withhold.legal_basis)
        }
    }
}

fn quota(quota: Quota) -> String {
    let limit = |limit: Option<u32>, span: &str| {
        limit.map(|limit| format!("{} {span}", output::number(limit.into())))
    };
    let limits: Vec<_> =
        [limit(quota.per_second, "a second"), limit(quota.per_day, "a day")].into_iter().flatten().collect();
    if limits.is_empty() { "none".into() } else { limits.join(", ") }
}

fn state_of(agreement: &AgreementSummary) -> String {
    if agreement.withdrawn != 0 {
        style("withdrawn").red().to_string()
    } else if agreement.in_force {
        style("in force").green().to_string()
    } else {
        style("not in force").yellow().to_string()
    }
}

fn as_json(agreement: &AgreementSummary) -> Value {
    json!({
        "agreement": agreement.agreement, "version": agreement.version, "agency": agreement.agency,
        "title": agreement.title, "in_force": agreement.in_force, "scope": agreement.scope,
        "fields": agreement.fields, "revision": agreement.revision, "withdrawn": agreement.withdrawn,
    })
}
