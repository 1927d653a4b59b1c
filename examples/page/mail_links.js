// Where the links in mails lead. Each carries `uid` and `token`.

import { failureText, send } from './api.js';
import { button, form, newPassword, notifyFailure, showFailure } from './forms.js';
import { resend } from './signup.js';
import { LOG_IN, message, setSession, show, typed, wait } from './view.js';

// The secret of a mail link must not stay in the address bar and the history.
function takeLink() {
  const { uid, token } = Object.fromEntries(new URLSearchParams(location.search));
  history.replaceState(null, '', location.pathname);
  return uid && token ? { uid, token } : null;
}

const INCOMPLETE = ['This link is incomplete', 'Please open the link in your mail again.', LOG_IN];
const DEAD = 'This link does not work';
const OLD = 'It is incomplete, was used before or has expired.';

// A mail program that looks at the link gets the page; only who runs its script confirms.
async function confirm(title, path, link, finish) {
  const waiting = wait(title);
  const answer = await send('GET', `auth/${path}/?${new URLSearchParams(link)}`);
  if (!waiting.isConnected) return;
  if (answer.ok || answer.status === 400) return finish(answer);
  const again = () => confirm(title, path, link, finish);
  message('Your address is not confirmed yet', failureText(answer), ['Try again', again]);
}

export function verifyAccount() {
  const link = takeLink();
  if (!link) return resend();
  confirm('Confirming your address', 'verify-account', link, ({ ok, data }) => {
    if (ok) {
      message('Your address is confirmed', 'Thank you. You can log in now.', LOG_IN);
    } else if (data.code === 'already_verified') {
      message('Already confirmed', 'Your address has been confirmed before. You can log in.', LOG_IN);
    } else {
      resend(DEAD, 'It is incomplete or has expired. We can send you a new one.');
    }
  });
}

export function verifyEmailChange() {
  const link = takeLink();
  if (!link) return message(...INCOMPLETE);
  confirm('Confirming your new address', 'change-email-confirm', link, (answer) => {
    const [taken] = answer.data.errors?.new_email ?? [];
    if (!answer.ok) return message(DEAD, taken?.detail ?? OLD, LOG_IN);
    typed.email = '';
    setSession('out'); // every session has ended
    message('Your address has been changed', 'Please log in with the new one.', LOG_IN);
  });
}

export function resetPassword() {
  const link = takeLink();
  if (!link) return message(...INCOMPLETE);
  const request = (values) => send('POST', 'auth/password-reset-confirm/', { ...link, ...values });
  const done = () => message('Your password has been changed', 'You can log in with the new one.', LOG_IN);
  const failed = (answer, form) => {
    const { code, errors = {} } = answer.data;
    if (code !== 'link_invalid' && !errors.uid && !errors.token) return showFailure(answer, form);
    message(DEAD, OLD, ['Get a new link', '/#/forgot']);
  };
  show('Set a new password', 'You will use it the next time you log in.',
    form(newPassword('password', 'New password'), 'Save password', request, done, failed));
}

// Opening the page changes nothing: only the button does.
export function notMe() {
  const link = takeLink();
  if (!link) return message(...INCOMPLETE);
  const done = ({ data }) => {
    setSession('out'); // every session has ended
    message('The change was taken back', data.detail, LOG_IN);
  };
  const failed = (answer) => (answer.status === 400 ? message(DEAD, OLD, LOG_IN) : notifyFailure(answer));
  show('Was this not you?', 'If you made the change that our mail told you of, there is nothing to do. If you did not, '
    + 'take it back: every session ends, and we send you a link to set a new password.',
    button('Take the change back', () => send('POST', 'auth/not-me/', link), done, { failed, className: '' }));
}
