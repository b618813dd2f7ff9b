//! Signed statements that travel together: what those under one signature have in common is told once, and the path
//! of each is what all of them come to.

use std::mem::take;

use super::{
    Statement, Verifier, VerifyError, content, sha256,
    together::{MOST, Tree},
};
use crate::{
    channel::PeerIdentity,
    v1::{Signed, SignedBatch, SignedPart, Together},
};

impl SignedPart {
    /// One of the statements, as it is by itself; none if there are not so many.
    #[must_use]
    pub fn signed(&self, index: usize) -> Option<Signed> {
        let content = self.contents.get(index)?.clone();
        let together = match self.contents.len() {
            1 => self.together.clone(),
            _ => Some(Tree::of(&self.kind, &self.contents).together(index)),
        };
        Some(self.with(content, together))
    }

    /// The statements, each as it is by itself.
    #[must_use]
    pub fn into_signed(mut self) -> Vec<Signed> {
        let togethers: Vec<_> = match self.contents.len() {
            0 | 1 => vec![self.together.take()],
            many => {
                let tree = Tree::of(&self.kind, &self.contents);
                (0..many).map(|index| Some(tree.together(index))).collect()
            }
        };
        let contents = take(&mut self.contents).into_iter();
        contents.zip(togethers).map(|(content, together)| self.with(content, together)).collect()
    }

    fn with(&self, content: Vec<u8>, together: Option<Together>) -> Signed {
        let SignedPart { kind, signature, certificate, .. } = self;
        let (kind, signature, certificate) = (kind.clone(), signature.clone(), certificate.clone());
        Signed { kind, content, signature, certificate, together }
    }
}

impl SignedBatch {
    /// The statements, each as it is by itself.
    #[must_use]
    pub fn into_signed(self) -> Vec<Signed> {
        self.parts.into_iter().flat_map(SignedPart::into_signed).collect()
    }

    /// How many statements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.contents.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Signed> for SignedPart {
    fn from(signed: Signed) -> SignedPart {
        let Signed { kind, content, signature, certificate, together } = signed;
        SignedPart { kind, contents: vec![content], signature, certificate, together }
    }
}

impl From<Vec<Signed>> for SignedBatch {
    /// Statements in their order. Those that were signed together become one part if they are all there.
    fn from(mut signed: Vec<Signed>) -> SignedBatch {
        let (mut parts, mut rest) = (Vec::new(), &mut signed[..]);
        while !rest.is_empty() {
            let (some, others) = rest.split_at_mut(whole(rest).max(1));
            let contents: Vec<_> = some.iter_mut().map(|one| take(&mut one.content)).collect();
            let Signed { kind, signature, certificate, together, .. } = take(&mut some[0]);
            let together = together.filter(|_| contents.len() == 1);
            parts.push(SignedPart { kind, contents, signature, certificate, together });
            rest = others;
        }
        SignedBatch { parts }
    }
}

/// How many statements at the beginning are all of those that were signed together; 0 if some are missing.
fn whole(signed: &[Signed]) -> usize {
    let Some((first, of)) = signed.first().and_then(|first| Some((first, first.together.as_ref()?))) else {
        return 0;
    };
    let Some(all) = usize::try_from(of.size).ok().and_then(|size| signed.get(..size)) else { return 0 };
    let is_alike = |one: &Signed| {
        let root = one.together.as_ref().map(|of| &of.root);
        (&one.kind, &one.signature, root) == (&first.kind, &first.signature, Some(&of.root))
            && one.certificate == first.certificate
    };
    if all.len() > MOST || !all.iter().all(is_alike) {
        return 0;
    }
    // One that was altered is nobody else's fault.
    let tree = Tree::of(&first.kind, all.iter().map(|one| &one.content));
    let is_there = |(index, one): (usize, &Signed)| one.together == Some(tree.together(index));
    if all.iter().enumerate().all(is_there) { all.len() } else { 0 }
}

impl Verifier {
    /// The statements of a part and who signed them, each if it is to be believed: as [`Verifier::verify`] has it of
    /// each by itself.
    pub fn verify_part<S: Statement>(
        &self,
        part: &SignedPart,
    ) -> Vec<Result<(S, PeerIdentity), VerifyError>> {
        if let [_] = &part.contents[..] {
            return part.signed(0).iter().map(|signed| self.verify(signed)).collect();
        }
        let message =
            (2..=MOST).contains(&part.contents.len()).then(|| Tree::of(&part.kind, &part.contents).message());
        let hash = sha256(&part.certificate);
        let mut right = None;
        let believed = |one: &Vec<u8>| {
            let (statement, time) = content::<S>(&part.kind, one)?;
            let signer = self.signer(hash, &part.certificate, time)?;
            let is_right = || message.as_ref().is_some_and(|of| signer.check(of, &part.signature).is_ok());
            if !*right.get_or_insert_with(is_right) {
                return Err(VerifyError::Signature);
            }
            Ok((statement, signer.identity.clone()))
        };
        part.contents.iter().map(believed).collect()
    }
}
