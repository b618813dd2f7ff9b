//! `dancu-hub area`: the administrative order.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use console::style;
use dancu_proto::{
    area::files,
    hub::v1::{
        ChangeAreasRequest, ChangeAreasResponse, GetAreaRequest, MergerFiles, OrderSize,
        change_areas_request::Change,
    },
    v1::{AreaChange, Date},
};
use serde_json::json;

use super::{Global, connect, output};

#[derive(Debug, Subcommand)]
pub(super) enum AreaCommand {
    /// Merge communes and provinces: agreements and addresses follow, no record changes
    Merge {
        /// CSV: old_commune_code, new_commune_code, how (whole, largest part, part)
        file: PathBuf,
        /// CSV of the new order: province_code, province_name, commune_code, commune_name
        #[arg(long, value_name = "FILE")]
        units: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Give areas other names; they stay what they are
    Rename {
        /// CSV: level (province, commune), code, name_after
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// What a code means, and meant before mergers
    Show {
        /// Two digits for a province, five for a commune
        code: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// The day from which it holds (2025-07-01)
    #[arg(long, value_name = "DAY")]
    from: Date,
    /// Number of the document that orders it
    #[arg(long, value_name = "NUMBER")]
    document: String,
    /// Show what it would do, and do nothing
    #[arg(long)]
    preview: bool,
    /// Do not count residents for the preview
    #[arg(long)]
    no_count: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// The order that a new registry begins with.
pub(super) fn first_order(units: Option<&Path>, from: Option<Date>) -> anyhow::Result<AreaChange> {
    let Some(file) = units else { return Ok(files::shipped()) };
    let order = files::units(&read(file)?).with_context(|| format!("{}", file.display()))?;
    Ok(AreaChange { from, ..order })
}

pub(super) async fn run(global: &Global, command: AreaCommand) -> anyhow::Result<()> {
    match command {
        AreaCommand::Merge { file, units, change } => {
            let (successions, units) = (read(&file)?, read(&units)?);
            self::change(global, Change::Merger(MergerFiles { successions, units }), change).await
        }
        AreaCommand::Rename { file, change } => {
            self::change(global, Change::Names(read(&file)?), change).await
        }
        AreaCommand::Show { code } => show(global, code).await,
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

async fn change(global: &Global, change: Change, args: ChangeArgs) -> anyhow::Result<()> {
    let mut admin = connect::admin(global).await?;
    let request = |preview, policy| ChangeAreasRequest {
        change: Some(change.clone()),
        from: Some(args.from),
        document: args.document.clone(),
        preview,
        count: preview && !args.no_count,
        policy,
    };
    let preview = admin.change_areas(request(true, 0)).await?.into_inner();
    if !global.json {
        print(&preview, !args.no_count);
    }
    if args.preview {
        return if global.json { output::json(&as_json(&preview)) } else { Ok(()) };
    }
    if !args.yes && !agreed()? {
        bail!("nothing was changed");
    }
    let done = admin.change_areas(request(false, preview.policy)).await?.into_inner();
    if global.json {
        let preview = ChangeAreasResponse { revision: done.revision, ..preview };
        return output::json(&as_json(&preview));
    }
    output::done(&format!("the administrative order is changed as of revision {}", done.revision));
    Ok(())
}

fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("say --yes to change the order without being asked, or --preview to see what it does");
    }
    print!("Change the administrative order now? There is no way back but another change. [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn print(preview: &ChangeAreasResponse, counted: bool) {
    let size = |size: &Option<OrderSize>| size.unwrap_or_default();
    let (before, after) = (size(&preview.before), size(&preview.after));
    let number = |count: u32| output::number(count.into());
    let mut rows = vec![
        ("provinces", format!("{} → {}", number(before.provinces), number(after.provinces))),
        ("communes", format!("{} → {}", number(before.communes), number(after.communes))),
    ];
    if preview.renamed > 0 {
        rows.push(("other names", number(preview.renamed)));
    }
    if preview.divided > 0 {
        let people = if counted {
            let people = output::number(preview.residents_of_divided);
            format!(
                "; the {people} people with an address there count to the largest part until their address says otherwise"
            )
        } else {
            String::new()
        };
        rows.push(("divided communes", format!("{}{people}", number(preview.divided))));
    }
    output::pairs(&rows);
    if preview.agreements.is_empty() {
        println!("no agreement changes");
        return;
    }
    let mut table =
        output::table(["agreement", "agency", "covers", "will cover", "residents", "not followed"]);
    for one in &preview.agreements {
        let residents = if counted {
            format!("{} → {}", output::number(one.residents_before), output::number(one.residents_after))
        } else {
            String::new()
        };
        let not_followed = style(one.not_followed.join(", ")).yellow().to_string();
        table.add_row([&one.agreement, &one.agency, &one.before, &one.after, &residents, &not_followed]);
    }
    output::show(table);
}

fn as_json(preview: &ChangeAreasResponse) -> serde_json::Value {
    let size = |size: &Option<OrderSize>| {
        let size = size.unwrap_or_default();
        json!({ "provinces": size.provinces, "communes": size.communes })
    };
    let agreement = |one: &dancu_proto::hub::v1::FollowingAgreement| {
        json!({
            "agreement": one.agreement, "agency": one.agency, "before": one.before, "after": one.after,
            "residents_before": one.residents_before, "residents_after": one.residents_after,
            "not_followed": one.not_followed,
        })
    };
    json!({
        "before": size(&preview.before), "after": size(&preview.after), "divided": preview.divided,
        "residents_of_divided": preview.residents_of_divided, "renamed": preview.renamed,
        "agreements": preview.agreements.iter().map(agreement).collect::<Vec<_>>(),
        "revision": (preview.revision != 0).then_some(preview.revision),
    })
}

async fn show(global: &Global, code: String) -> anyhow::Result<()> {
    let mut admin = connect::admin(global).await?;
    let orders = admin.get_area(GetAreaRequest { code: code.clone() }).await?.into_inner().orders;
    let since = |from: &Option<Date>| from.map(|from| from.to_string()).unwrap_or_default();
    if global.json {
        let orders = orders.iter().map(|one| {
            json!({
                "division": one.division, "from": since(&one.from), "name": one.name,
                "province": one.province, "lies_in": one.lies_in, "parts": one.parts,
                "made_of": one.made_of, "residents": one.residents,
            })
        });
        return output::json(&json!({ "code": code, "orders": orders.collect::<Vec<_>>() }));
    }
    for one in &orders {
        let heading = format!("{} {code}", one.name);
        let by = match since(&one.from) {
            from if from.is_empty() => "by the first order".to_owned(),
            from => format!("by the order from {from}"),
        };
        println!("{} {by}", style(heading).bold());
        let mut rows = Vec::new();
        let mut row = |name, value: String| {
            if !value.is_empty() {
                rows.push((name, value));
            }
        };
        row("  province", one.province.clone());
        row("  lies in", one.lies_in.clone());
        row("  parts of it in", one.parts.join(", "));
        row("  made of", one.made_of.join(", "));
        if one.lies_in.is_empty() {
            row("  residents", output::number(one.residents));
        }
        output::pairs(&rows);
    }
    Ok(())
}
