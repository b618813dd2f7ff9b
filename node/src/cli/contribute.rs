//! `dancu-node contribute`: hands in what the agency registered, one contribution or a file of them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use console::style;
use dancu_proto::{
    Reason,
    channel::file,
    contribution::persons,
    node::v1::{
        ContributionStatus, SubmitContributionRequest, contribution_service_client::ContributionServiceClient,
    },
    v1::{Contribution, ContributionState, person_ref::By},
};
use futures::{StreamExt, stream::FuturesUnordered};
use indicatif::{ProgressBar, ProgressStyle};
use tonic::{Status, transport::Channel};
use uuid::Uuid;

use super::{
    connect::Target,
    context::{Context, SAYS_OTHERWISE},
    failure::{Failure, counted},
    outcome::{Stands, Waiting, as_json, described, is_concluded},
    print,
};
use crate::config::Config;

/// Contributions that are handed in together, unless they are about the same people.
const TOGETHER: usize = 32;
/// Reasons that are shown; a file has them all with --json.
const SHOWN: usize = 20;

/// `contribute`
#[derive(Debug, Args)]
pub(super) struct Contribute {
    /// Contributions as JSON: one, or one after the other (JSON Lines); - for standard input
    file: PathBuf,
    #[command(flatten)]
    waiting: Waiting,
    /// Where the contributions are written with their ids before they are handed in, if some have none: to be
    /// handed in again, if that breaks off, without counting twice
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    context: Context,
    #[command(flatten)]
    target: Target,
    /// Print JSON, a line for each contribution
    #[arg(long)]
    json: bool,
}

