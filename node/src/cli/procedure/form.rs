//! `dancu-node form`: declarations, listed and filled from the slice.

use clap::Subcommand;
use console::style;
use dancu_proto::{
    node::v1::{
        ListFormsRequest, PrefillFormRequest, PrefillFormResponse,
        procedure_service_client::ProcedureServiceClient,
    },
    v1::Form,
};
use serde_json::{Value, json};

use super::{CallArgs, client, pair, row, value_json};
use crate::{
    cli::{call::Call, connect::Target, failure::Failure, print},
    config::Config,
};

/// `form`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum FormCommand {
    /// The forms that this node has, and who must be named to fill one
    List {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fill one of them (tờ khai) from the slice, and name what is still to be asked
    Fill {
        /// The form
        form: String,
        /// Who is who, as ROLE=NUMBER (child=001226000001); repeat it for several
        #[arg(long = "person", value_name = "ROLE=NUMBER", value_parser = pair)]
        persons: Vec<(String, String)>,
        #[command(flatten)]
        call: CallArgs,
    },
}

impl FormCommand {
    pub(in crate::cli) async fn run(self, config: &Config) -> Result<(), Failure> {
        match self {
            FormCommand::List { target, json } => FormCommand::list(config, &target, json).await,
            FormCommand::Fill { form, persons, call: CallArgs { call } } => {
                FormCommand::fill(config, form, persons, call).await
            }
        }
    }

    async fn list(config: &Config, target: &Target, json: bool) -> Result<(), Failure> {
        let mut client = ProcedureServiceClient::new(target.connect(config).await?);
        let forms = client.list_forms(ListFormsRequest {}).await?.into_inner().forms;
        if json {
            return print::json(&forms.iter().map(form_listed).collect());
        }
        if forms.is_empty() {
            return print::line("no form is here; the hub sends those of its procedures");
        }
        let rows = forms.iter().map(|form| {
            vec![form.id.clone(), form.title.clone(), roles(form).join(", "), form.procedures.join("\n")]
        });
        let header = ["form", "tờ khai / title", "--person", "thủ tục / procedures"];
        print::table(&header, rows.collect::<Vec<_>>())
    }

    async fn fill(
        config: &Config,
        form: String,
        persons: Vec<(String, String)>,
        call: Call,
    ) -> Result<(), Failure> {
        let persons = persons.into_iter().collect();
        let request = PrefillFormRequest { context: Some(call.context.to_message()), form, persons };
        let filled = client(&call, config).await?.prefill_form(request).await?.into_inner();
        if call.json {
            return print::json(&form_json(&filled));
        }
        print::line(style(&filled.title).bold())?;
        print::table(&["", "value", "from"], filled.values.iter().map(row).collect::<Vec<_>>())?;
        if !filled.missing.is_empty() {
            print::line("still to be asked:")?;
        }
        for field in &filled.missing {
            let required = if field.required { " *" } else { "" };
            print::line(format_args!("  {} ({}){required}", field.label, field.name))?;
        }
        print::freshness(filled.freshness.as_ref())
    }
}

/// Whom a form is about.
fn roles(form: &Form) -> Vec<&str> {
    let mut roles: Vec<_> = form.fields.iter().map(|field| field.role.as_str()).collect();
    roles.retain(|role| !role.is_empty());
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn form_listed(form: &Form) -> Value {
    json!({
        "form": form.id, "title": form.title, "legal_basis": form.legal_basis, "persons": roles(form),
        "procedures": form.procedures, "fields": form.fields.iter().map(|field| &field.name).collect::<Vec<_>>(),
    })
}

fn form_json(filled: &PrefillFormResponse) -> Value {
    let missing = filled.missing.iter().map(|field| {
        json!({ "name": field.name, "label": field.label, "role": field.role, "required": field.required })
    });
    json!({
        "title": filled.title, "values": filled.values.iter().map(value_json).collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(), "freshness": print::freshness_json(filled.freshness.as_ref()),
    })
}
