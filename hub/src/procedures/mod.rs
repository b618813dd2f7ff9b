//! Procedures that run across agencies (Decision 1911/QĐ-TTg Art. 3(3)(c)), and forms.
//!
//! - [`Procedure`]: what is to be done, in which order, by whom: a document, checked ([`parse`]).
//! - [`Case`]: one birth, one death going its way, as a state machine without reading and writing.
//! - [`Routes`]: whose task a step is, by the agreements; [`Lookout`] keeps them as they are now.
//! - [`Procedures`]: what a contribution and the passing of time do to a case; the rows and the mail that
//!   come of it go into the commit of whoever asks ([`Reads`], [`CaseEffects`]).
//! - [`Office`]: the same at the hub that runs, on its agreements and its roll; [`Keeper`]: the passing of
//!   time; [`CaseServer`]: how cases stand, for operators.
//! - [`Catalogue`]: the documents, [`WorkingDays`] and forms that the hub knows.

mod answers;
mod case;
mod catalogue;
mod circumstances;
mod definition;
mod document;
mod effects;
mod engine;
mod form;
mod keeper;
mod office;
mod routes;
mod rows;
mod service;
mod surroundings;
mod tell;
#[cfg(test)]
mod tests;
mod working_days;

pub use self::{
    answers::Refusal,
    case::{Case, CaseStep, End, Opening, Said},
    catalogue::{Catalogue, CatalogueError},
    circumstances::{Circumstances, PersonInCase},
    definition::{
        AddressFrom, Ask, Asked, Escalation, Followers, Prefill, Procedure, Skip, Step, ValueFrom, When,
        persons_of,
    },
    document::parse,
    effects::CaseEffects,
    engine::{AnsweredBy, OpenedBy, Procedures, Reads, TakenBack},
    keeper::Keeper,
    office::{Correcting, Moving, Office},
    routes::{NodeFacts, Routes, Whose, Work},
    rows::{TABLE, name_of_case},
    service::CaseServer,
    surroundings::{Lookout, Mark, Surroundings},
    tell::status,
    working_days::WorkingDays,
};