impl Contribute {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let mut contributions = self.read()?;
        // What is written down can be handed in again for another case: it has ids, and what the file said.
        self.name(&mut contributions)?;
        let mut otherwise = false;
        for contribution in &mut contributions {
            otherwise |= self.context.fill(&mut contribution.context);
        }
        if otherwise {
            eprintln!("{}", style(SAYS_OTHERWISE).dim().for_stderr());
        }
        let channel = self.target.connect(config).await?;
        let client = ContributionServiceClient::new(channel.clone());
        let bar = self.bar(contributions.len(), "handed in");
        let mut stand = hand_in(&client, &contributions, &bar).await?;
        bar.finish_and_clear();
        let mut open = 0;
        if self.waiting.wait {
            let bar = self.bar(contributions.len(), "concluded");
            open = self.follow(channel, &contributions, &mut stand, &bar).await?;
            bar.finish_and_clear();
        }
        self.show(&contributions, &stand, open)
    }

    /// Waits until each is concluded or in review; how many are not when the time is up.
    async fn follow(
        &self,
        channel: Channel,
        contributions: &[Contribution],
        stand: &mut [Stands],
        bar: &ProgressBar,
    ) -> Result<u64, Failure> {
        let ids = contributions.iter().map(|contribution| Uuid::try_parse(&contribution.id));
        let places = ids.enumerate().filter_map(|(at, id)| Some((id.ok()?, at)));
        let places: HashMap<Uuid, usize> = places.collect();
        let mut open: Vec<String> = Vec::new();
        for stands in stand.iter() {
            match stands {
                Stands::Taken(status) if !is_concluded(status.state()) => {
                    open.push(status.contribution_id.clone())
                }
                _ => bar.inc(1),
            }
        }
        let told = |status: ContributionStatus| {
            if is_concluded(status.state()) {
                bar.inc(1);
            }
            let place = Uuid::try_parse(&status.contribution_id).ok().and_then(|id| places.get(&id));
            if let Some(stands) = place.and_then(|at| stand.get_mut(*at)) {
                *stands = Stands::Taken(Box::new(status));
            }
        };
        self.waiting.follow(channel, open, bar, told).await
    }

    fn bar(&self, length: usize, what: &str) -> ProgressBar {
        let bar =
            if length > 1 && !self.json { ProgressBar::new(length as u64) } else { ProgressBar::hidden() };
        // The template is a constant, and good.
        let template = format!("{{bar:30}} {{human_pos}} of {{human_len}} {what}, {{per_sec}}, {{eta}} left");
        bar.with_style(
            ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        )
    }

    fn read(&self) -> Result<Vec<Contribution>, Failure> {
        let file_error = |source| Failure::File { path: self.file.clone(), source };
        let mut text = String::new();
        if self.file == Path::new("-") {
            std::io::stdin().read_to_string(&mut text).map_err(file_error)?;
        } else {
            text = fs::read_to_string(&self.file).map_err(file_error)?;
        }
        let read = serde_json::Deserializer::from_str(&text).into_iter::<Contribution>();
        let read: Result<Vec<_>, _> = read.collect();
        let read = read.map_err(|error| {
            Failure::Usage(format!("{}: this is no contribution: {error}", self.file.display()))
        })?;
        if read.is_empty() {
            return Err(Failure::Usage(format!("{}: there is no contribution in it", self.file.display())));
        }
        Ok(read)
    }

    /// Gives those an id that have none, and writes all down before anything is sent.
    fn name(&self, contributions: &mut [Contribution]) -> Result<(), Failure> {
        let nameless = contributions.iter().filter(|contribution| contribution.id.is_empty()).count();
        let Some(out) = &self.out else {
            return if nameless == 0 {
                Ok(())
            } else {
                Err(Failure::Usage(format!(
                    "{} no id; say with --out where they are written with one, so that they can be handed in again without counting twice",
                    counted(nameless as u64, "has", "have"),
                )))
            };
        };
        for contribution in contributions.iter_mut().filter(|contribution| contribution.id.is_empty()) {
            contribution.id = Uuid::now_v7().to_string();
        }
        let written = || -> std::io::Result<()> {
            // One that is there has ids that may be in use.
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(file::SECRET).open(out)?;
            for contribution in contributions.iter() {
                serde_json::to_writer(&mut file, contribution)?;
                file.write_all(b"\n")?;
            }
            file.sync_all()?;
            let directory = out.parent().filter(|directory| !directory.as_os_str().is_empty());
            fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
        };
        written().map_err(|source| {
            if source.kind() == std::io::ErrorKind::AlreadyExists {
                Failure::Usage(format!(
                    "{} exists already: hand that file in again, or name another",
                    out.display()
                ))
            } else {
                Failure::File { path: out.clone(), source }
            }
        })
    }

    fn show(&self, contributions: &[Contribution], stand: &[Stands], open: u64) -> Result<(), Failure> {
        let (mut tally, mut reasons) = (BTreeMap::<&'static str, u64>::new(), Vec::new());
        let (mut faults, mut in_review) = (0, 0);
        for (contribution, stands) in contributions.iter().zip(stand) {
            let (label, reason) = described(stands);
            *tally.entry(label).or_default() += 1;
            match stands {
                Stands::Refused(_) => faults += 1,
                Stands::Taken(status) if status.state() == ContributionState::Rejected => faults += 1,
                Stands::Taken(status) if status.state() == ContributionState::InReview => in_review += 1,
                Stands::Taken(_) => {}
            }
            if self.json {
                print::line(as_json(&contribution.id, stands))?;
            }
            if let Some(reason) = reason {
                reasons.push(vec![contribution.id.clone(), label.to_owned(), reason]);
            }
        }
        if !self.json {
            if let [Stands::Taken(status)] = stand {
                print::line(format_args!("{}: {}", status.contribution_id, described(&stand[0]).0))?;
                let number = status.outcome.as_ref().map(|outcome| outcome.personal_id.as_str());
                if let Some(number) = number.filter(|number| !number.is_empty()) {
                    print::line(format_args!("số định danh cá nhân / personal number: {number}"))?;
                }
            } else {
                let rows = tally.iter().map(|(label, count)| vec![(*label).to_owned(), count.to_string()]);
                print::table(&["trạng thái / state", "số / number"], rows.collect())?;
            }
            let more = reasons.len().saturating_sub(SHOWN);
            reasons.truncate(SHOWN);
            if !reasons.is_empty() {
                print::table(&["id", "trạng thái / state", "lý do / reason"], reasons)?;
            }
            if more > 0 {
                print::line(format_args!("and {more} more; --json shows all"))?;
            }
        }
        match (faults, open, in_review) {
            (0, 0, 0) => Ok(()),
            (0, 0, in_review) => Err(Failure::InReview(in_review)),
            (0, open, _) => Err(Failure::StillOpen(open)),
            (faults, ..) => Err(Failure::NotCounted(faults)),
        }
    }
}

