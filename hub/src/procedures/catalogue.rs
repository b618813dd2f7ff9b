//! The procedures that the hub knows, the holidays and the forms: from a directory, or those that are built
//! in.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use dancu_proto::v1::Form;
use thiserror::Error;

use super::{definition::Procedure, document, form, working_days::WorkingDays};
use crate::agreements::DocumentErrors;

/// The files that are built in.
const PROCEDURES: &[(&str, &str)] = &[
    ("lien-thong-khai-sinh.toml", include_str!("../../../deploy/procedures/lien-thong-khai-sinh.toml")),
    ("lien-thong-khai-tu.toml", include_str!("../../../deploy/procedures/lien-thong-khai-tu.toml")),
    (HOLIDAYS, include_str!("../../../deploy/procedures/holidays.toml")),
];
const FORMS: &[(&str, &str)] = &[
    ("to-khai-dang-ky-khai-sinh.toml", include_str!("../../../deploy/forms/to-khai-dang-ky-khai-sinh.toml")),
    ("ct01.toml", include_str!("../../../deploy/forms/ct01.toml")),
];

/// The file of the holidays, among those of the procedures.
const HOLIDAYS: &str = "holidays.toml";

/// What is wrong with the files.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// One cannot be read.
    #[error("{}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// One is not good.
    #[error("{}", in_file(file, errors))]
    Document {
        /// Which.
        file: PathBuf,
        /// What is wrong, by line.
        errors: DocumentErrors,
    },
    /// Two have the same id.
    #[error("{}: `{id}` is in another file already", file.display())]
    Twice {
        /// The second.
        file: PathBuf,
        /// The id.
        id: String,
    },
    /// A form is for a procedure that there is not.
    #[error("{}: no procedure is called \"{procedure}\"", file.display())]
    NoProcedure {
        /// The form.
        file: PathBuf,
        /// The procedure.
        procedure: String,
    },
    /// There is no file of holidays.
    #[error("{} has no {HOLIDAYS}: without it no deadline can be counted", .0.display())]
    NoHolidays(PathBuf),
}

fn in_file(file: &Path, errors: &DocumentErrors) -> String {
    let lines = errors.0.iter().map(|problem| {
        format!("{}: line {}, column {}: {}", file.display(), problem.line, problem.column, problem.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Procedures, holidays and forms.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// By id: the document in force.
    in_force: BTreeMap<String, ([u8; 16], Arc<Procedure>)>,
    /// By what marks the document, also those that cases of before go by.
    documents: HashMap<[u8; 16], Arc<Procedure>>,
    /// The documents in force, as they are written.
    texts: BTreeMap<[u8; 16], String>,
    days: WorkingDays,
    forms: Vec<Form>,
}

impl Catalogue {
    /// Of directories; what is built in where none is given.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn load(procedures: Option<&Path>, forms: Option<&Path>) -> Result<Catalogue, CatalogueError> {
        let mut catalogue = Catalogue::default();
        let mut holidays = false;
        for (file, text) in files(procedures, PROCEDURES)? {
            if file.file_name().is_some_and(|name| name == HOLIDAYS) {
                catalogue.days = WorkingDays::parse(&text)
                    .map_err(|errors| CatalogueError::Document { file: file.clone(), errors })?;
                holidays = true;
            } else {
                catalogue.add(file, text)?;
            }
        }
        if !holidays {
            return Err(CatalogueError::NoHolidays(procedures.unwrap_or(Path::new("")).to_owned()));
        }
        for (file, text) in files(forms, FORMS)? {
            catalogue.add_form(file, &text)?;
        }
        Ok(catalogue)
    }

    fn add(&mut self, file: PathBuf, text: String) -> Result<(), CatalogueError> {
        let procedure = match document::parse(&text) {
            Ok(procedure) => Arc::new(procedure),
            Err(errors) => return Err(CatalogueError::Document { file, errors }),
        };
        let (id, mark) = (procedure.id.clone(), mark_of(&text));
        if self.in_force.insert(id.clone(), (mark, Arc::clone(&procedure))).is_some() {
            return Err(CatalogueError::Twice { file, id });
        }
        self.documents.insert(mark, procedure);
        self.texts.insert(mark, text);
        Ok(())
    }

    fn add_form(&mut self, file: PathBuf, text: &str) -> Result<(), CatalogueError> {
        let form = match form::parse(text) {
            Ok(form) => form,
            Err(errors) => return Err(CatalogueError::Document { file, errors }),
        };
        if let Some(procedure) = form.procedures.iter().find(|id| !self.in_force.contains_key(*id)) {
            return Err(CatalogueError::NoProcedure { file, procedure: procedure.clone() });
        }
        if self.forms.iter().any(|known| known.id == form.id) {
            return Err(CatalogueError::Twice { file, id: form.id });
        }
        self.forms.push(form);
        Ok(())
    }

    /// Takes in the document of a case of before.
    ///
    /// # Errors
    /// If it can no longer be read.
    pub fn remember(&mut self, text: &str) -> Result<(), DocumentErrors> {
        let procedure = Arc::new(document::parse(text)?);
        self.documents.entry(mark_of(text)).or_insert(procedure);
        Ok(())
    }

    /// The document in force of a procedure, and what marks it.
    #[must_use]
    pub fn procedure(&self, id: &str) -> Option<(&Procedure, [u8; 16])> {
        self.in_force.get(id).map(|(mark, procedure)| (&**procedure, *mark))
    }

    /// The procedures in force, by id.
    pub fn procedures(&self) -> impl Iterator<Item = &Procedure> {
        self.in_force.values().map(|(_, procedure)| &**procedure)
    }

    /// The procedure of a document.
    #[must_use]
    pub fn document(&self, mark: [u8; 16]) -> Option<Arc<Procedure>> {
        self.documents.get(&mark).map(Arc::clone)
    }

    /// A document in force, as it is written.
    #[must_use]
    pub fn text(&self, mark: [u8; 16]) -> Option<&str> {
        self.texts.get(&mark).map(String::as_str)
    }

    /// The days that are worked.
    #[must_use]
    pub fn days(&self) -> &WorkingDays {
        &self.days
    }

    /// The forms.
    #[must_use]
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }
}

/// What marks a document.
fn mark_of(text: &str) -> [u8; 16] {
    let hash = blake3::hash(text.as_bytes());
    let mut mark = [0; 16];
    mark.copy_from_slice(&hash.as_bytes()[..16]);
    mark
}

/// The files of a directory that end in `.toml`, by name; those that are built in without one.
fn files(dir: Option<&Path>, built_in: &[(&str, &str)]) -> Result<Vec<(PathBuf, String)>, CatalogueError> {
    let Some(dir) = dir else {
        return Ok(built_in.iter().map(|(name, text)| (name.into(), (*text).to_owned())).collect());
    };
    let failed = |file: &Path| {
        let file = file.to_owned();
        move |error| CatalogueError::File { file, error }
    };
    let entries = fs::read_dir(dir).map_err(failed(dir))?;
    let entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(failed(dir))?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort_unstable();
    let read = |path: PathBuf| Ok((path.clone(), fs::read_to_string(&path).map_err(failed(&path))?));
    paths.into_iter().map(read).collect()
}
