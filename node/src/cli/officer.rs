//! The officers of the agency, managed at a terminal. The running node notices by itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{failure::Failure, print};
use crate::{
    config::Config,
    officers::{Officer, OfficerError, OfficersFile},
};

/// `officer`
#[derive(Debug, Subcommand)]
pub(super) enum Officers {
    /// List an officer, in the place of what was listed for the code
    Add(Add),
    /// Take an officer off the list
    Remove {
        /// The officer's code
        officer: String,
    },
    /// Show who may act for what
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a whole list over from a CSV file (officer,purposes,from,until), in the place of what was listed
    Import {
        /// The file
        file: PathBuf,
    },
}

/// `officer add`
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The officer's code (mã cán bộ)
    officer: String,
    /// The purposes the officer may act for, separated by commas; `*` for all
    #[arg(long, value_delimiter = ',', required = true)]
    purposes: Vec<String>,
    /// First day, as 2026-01-31
    #[arg(long, default_value = "", hide_default_value = true)]
    from: String,
    /// Last day
    #[arg(long, default_value = "", hide_default_value = true)]
    until: String,
}

impl Officers {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        let file = OfficersFile::of(&config.agency_dir());
        match self {
            Officers::Add(add) => {
                let mut rows = file.rows()?;
                rows.retain(|row| row.officer != add.officer);
                rows.push(Officer {
                    officer: add.officer.clone(),
                    purposes: add.purposes.join(" "),
                    from: add.from.clone(),
                    until: add.until.clone(),
                });
                file.write(&rows)?;
                print::line(format_args!("{} may act for {}", add.officer, add.purposes.join(", ")))
            }
            Officers::Remove { officer } => {
                let mut rows = file.rows()?;
                let before = rows.len();
                rows.retain(|row| row.officer != *officer);
                if rows.len() == before {
                    return Err(OfficerError::Unknown(officer.clone()).into());
                }
                file.write(&rows)?;
                print::line(format_args!("{officer} may not act any more"))
            }
            Officers::List { json } => list(&file.rows()?, *json),
            Officers::Import { file: from } => {
                if !from.exists() {
                    let source = std::io::ErrorKind::NotFound.into();
                    return Err(Failure::File { path: from.clone(), source });
                }
                let rows = OfficersFile::at(from.clone()).rows()?;
                file.write(&rows)?;
                print::line(format_args!("{} rows are listed", rows.len()))
            }
        }
    }
}

fn list(rows: &[Officer], json: bool) -> Result<(), Failure> {
    if json {
        return print::json(&serde_json::to_value(rows)?);
    }
    if rows.is_empty() {
        return print::line("no officers are listed; add them with `dancu-node officer add`");
    }
    let row =
        |row: &Officer| vec![row.officer.clone(), row.purposes.clone(), row.from.clone(), row.until.clone()];
    print::table(&["Officer", "Purposes", "From", "Until"], rows.iter().map(row).collect())
}
