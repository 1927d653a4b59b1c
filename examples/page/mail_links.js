// Where the links in mails lead. Each carries `uid` and `token`.

import { send, sendInSession } from './api.js';
import { button, form, newPassword, notifyFailure, password, showFailure, text } from './forms.js';
import { resend } from './signup.js';
import { LOG_IN, message, setSession, show, typed } from './view.js';

// The secret of a mail link must not stay in the address bar and the history.
export function takeLink() {
  const { uid, token } = Object.fromEntries(new URLSearchParams(location.search));
  history.replaceState(null, '', location.pathname);
  return uid && token ? { uid, token } : null;
}

export const INCOMPLETE = ['This link is incomplete', 'Please open the link in your mail again.', LOG_IN];
export const DEAD = 'This link does not work';
export const OLD = 'It is incomplete, was used before or has expired.';

// A mail scanner may open the page and run its script, so only the button confirms.
const confirmButton = (request, done, failed) => button('Confirm', request, done, { failed, className: '' });

export function verifyAccount() {
  const link = takeLink();
  if (!link) return resend();
  const done = () => message('Your address is confirmed', 'Thank you. You can log in now.', LOG_IN);
  const failed = (answer) => {
    if (answer.status !== 400) return notifyFailure(answer);
    if (answer.data.code !== 'already_verified') {
      return resend(DEAD, 'It is incomplete or has expired. We can send you a new one.');
    }
    message('Already confirmed', 'Your address has been confirmed before. You can log in.', LOG_IN);
  };
  show('Confirm your address', 'One click, and your account is ready.',
    confirmButton(() => send('POST', 'auth/verify-account/', link), done, failed));
}

export function verifyEmailChange() {
  const link = takeLink();
  if (!link) return message(...INCOMPLETE);
  const path = 'auth/change-email-confirm/';
  const done = () => {
    typed.email = '';
    setSession('out'); // every session has ended
    message('Your address has been changed', 'Please log in with the new one.', LOG_IN);
  };
  const isDead = ({ status, data }) => status === 400
    && (['link_invalid', 'link_spent', 'link_incomplete'].includes(data.code) || data.errors?.new_email);
  const dead = ({ data }) => message(DEAD, data.errors?.new_email?.[0].detail ?? OLD, LOG_IN);
  // The link alone is not enough: it takes a session of the account that moves, or its password.
  const failed = (answer) => {
    if (isDead(answer)) return dead(answer);
    if (answer.status === 401) return askPassword();
    notifyFailure(answer);
  };
  const inSession = async () => ({ ...await sendInSession('POST', path, link), over: false });
  const askPassword = () => {
    const request = ({ password: word, code }) => send('POST', path, { ...link, password: word, ...(code && { code }) });
    const refused = (answer, element) => (isDead(answer) ? dead(answer) : showFailure(answer, element));
    const hint = 'Only if two-factor login is on.';
    show('Is it your account?', 'Enter the password of the account that moves to this address.', form(
      [...password(), ...text('code', 'Code of your authenticator', { autocomplete: 'one-time-code', hint })],
      'Confirm', request, done, refused));
  };
  show('Confirm your new address', 'Your account moves to this address, and you log in with it from then on.',
    confirmButton(inSession, done, failed));
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