/// Hands in: together what is about other people, and one after the other what is about the same.
async fn hand_in(
    client: &ContributionServiceClient<Channel>,
    contributions: &[Contribution],
    bar: &ProgressBar,
) -> Result<Vec<Stands>, Failure> {
    let mut stand: Vec<Option<Stands>> = contributions.iter().map(|_| None).collect();
    let (mut under_way, mut concerned) = (FuturesUnordered::new(), HashSet::<String>::new());
    let mut next = 0;
    loop {
        while next < contributions.len() && under_way.len() < TOGETHER {
            let about = about(&contributions[next]);
            if about.iter().any(|person| concerned.contains(person)) {
                break;
            }
            concerned.extend(about.iter().cloned());
            let (mut client, contribution, at) = (client.clone(), contributions[next].clone(), next);
            under_way.push(async move {
                let request = SubmitContributionRequest { contribution: Some(contribution) };
                (at, about, client.submit_contribution(request).await)
            });
            next += 1;
        }
        let Some((at, about, answer)) = under_way.next().await else { break };
        concerned.retain(|person| !about.contains(person));
        bar.inc(1);
        stand[at] = Some(match answer {
            Ok(answer) => Stands::Taken(Box::new(answer.into_inner().status.unwrap_or_default())),
            // The others are not to be refused one by one for the same.
            Err(status) if ends_all(&status) => return Err(status.into()),
            Err(status) => Stands::Refused(Box::new(status)),
        });
    }
    Ok(stand.into_iter().flatten().collect())
}

/// Whether a refusal is not of this contribution alone.
fn ends_all(status: &Status) -> bool {
    !matches!(
        Reason::of(status),
        Some(
            Reason::InvalidRequest
                | Reason::AlreadyExists
                | Reason::PurposeNotAgreed
                | Reason::OperationNotAgreed
                | Reason::OfficerNotAllowed
        )
    )
}

/// Whom a contribution is about, by the names that others may have for them.
fn about(contribution: &Contribution) -> HashSet<String> {
    let named = contribution.event.as_ref().map(persons).unwrap_or_default();
    let mut about: HashSet<String> = named
        .into_iter()
        .filter_map(|person| match &person.by {
            Some(By::PersonalId(id) | By::BornBy(id)) => Some(id.clone()),
            _ => None,
        })
        .collect();
    about.insert(contribution.id.clone());
    about
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn contribute(file: &Path, out: Option<&Path>) -> Contribute {
        use clap::Parser;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            contribute: Contribute,
        }
        let mut line = vec!["x".to_owned(), file.display().to_string(), "--purpose".into(), "p".into()];
        line.extend(out.into_iter().flat_map(|out| ["--out".into(), out.display().to_string()]));
        Line::parse_from(line).contribute
    }

    #[test]
    fn ids_are_on_the_disk_before_anything_is_sent_and_never_made_twice() {
        let directory = tempfile::tempdir().unwrap();
        let (file, out) = (directory.path().join("in.jsonl"), directory.path().join("out.jsonl"));
        fs::write(&file, "{\"id\":\"\"}\n{\n \"based_on\": 7\n}\n").unwrap();
        let without = contribute(&file, None);
        let mut read = without.read().unwrap();
        assert!(matches!(without.name(&mut read), Err(Failure::Usage(_))));
        let with = contribute(&file, Some(&out));
        with.name(&mut read).unwrap();
        let written = contribute(&out, None).read().unwrap();
        assert_eq!(written, read);
        assert_eq!((written.len(), written[1].based_on), (2, 7));
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, file::SECRET);
        assert!(written.iter().all(|one| Uuid::try_parse(&one.id).unwrap().get_version_num() == 7));
        let again = with.name(&mut with.read().unwrap());
        assert!(matches!(again, Err(Failure::Usage(_))), "other ids would count again");
        contribute(&out, None).name(&mut written.clone()).unwrap();
    }

    #[test]
    fn what_is_no_contribution_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("in.jsonl");
        for (text, told) in [("{}\n{\"evnt\":{}}", "line 2"), ("", "no contribution"), ("[", "line 1")] {
            fs::write(&file, text).unwrap();
            let error = contribute(&file, None).read().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
