// Where the links lead that say "this was not me". Each kind of link has words of its own: one reverts a change, one
// removes an account, one claims an account.

import { send } from './api.js';
import { code, form, showFailure, text } from './forms.js';
import { DEAD, INCOMPLETE, OLD, takeLink } from './mail_links.js';
import { LOG_IN, make, message, setSession, show } from './view.js';

const RESET = ['Reset the password', '/#/forgot'];
const CODE = 'Code of your authenticator, or a backup code';
const CHECK_MAIL = 'Every session has ended, and the password no longer works. Check your mail for a link to set a new one.';

// A change that can be reverted.
const change = (title, effect, next = CHECK_MAIL) => ({
  title,
  lead: `If it was you, close this page: there is nothing to do. If it was not you, revert the change. ${effect}`,
  more: 'Every session ends, your password stops working, and we mail you a link to set a new one. Later changes of the '
    + 'email address or of authentication methods are reverted, too.',
  label: 'Revert the change',
  restored: ['The change was reverted', next],
  dead: `${OLD} The change may also have been reverted already. If another person may have access to your account, reset your password.`,
  way: RESET,
});

// Nothing to revert, but another person knows the password.
const intruder = (title, known, next = CHECK_MAIL) => ({
  ...change(title, '', next),
  lead: `If it was you, close this page: there is nothing to do. If it was not you, secure your account, because ${known}`,
  label: 'Secure the account',
  restored: ['Your account is secured', next],
  dead: `${OLD} If another person may have access to your account, reset your password.`,
});

const claim = {
  title: 'Is this your account?',
  label: 'Claim the account',
  restored: ['The account is yours', CHECK_MAIL],
  dead: `${OLD} The claim may also have been settled already. If the account is yours, contact us.`,
};

const NEW_CODES = 'Log in with it, and then make new backup codes.';

// By the name of the mail, which is in the link as `kind`. A visitor can write any kind there, so it chooses words only:
// what the link does, and what was done, is for the server to say.
const KINDS = new Map(Object.entries({
  password_changed: change('Did you change your password?', ''),
  email_changed: change('Did you change your email address?', 'The account moves back to the address of our mail.'),
  two_factor_enabled: change('Did you turn on two-factor login?', 'The authentication method that was added is removed.'),
  two_factor_disabled: change('Did you turn off two-factor login?',
    'The authentication method that was removed works again.'),
  two_factor_replaced: change('Did you replace your authenticator?',
    'The old authenticator works again, and the new one is removed.'),
  deactivated: change('Did you close your account?', 'You can then use the account again.',
    `${CHECK_MAIL} It opens the account again, too.`),
  backup_codes_replaced: intruder('Did you make new backup codes?',
    'another person was logged in and knows your password. The new codes work until you replace them.',
    `${CHECK_MAIL} ${NEW_CODES}`),
  backup_code_used: intruder('Did you log in with a backup code?',
    'another person knows your password and has a backup code.', `${CHECK_MAIL} ${NEW_CODES}`),
  second_factor_failed: intruder('Did you enter a wrong code?', 'another person knows your password.'),
  verify_email: {
    title: 'Did you sign up?',
    lead: 'If it was you, close this page and open the first link in our mail. If a stranger signed up with your email '
      + 'address, remove the account. Nothing else changes, and your address is free.',
    label: 'Remove the account',
    dead: `${OLD} Without your confirmation an account cannot be used, and it is removed after a while.`,
  },
  address_lost: {
    ...claim,
    lead: 'The account moved away from the address of our mail, because the owner of an earlier address reverted a change. '
      + 'If that is right, close this page: there is nothing to do.',
    more: 'If the account is yours, claim it. Without a code it is frozen, for you and for the other side. With a code '
      + 'of an authentication method from before the changes it is yours at once.',
    fields: () => text('code', CODE, { autocomplete: 'one-time-code', hint: 'Leave it empty if you have none.' }),
  },
  account_disputed: {
    ...claim,
    lead: 'More than one address claims this account, so it is frozen. A code of an authentication method from before the changes '
      + 'decides, and the account is yours at once. If you have none, our mail says what happens next.',
    fields: () => code({ label: CODE }),
  },
}));

// Links of earlier versions name no kind.
const UNKNOWN = {
  title: 'Was this not you?',
  lead: 'If you did what our mail told you of, close this page: there is nothing to do. If you did not, go on. The link '
    + 'does what our mail says.',
  label: 'This was not me',
  restored: ['Your account was restored', CHECK_MAIL],
  dead: OLD,
  way: LOG_IN,
  fields: () => text('code', CODE, { autocomplete: 'one-time-code', hint: 'Only if our mail asks for one.' }),
};

// Opening the page changes nothing: only the button does.
export function notMe() {
  const kind = new URLSearchParams(location.search).get('kind');
  const link = takeLink();
  if (!link) return message(...INCOMPLETE);
  ask(KINDS.get(kind) ?? UNKNOWN, link);
}

function ask(kind, link) {
  const request = ({ code: shown }) => send('POST', 'auth/not-me/', { ...link, ...(shown && { code: shown }) });
  const failed = (answer, element) => {
    const { code: reason, errors } = answer.data;
    if (reason === 'link_invalid') return message(DEAD, kind.dead, kind.way);
    if (reason === 'already_verified') return tooLate();
    // The other side has claimed the account meanwhile.
    if (errors?.code?.[0].code === 'required') return ask(KINDS.get('account_disputed'), link);
    showFailure(answer, element);
  };
  show(kind.title, kind.lead,
    ...(kind.more ? [make('p', {}, kind.more)] : []),
    form(kind.fields?.() ?? [], kind.label, request, ({ data }) => tell(kind, data), failed));
}

// A stranger's account was none of this browser's; whatever else was done ended every session.
function tell({ restored = UNKNOWN.restored }, { outcome, detail }) {
  if (outcome === 'account_removed') {
    return message('The account was removed', 'Your email address is free. There is nothing else to do.');
  }
  setSession('out');
  if (outcome === 'account_restored') return message(...restored); // the way on is in the mail
  message('The account is frozen', detail);
}

const tooLate = () => message('The account cannot be removed', 'Its email address was confirmed meanwhile. If that was not '
  + 'you, set a new password: every session ends, and you can then close the account.', RESET);
