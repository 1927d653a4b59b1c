// Logging in, its second step, and the way in for whoever forgot the password.

import { send } from './api.js';
import { code, email, form, password, showFailure } from './forms.js';
import { LOG_IN, PROFILE, go, link, message, notify, setSession, show, typed } from './view.js';

// Replaces the log in view: "back" should not lead to a form that has done its work.
const enter = () => go('/#/', 'replaceState');

export function logIn() {
  const request = (values) => send('POST', 'auth/login/', values);
  const done = ({ data }) => (data.requires_2fa ? secondStep(data.session_token) : enter());
  const failed = (answer, form) => {
    if (answer.data.code !== 'invalid_credentials') return showFailure(answer, form);
    const more = link('Send the confirmation mail again', '/#/resend');
    notify('Email address or password is wrong, or the address is not confirmed yet.', { bad: true, more });
  };
  show('Log in', ['New here? ', link('Create an account', '/#/signup')],
    form([...email(), ...password()], 'Log in', request, done, failed),
    link('Forgot your password?', '/#/forgot', 'below'));
}

function secondStep(token) {
  const request = (values) => send('POST', 'auth/2fa/verify-login/', { ...values, session_token: token });
  const done = ({ data }) => {
    const left = data.backup_codes_remaining;
    if (left === undefined) return enter();
    setSession('in');
    const rest = left === 1 ? 'One is left.' : `${left || 'None'} are left.`;
    message('You used a backup code', `Each works once. ${rest}`, PROFILE);
  };
  const failed = (answer, form) => {
    if (answer.data.code !== 'pending_session_invalid') return showFailure(answer, form);
    go('/#/login', 'replaceState');
    notify('That took too long or failed too often. Please log in again.', { bad: true });
  };
  const hint = 'From your authenticator, or one of your backup codes.';
  show('One more step', 'Your account is protected by two-factor login.',
    form(code({ hint }), 'Go on', request, done, failed), link('Log in as somebody else', '/#/login', 'below'));
}

export function loggedOut() {
  typed.email = ''; // the next one at this computer may be somebody else
  setSession('out');
  message('You are logged out', 'See you soon.', ['Log in again', '/#/login']);
}

export function forgot() {
  const request = (values) => send('POST', 'auth/password-reset/', values);
  show('Forgot your password?', 'We send you a link to set a new one.',
    form(email(), 'Send a link', request, ({ data }) => message('Check your mail', data.detail, LOG_IN)));
}
