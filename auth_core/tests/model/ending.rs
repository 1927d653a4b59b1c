//! The end of a life: from whatever state, accounts come back into use.

use auth_core::types::UserStatus;

use super::account::{ADDRESSES, Principal};
use super::common::{DAY, MINUTE};
use super::factors::Code;
use super::ops::{Fixed, Kind, Op};
use super::run::{Run, System};

/// An address that no account had before.
const FRESH: usize = ADDRESSES.len() - 1;

impl<S: System> Run<S> {
    /// Invariant 19. Once links and windows are over, the reader of each mailbox gets into the account there, with its
    /// second factor or, where that is lost, after an operator's verb. An operator can also move any account to an address
    /// that its owner has.
    pub(super) async fn every_account_gets_back_into_use(&mut self) {
        self.rule = "invariant 19: no way leads back: ";
        self.pass(Op::Pass(4 * DAY)).await;
        for address in 0..FRESH {
            let reader = if Principal::Ada.reads(address) { Principal::Ada } else { Principal::Eve };
            self.gets_in(reader, address).await;
        }
        let accounts = self.model.accounts.iter();
        let in_use: Vec<_> =
            accounts.enumerate().filter(|(_, it)| !it.is_deleted()).map(|(number, _)| number).collect();
        if let Some(lost) = in_use.iter().find(|number| self.model.accounts[**number].factors.is_some()) {
            self.pass(Op::ResetFactors(*lost)).await;
            self.gets_in(Principal::Ada, self.model.accounts[*lost].email.unwrap()).await;
        }
        self.pass(Op::SetEmail(in_use[0], FRESH)).await;
        self.gets_in(Principal::Ada, FRESH).await;
        self.rule = "";
    }

    async fn pass(&mut self, op: Fixed) {
        assert!(self.step(Principal::Ada, &op, None).await, "invariant 19: {op:?} failed");
    }

    /// The reader of a mailbox uses what the system offers to one who has nothing but the mailbox, the factor of the
    /// account, and an operator to ask.
    async fn gets_in(&mut self, reader: Principal, to: usize) {
        let holder = |run: &Self| run.model.at(to).map(|number| (number, run.model.accounts[number].clone()));
        if holder(self).is_some_and(|(_, account)| account.is_deleted() || account.is_lapsed(self.model.now)) {
            self.pass(Op::Pass(DAY)).await;
            self.pass(Op::Purge).await;
        }
        let password = match holder(self) {
            None => {
                self.pass(Op::SignUp(to, 0)).await;
                self.follow(Kind::Verify, to, 0).await;
                0
            }
            Some((number, account)) => {
                if account.status == UserStatus::Disabled && !account.is_due_back(self.model.now) {
                    self.pass(Op::Operator(number, UserStatus::Active)).await;
                }
                // A reset that nothing blocks is enough, also for an account that was never verified.
                self.pass(Op::AskReset(to)).await;
                self.follow(Kind::SetPassword, to, 1).await;
                1
            }
        };
        let (number, account) = holder(self).unwrap();
        let has_factor = account.factors.as_ref().map(|factors| factors.totp.authenticator);
        let by = has_factor.map_or(reader, |authenticator| self.model.authenticators[authenticator].0);
        let sessions = self.model.sessions.len();
        assert!(self.step(by, &Op::Login(to, password), None).await, "invariant 19: no way leads back to {account:?}");
        if let Some(authenticator) = has_factor {
            // The code of now may be used up.
            self.pass(Op::Pass(MINUTE)).await;
            let code = Code::Totp(authenticator, 0);
            let pending = self.model.pendings.len() - 1;
            let done = self.step(by, &Op::SecondStep(pending, code), None).await;
            assert!(done, "invariant 19: the second factor does not lead back to account {number}");
        }
        assert_eq!(self.model.sessions.len(), sessions + 1);
        let access = self.model.issued.last().unwrap().tokens.access.clone();
        assert!(self.system.authenticate(&access).await.is_some(), "invariant 19: the session opens nothing");
    }

    /// Follows the newest link of a kind in a mailbox.
    async fn follow(&mut self, kind: Kind, to: usize, password: usize) {
        let fits = |number: &usize| {
            let mail = &self.model.mailed[*number].mail;
            mail.to == to && Kind::of(mail.purpose) == Some(kind)
        };
        let newest = (0..self.model.mailed.len()).rev().find(fits);
        let newest = newest.unwrap_or_else(|| panic!("invariant 19: no link leads back to {}", ADDRESSES[to]));
        self.pass(Op::UseLink(kind, newest, password)).await;
    }
}
